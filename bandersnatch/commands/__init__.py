"""The commands, a module for each: ``add_parser`` says what its arguments are, ``run`` does the work and returns the status.

A module here imports at its top only what its parser needs, and the rest when it runs.
"""
