"""What a run remembers for the next one: ``state``, ``todo``, and the inventory of what we hold.

Records are validated like input; an unsound one is rebuilt from the pages.
"""
