"""The configuration of a mirror: the table of all options, and the frozen ``Config`` that is read by it.

The file is read once, and all its problems come together. ``fingerprint`` says which settings pages are made with.
"""
