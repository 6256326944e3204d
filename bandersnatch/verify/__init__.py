"""Compares the mirror with upstream and with itself, and puts right what differs."""
