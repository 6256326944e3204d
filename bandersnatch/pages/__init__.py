"""The pages below ``web/simple``: rendered, written, read back, and the root index over them.

A page that is published lists only files that are in place.
"""
