"""The work on one project: page, plan, reserve, files, publish, record.

``Package`` is that work from beginning to end; the other modules are its steps.
"""
