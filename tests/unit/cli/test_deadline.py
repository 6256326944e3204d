"""The deadline for a run that was asked to stop."""

import subprocess
import sys
import threading

import pytest

from bandersnatch.cli.deadline import StopDeadline
from bandersnatch.stop import StopFlag
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

RUN_THAT_ENDS_SLOWLY = """
import logging, sys, threading
from pathlib import Path
from bandersnatch.config.config import Config
from bandersnatch.cli.invocation import Invocation
from bandersnatch.operations.mirror import Mirror
from bandersnatch.plan.removals import RemovalPolicy
invocation = Invocation(logging.INFO)
config = Config.load(Path(sys.argv[1]))
with invocation.resources(config) as resources:
    (deadline,) = [thread for thread in threading.enumerate() if thread.name == "stop-deadline"]
    try:
        Mirror(config, resources, RemovalPolicy.of(config.removals)).run()
    finally:
        deadline.join()  # a busy disk, for which the end of a run waits longer than its deadline allows
"""


def test_run_that_does_not_stop_is_ended() -> None:
    stop, ended = StopFlag(), threading.Event()
    StopDeadline(stop, ended.set, seconds=0.05)
    assert not ended.is_set()
    stop.set()
    assert ended.wait(30)


def test_watch_over_a_run_that_nobody_stops_ends_with_it() -> None:
    deadline = StopDeadline(StopFlag(), lambda: None)
    deadline.cancel()
    deadline._thread.join(30)
    assert not deadline._thread.is_alive()


def test_run_that_stops_in_time_is_left_alone() -> None:
    stop, ended = StopFlag(), threading.Event()
    deadline = StopDeadline(stop, ended.set, seconds=60)
    stop.set()
    deadline.cancel()
    deadline._thread.join(30)
    assert not deadline._thread.is_alive()
    assert not ended.is_set()


@pytest.mark.slow  # it takes the two seconds
@pytest.mark.measured
def test_error_of_the_disk_is_not_told_as_a_signal(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    path = rig.write_config(reserve="1000000T")
    result = subprocess.run([sys.executable, "-c", RUN_THAT_ENDS_SLOWLY, path], capture_output=True, text=True)
    assert "StorageError" in result.stderr.splitlines()[-1]
    assert "would not leave the reserve" in result.stderr
    assert (result.returncode, "SIGINT" in result.stderr) == (1, False), result.stderr
