"""The deadline for a run that was asked to stop."""

import queue
import threading

from bandersnatch.deadline import StopDeadline
from bandersnatch.stop import StopFlag


def test_run_that_does_not_stop_is_ended_after_cleaning_up() -> None:
    stop, happened = StopFlag(), queue.SimpleQueue[object]()
    StopDeadline(stop, lambda: 143, lambda: happened.put("cleaned up"), happened.put, seconds=0.05)
    stop.set()
    assert happened.get(timeout=10) == "cleaned up"
    assert happened.get(timeout=10) == 143


def test_run_that_stops_in_time_is_left_alone() -> None:
    stop, ended = StopFlag(), threading.Event()
    deadline = StopDeadline(stop, lambda: 130, lambda: None, lambda _: ended.set(), seconds=0.3)
    stop.set()
    deadline.cancel()
    deadline._thread.join(10)
    assert not deadline._thread.is_alive()
    assert not ended.is_set()
