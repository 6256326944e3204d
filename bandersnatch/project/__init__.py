"""The work on one project: page, plan, reserve, files, publish, record.

``Package`` does all of it; the other modules are its parts.
"""
