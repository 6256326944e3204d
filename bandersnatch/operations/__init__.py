"""What a command does from the lock to the report: a run, a sync of some projects, a dry run, a deletion.

``session`` opens the mirror, under the lock, for all of them.
"""
