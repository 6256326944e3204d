"""Decides, without acting: which projects to ask for, which page a project gets, which files to fetch and to delete.

Most of it is pure; facts about upstream, disk and inventory come in as values.
"""
