"""A mirror's configuration: the table of all options, and the frozen ``Config`` that is read by it.

The file is read once, and all its problems are reported together. ``fingerprint`` records the settings that pages
depend on.
"""
