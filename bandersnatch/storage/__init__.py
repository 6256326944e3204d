"""The mirror's directory: where things lie, and how files are read, written whole, and deleted.

A file appears by one rename, or not at all. Only the owner of the lock writes.
"""
