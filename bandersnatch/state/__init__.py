"""What a run remembers for the next one: ``state``, ``todo``, and the inventory of what is held.

Records are checked like input; what is not sound is rebuilt from the pages.
"""
