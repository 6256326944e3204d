"""Decides, and does nothing: which projects to ask for, which page a project shall have, which files to fetch and to delete.

Most of it is pure; what is asked of upstream, disk and inventory comes as values.
"""
