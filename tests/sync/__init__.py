"""Stories: what upstream publishes, the mirror has, run after run."""
