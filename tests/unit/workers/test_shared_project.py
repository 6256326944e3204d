"""A project whose files are shared among workers: what comes of the shares, and how a run fares with such a project."""

import os
import signal
import sys
from collections import Counter
from contextlib import closing

import pytest

from bandersnatch.errors import NotFoundError, StorageError, UpstreamUnavailableError
from bandersnatch.plan.file_plan import FilePlan, FileTask, FileWork
from bandersnatch.project.job import Result
from bandersnatch.project.package import (
    SHARED_FILES,
    Planned,
    SharedFiles,
    failure,
)
from bandersnatch.project.prepared import Prepared
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.layout import INVENTORY, StoredPath, file_path
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.workers.shared_project import SharedProject
from tests.support.builders import make_file, named
from tests.support.fakepypi import Call, FakePyPI, ShortBody, Stall, Status, UploadedFile
from tests.support.rig import IN_PROCESSES, Rig

CORES = os.sched_getaffinity(0) if sys.platform == "linux" else {0}
several_cores = pytest.mark.skipif(len(CORES) < 2, reason="worker processes need Linux and two cores")
PATH = StoredPath("web/packages/aa/foo-1.0.tar.gz")


def shared_project(number: int) -> SharedProject:
    """A project with so many files, which all are the same."""
    file = make_file()
    task = FileTask(file, file_path(file), FileWork.FETCH, wants_metadata=False)
    plan = FilePlan((task,) * number, frozenset())
    prepared = Prepared(None, plan, None, "foo", 1, None, None, Expectation.CONTENT)  # type: ignore[arg-type]  # no page is needed
    return SharedProject(Planned(named("foo"), prepared, frozenset({PATH}), ("plan",)))


def test_a_failure_has_what_all_shares_have_left() -> None:
    shared = shared_project(1)
    shared.take(SharedFiles({}, {PATH: '"etag"'}, ("first",)))
    result = shared.complete(Result(failure(named("foo"), NotFoundError("http://x/y")), reservations=("last",)))
    assert result.reservations == ("plan", "first", "last")
    assert (result.unsettled, result.partials) == ({PATH}, {PATH: '"etag"'})


def test_after_a_share_that_is_given_up_no_other_is_begun_and_the_gravest_error_counts() -> None:
    shared = shared_project(5 * SHARED_FILES)
    assert len(shared.waiting) > 1
    full = StorageError("x", "write", "why")
    shared.take(SharedFiles({}, {}, (), full))
    assert shared.waiting
    shared.take(SharedFiles({}, {}, (), NotFoundError("http://x/y"), is_given_up=True))
    assert not shared.waiting
    assert shared.error is full


def add_files(pypi: FakePyPI, number: int) -> list[UploadedFile]:
    return [pypi.add_file("many", f"{each}.0", kind="sdist") for each in range(number)]


def askers(pypi: FakePyPI) -> Counter[int | None]:
    """Return how many files each process has asked for."""
    return Counter(request.asker for request in pypi.file_requests())


@pytest.mark.slow
@several_cores
def test_five_thousand_files_of_one_project_keep_all_workers_busy(rig: Rig, pypi: FakePyPI) -> None:
    add_files(pypi, 5_000)
    assert rig.run(tuning=IN_PROCESSES).failures == []
    assert len(pypi.page_requests()) == 1
    by_process = askers(pypi)
    assert by_process.total() == 5_000
    assert os.getpid() not in by_process
    assert len(by_process) == min(len(CORES), 2)  # for 4 requests in flight
    assert min(by_process.values()) > 1_000
    rig.assert_matches()


@several_cores
@pytest.mark.parametrize("extra", [0, 1])
def test_each_file_of_a_project_is_asked_for_once_shared_out_or_not(rig: Rig, pypi: FakePyPI, extra: int) -> None:
    files = add_files(pypi, SHARED_FILES + extra)
    pypi.add_file("few", "1.0")
    assert rig.run(tuning=IN_PROCESSES).failures == []
    assert sorted(request.path for request in pypi.page_requests()) == ["/simple/few/", "/simple/many/"]
    asked = [request for request in pypi.file_requests() if request.path in {file.url_path for file in files}]
    assert len(asked) == len(files)
    rig.assert_matches()


@several_cores
def test_a_share_that_fails_is_one_failure_and_nothing_is_published(rig: Rig, pypi: FakePyPI) -> None:
    files = add_files(pypi, 3 * SHARED_FILES)
    pypi.fault(files[40].url_path, Status(503), times=None)
    report = rig.run(tuning=IN_PROCESSES)
    (failed,) = report.failures
    assert failed.project == "many"
    assert isinstance(failed.error, UpstreamUnavailableError)
    assert not (rig.web / "simple/many").exists()
    pypi.clear_faults()
    pypi.clear_requests()
    assert rig.run(tuning=IN_PROCESSES).failures == []
    assert [request.path for request in pypi.file_requests()] == [files[40].url_path]
    rig.assert_matches()


@several_cores
@pytest.mark.parametrize(
    "number", [pytest.param(0, marks=pytest.mark.slow), 100, pytest.param(191, marks=pytest.mark.slow)]
)
def test_a_worker_that_is_lost_in_the_middle_of_a_share_costs_no_file(rig: Rig, pypi: FakePyPI, number: int) -> None:
    files = add_files(pypi, 3 * SHARED_FILES)

    def kill_asker() -> None:
        (asker,) = {each.asker for each in pypi.file_requests() if each.path == files[number].url_path}
        assert asker not in (None, os.getpid())
        os.kill(asker, signal.SIGKILL)

    pypi.fault(files[number].url_path, Call(kill_asker, Stall()))
    assert rig.run(tuning=IN_PROCESSES).failures == []
    rig.assert_matches()
    assert list(rig.directory.rglob("*.reserved")) == []
    with closing(Inventory(rig.directory / INVENTORY)) as inventory:
        inventory.open()
        assert inventory.all_unsettled() == []
    pypi.clear_requests()
    rig.run(tuning=IN_PROCESSES)
    assert pypi.file_requests() == []


@several_cores
def test_files_of_a_shared_out_project_that_were_half_written_are_known_to_be(rig: Rig, pypi: FakePyPI) -> None:
    """They are resumed by the next run."""
    add_files(pypi, SHARED_FILES)
    large = pypi.add_file("many", "900.0", kind="sdist", size=2_000_000)
    pypi.fault(large.url_path, ShortBody(1_500_000))
    pypi.fault(large.url_path, Status(403), times=None)
    assert len(rig.run(tuning=IN_PROCESSES).failures) == 1
    pypi.clear_faults()
    pypi.clear_requests()
    assert rig.run(tuning=IN_PROCESSES).failures == []
    (request,) = pypi.file_requests()
    assert request.headers["Range"].startswith("bytes=")
    rig.assert_matches()
