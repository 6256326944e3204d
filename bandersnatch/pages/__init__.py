"""The pages under ``web/simple``: rendered, written, read back, with the root index of all of them.

A published page lists only files that are in place.
"""
