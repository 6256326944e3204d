"""Compares the mirror with upstream and with itself, and repairs what differs."""
