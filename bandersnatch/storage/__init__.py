"""The mirror's directory: where things are, and how files are read, written whole, and deleted.

A file appears by one atomic rename, or not at all. Only the process that holds the lock writes.
"""
