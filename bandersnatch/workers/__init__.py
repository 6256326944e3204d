"""Who works on projects, and in which order: the schedule, the dispatcher, and the workers."""
