"""A worker that is lost costs others nothing, and what has ended it fails alone."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest

from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import PACKAGES, StoredPath
from bandersnatch.workers.dispatch import LethalProjectError
from bandersnatch.workers.link import SPARE_PROCESSES
from bandersnatch.workers.pool import NoWorkerLeftError
from tests.support.fakepypi import Call, FakePyPI, Stall
from tests.support.rig import IN_PROCESSES, Rig

CORES = os.sched_getaffinity(0) if sys.platform == "linux" else {0}
pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="worker processes need Linux and two cores")


class EndsWorker(FilesystemStorage):
    """Ends the thread that writes a file, as a bug of ours might."""

    @contextmanager
    def write(
        self, path: StoredPath, mtime: float | None = None, partial: Partial | None = None
    ) -> Iterator[FileWriter]:
        if path.startswith(PACKAGES):
            raise SystemExit
        with super().write(path, mtime, partial) as writer:
            yield writer


def add_projects(pypi: FakePyPI, *lethal: str) -> None:
    for number in range(30):
        pypi.add_file(f"project-{number}", "1.0")
    for name in lethal:
        pypi.add_file(name, "1.0")


def kill_asker(pypi: FakePyPI, path: str) -> None:
    """Kill the worker that has asked for a path last; it must not be the main process."""
    asker = [request.asker for request in pypi.requests if request.path == path][-1]
    assert asker != os.getpid()
    if asker is not None:  # else it has died meanwhile of another project
        with suppress(ProcessLookupError):
            os.kill(asker, signal.SIGKILL)


def poison(pypi: FakePyPI, *projects: str) -> None:
    """Let each worker that asks for the page of one of these projects die of it."""
    for project in projects:
        path = f"/simple/{project}/"
        pypi.fault(path, Call(partial(kill_asker, pypi, path), Stall()), times=None)


@pytest.mark.parametrize("number", [1, 2])
def test_a_project_that_ends_its_workers_fails_alone(
    rig: Rig, pypi: FakePyPI, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [f"lethal-{each}" for each in range(number)]
    add_projects(pypi, *bad)
    poison(pypi, *bad)
    failures = rig.run(tuning=IN_PROCESSES).failures
    assert sorted(failure.project for failure in failures) == bad
    assert all("ends unexpectedly, even if it works on nothing else" in str(each.error) for each in failures)
    told = [message for message in caplog.messages if " failed: " in message]
    assert [message.count("; the next run tries it again") for message in told] == [1] * number
    pypi.clear_faults()
    pypi.clear_requests()
    assert rig.run(tuning=IN_PROCESSES).failures == []
    assert sorted(request.path for request in pypi.page_requests()) == [f"/simple/{name}/" for name in bad]
    rig.assert_matches()


def test_a_project_that_may_have_ended_a_worker_is_not_tried_in_the_main_process(rig: Rig, pypi: FakePyPI) -> None:
    """Even where nobody is left to try it."""
    bad = [f"lethal-{each}" for each in range(2 + SPARE_PROCESSES)]
    add_projects(pypi, *bad)
    poison(pypi, *bad)
    failures = rig.run(tuning=IN_PROCESSES).failures
    assert set(bad) <= {failure.project for failure in failures}
    assert all(isinstance(failure.error, LethalProjectError) for failure in failures)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_no_worker_is_left_the_run_ends_with_one_error_and_keeps_its_todo_list(rig: Rig, pypi: FakePyPI) -> None:
    add_projects(pypi)
    rig.make_storage = EndsWorker
    with pytest.raises(NoWorkerLeftError, match="no worker is left"):
        rig.run()
    assert len((rig.directory / "todo").read_text().splitlines()) == 1 + 30
    rig.make_storage = FilesystemStorage
    assert rig.run().failures == []
    rig.assert_matches()
