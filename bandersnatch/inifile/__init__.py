"""Reads INI files: sections, options, and the kinds of values that options can have.

Every value knows its line, so that a problem is told with file, section and option. Nothing here knows what a mirror is.
"""
