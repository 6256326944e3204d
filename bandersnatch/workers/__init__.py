"""Works on many projects at a time: the schedule of jobs, the dispatcher, the pool and its workers.

What a worker does with one project is in ``project/``.
"""
