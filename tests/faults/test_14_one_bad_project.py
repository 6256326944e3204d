"""14. One project that is wrong from top to bottom fails alone: no other waits, fails or goes without because of it."""

from hashlib import sha256
from typing import Any

import pytest

from bandersnatch.errors import PathConflictError, StorageError
from bandersnatch.operations.tuning import Tuning
from bandersnatch.project.files import CONCURRENT_FILES, MAX_FAILED_IN_A_ROW
from bandersnatch.workers.dispatch import SHARES_AT_A_TIME
from tests.support.fakepypi import Edit, FakePyPI, Fault, ShortBody, Status
from tests.support.rig import HURRIED, IN_PROCESSES, Rig

in_both_ways = pytest.mark.parametrize("tuning", [HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
CONTENT = b"x" * 4096  # as large as an empty folder is, on many filesystems


def add_others(pypi: FakePyPI, number: int) -> None:
    for each in range(number):
        pypi.add_file(f"good-{each}", "1.0", kind="sdist")


@in_both_ways
@pytest.mark.parametrize("fault", [Status(403), Status(500), ShortBody(3)], ids=str)
def test_a_project_whose_files_all_fail_takes_no_host_down(
    rig: Rig, pypi: FakePyPI, fault: Fault, tuning: Tuning
) -> None:
    for number in range(150):
        pypi.fault(pypi.add_file("bad", f"{number}.0", kind="sdist").url_path, fault, times=None)
    add_others(pypi, 150)
    report = rig.run(tuning=tuning)
    assert ([failure.project for failure in report.failures], report.outage) == (["bad"], None)
    assert report.updated == 150
    pypi.clear_faults()
    assert rig.run(tuning=tuning).failures == []
    rig.assert_matches()


def test_a_project_whose_files_fail_one_after_the_other_is_left_for_the_next_run(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(150):
        pypi.fault(pypi.add_file("bad", f"{number}.0", kind="sdist").url_path, Status(403), times=None)
    rig.run(workers="1")
    asked = {request.path for request in pypi.file_requests()}
    assert len(asked) <= MAX_FAILED_IN_A_ROW + CONCURRENT_FILES


@pytest.mark.parametrize("status", [403, 500])
def test_a_large_project_whose_files_all_fail_is_left_for_the_next_run(rig: Rig, pypi: FakePyPI, status: int) -> None:
    for number in range(1_500):
        pypi.add_file("bad", f"{number}.0", kind="sdist")
    pypi.fault("/packages/*", Status(status), times=None)
    assert [failure.project for failure in rig.run(tuning=IN_PROCESSES).failures] == ["bad"]
    asked = {request.path for request in pypi.file_requests()}
    assert len(asked) <= SHARES_AT_A_TIME * (MAX_FAILED_IN_A_ROW + CONCURRENT_FILES)


def test_files_of_a_large_project_that_fail_now_and_then_do_not_keep_the_others_waiting(
    rig: Rig, pypi: FakePyPI
) -> None:
    uploaded = [pypi.add_file("bad", f"{number}.0", kind="sdist") for number in range(600)]
    for file in uploaded[::20]:
        pypi.fault(file.url_path, Status(403), times=None)
    assert len(rig.run(tuning=IN_PROCESSES).failures) == 1
    assert {request.path for request in pypi.file_requests()} == {file.url_path for file in uploaded}


def test_files_that_fail_now_and_then_do_not_keep_the_others_waiting(rig: Rig, pypi: FakePyPI) -> None:
    uploaded = [pypi.add_file("bad", f"{number}.0", kind="sdist") for number in range(60)]
    for file in uploaded[::6]:
        pypi.fault(file.url_path, Status(403), times=None)
    rig.run(workers="1")
    assert {request.path for request in pypi.file_requests()} == {file.url_path for file in uploaded}


def file_at(url: str, size: int | None) -> dict[str, Any]:
    hashes = {"sha256": sha256(CONTENT).hexdigest()}
    return {"filename": url.rpartition("/")[2], "url": url, "hashes": hashes, "size": size}


PLACES = {
    "in the place of a folder": lambda file: file.url_path.rpartition("/")[0],
    "in the place of an upper folder": lambda file: "/".join(file.url_path.split("/")[:4]),
    "below a file": lambda file: f"{file.url_path}/x.whl",
    "below core metadata": lambda file: f"{file.url_path}.metadata/x.whl",
}


@in_both_ways
@pytest.mark.parametrize("size", [None, len(CONTENT)])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_file_in_the_place_of_another_fails_its_project_in_each_run(
    rig: Rig, pypi: FakePyPI, place: Any, size: int | None, tuning: Tuning
) -> None:
    victim = pypi.add_file("victim", "1.0")
    add_others(pypi, 3)
    rig.run(tuning=tuning)
    pypi.add_file("evil", "1.0", kind="sdist")
    told = file_at(pypi.url + place(victim), size)
    pypi.fault("/simple/evil/", Edit(lambda page: page | {"files": [told]}), times=None)
    pypi.fault(place(victim), Status(200, body=CONTENT), times=None)
    for version in ("2.0", "3.0"):
        pypi.add_file("good-1", version, kind="sdist")
        report = rig.run(tuning=tuning)
        assert [failure.project for failure in report.failures] == ["evil"]
        assert report.updated == 1
    pypi.clear_faults()
    assert rig.run(tuning=tuning).failures == []
    rig.assert_matches()


@in_both_ways
def test_a_file_whose_place_is_taken_by_a_folder_fails_its_project_only(
    rig: Rig, pypi: FakePyPI, tuning: Tuning
) -> None:
    victim = pypi.add_file("victim", "1.0")
    taken = rig.web / victim.url_path[1:]
    for place in (taken, taken.with_name(f"{taken.name}.metadata")):
        (place / "x").mkdir(parents=True)
        add_others(pypi, 3)
        report = rig.run(tuning=tuning)
        assert [failure.project for failure in report.failures] == ["victim"]
        assert isinstance(report.failures[0].error, PathConflictError)
        (place / "x").rmdir()
        place.rmdir()
    assert rig.run(tuning=tuning).failures == []
    rig.assert_matches()


@in_both_ways
@pytest.mark.parametrize("target", ["../../not-mounted", "victim"], ids=["to nothing", "to itself"])
def test_a_project_whose_folder_is_a_link_that_leads_nowhere_fails_alone(
    rig: Rig, pypi: FakePyPI, tuning: Tuning, target: str
) -> None:
    pypi.add_file("victim", "1.0")
    add_others(pypi, 3)
    link = rig.web / "simple/victim"
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    report = rig.run(tuning=tuning)
    assert [failure.project for failure in report.failures] == ["victim"]
    assert str(report.failures[0].error).endswith("a link that leads nowhere is where its folder would be")
    assert report.updated == 3
    link.unlink()
    assert rig.run(tuning=tuning).failures == []
    rig.assert_matches()


@pytest.mark.parametrize("folder", ["packages", "simple"])
def test_a_folder_of_all_projects_that_is_such_a_link_stops_the_run(rig: Rig, pypi: FakePyPI, folder: str) -> None:
    add_others(pypi, 3)
    rig.web.mkdir(parents=True)
    (rig.web / folder).symlink_to("../not-mounted")
    with pytest.raises(StorageError, match="can't write: No such file or directory"):
        rig.run()


def test_a_page_with_a_file_twice_among_very_many_is_refused_at_once(rig: Rig, pypi: FakePyPI) -> None:
    files = [file_at(f"/packages/a/x-{number}.whl", 1) for number in range(40_000)]
    pypi.add_file("bad", "1.0")
    add_others(pypi, 3)
    pypi.fault("/simple/bad/", Edit(lambda page: page | {"files": [*files, files[-1] | {"size": 2}]}), times=None)
    report = rig.run()
    assert [str(failure.error) for failure in report.failures] == [
        f"{pypi.url}/simple/bad/: the file 'x-39999.whl' is there twice"
    ]
