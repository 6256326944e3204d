"""Who works on projects, and in which order: the schedule, the threads, and the helper processes."""
