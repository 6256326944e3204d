"""The deadline for a run that was asked to stop."""

import threading

from bandersnatch.deadline import StopDeadline
from bandersnatch.stop import StopFlag


def test_run_that_does_not_stop_is_ended() -> None:
    stop, ended = StopFlag(), threading.Event()
    StopDeadline(stop, ended.set, seconds=0.05)
    assert not ended.is_set()
    stop.set()
    assert ended.wait(10)


def test_run_that_stops_in_time_is_left_alone() -> None:
    stop, ended = StopFlag(), threading.Event()
    deadline = StopDeadline(stop, ended.set, seconds=60)
    stop.set()
    deadline.cancel()
    deadline._thread.join(10)
    assert not deadline._thread.is_alive()
    assert not ended.is_set()
