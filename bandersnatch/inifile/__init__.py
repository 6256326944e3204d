"""Reads INI files: sections, options, and the kinds of values that options can have.

Every value knows its line, so that messages name file, line, section and option. Nothing here knows about mirrors.
"""
