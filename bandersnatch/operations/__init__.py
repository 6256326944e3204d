"""What a command does from the lock to the report: a run, the sync of some projects, a dry run, a deletion.

``session`` is the mirror as it stands, opened by whoever holds the lock.
"""
