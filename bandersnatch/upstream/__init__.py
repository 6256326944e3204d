"""The index that is mirrored: its journal, its list of projects, its pages.

What it answers is checked here; ``expectations`` says which page it owes after a change.
"""
