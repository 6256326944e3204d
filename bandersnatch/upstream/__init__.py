"""The index that we mirror: its journal, its list of projects, its pages.

Answers are checked here; ``changelog_actions`` says what a project's page must be like after a change.
"""
