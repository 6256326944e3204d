"""Helpers work on whole projects: each page and each file is asked for once, and what does not go well is left alone."""

import os
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import pytest
from packaging.utils import NormalizedName

from bandersnatch.http.bulk import UNFIT_PAGES
from bandersnatch.project.files import SMALL_BYTES
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.layout import INVENTORY, StoredPath
from bandersnatch.workers.project_batch import FILES_MAX
from tests.support.fakepypi import Call, Edit, FakePyPI, Fault, Reset, Status
from tests.support.fakepypi.answers import Answer, Answering
from tests.support.rig import HELPED, Rig
from tests.unit.workers.test_pool import helpers

CORES = os.sched_getaffinity(0) if sys.platform == "linux" else {0}
pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="helpers need Linux and two cores")

NOT_PLAIN = {
    "moved": Status(302, {"Location": "/elsewhere"}),
    "trouble": Status(500),
    "reset": Reset(),
}


@pytest.fixture(autouse=True)
def helped(rig: Rig) -> None:
    rig.pace = HELPED


def page_paths(pypi: FakePyPI) -> list[str]:
    return sorted(request.path for request in pypi.page_requests())


def file_paths(pypi: FakePyPI) -> list[str]:
    return sorted(request.path for request in pypi.file_requests())


def answers(pypi: FakePyPI) -> list[tuple[str, int | None]]:
    return sorted((request.path, request.status) for request in pypi.page_requests())


def add_projects(pypi: FakePyPI, number: int = 80) -> None:
    """Upload more projects than one batch has."""
    for each in range(number):
        pypi.add_file(f"project-{each}", "1.0", kind="wheel" if each % 2 else "sdist")


# Each document once


def test_each_page_and_each_file_is_asked_for_once(rig: Rig, pypi: FakePyPI) -> None:
    add_projects(pypi)
    assert rig.run().failures == []
    assert page_paths(pypi) == sorted(f"/simple/project-{each}/" for each in range(80))
    assert file_paths(pypi) == sorted(pypi.files(f"project-{each}")[0].url_path for each in range(80))
    rig.assert_matches()


def test_pages_are_asked_for_by_helpers_compressed_and_as_json(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    (request,) = pypi.page_requests()
    assert request.headers["Accept-Encoding"] == "gzip"
    assert request.headers["Accept"] == "application/vnd.pypi.simple.v1+json"
    assert request.headers["User-Agent"].startswith("bandersnatch/")


def test_unchanged_pages_are_answered_without_a_body(rig: Rig, pypi: FakePyPI) -> None:
    add_projects(pypi, 5)
    rig.run()
    pypi.clear_requests()
    rig.resync()
    assert rig.run().updated == 0
    assert answers(pypi) == [(f"/simple/project-{each}/", 304) for each in range(5)]
    assert pypi.file_requests() == []


def test_a_page_that_is_gone_is_asked_for_once(rig: Rig, pypi: FakePyPI) -> None:
    add_projects(pypi, 3)
    rig.run()
    pypi.remove_project("project-1")
    pypi.clear_requests()
    assert rig.run().removed == 1
    assert answers(pypi) == [("/simple/project-1/", 404)]
    rig.assert_matches()


def test_a_page_that_is_no_page_fails_at_once_and_says_why(rig: Rig, pypi: FakePyPI) -> None:
    add_projects(pypi, 3)
    pypi.fault("/simple/project-1/", Status(200, body=b"<html>", content_type="text/html"))
    report = rig.run()
    assert [str(failure.error) for failure in report.failures] == [
        f"{pypi.url}/simple/project-1/: no PEP 691 page, but text/html"
    ]
    assert page_paths(pypi) == [f"/simple/project-{each}/" for each in range(3)]
    rig.run()
    rig.assert_matches()


def test_a_stale_page_is_asked_for_as_often_as_without_helpers(rig: Rig, pypi: FakePyPI) -> None:
    add_projects(pypi, 3)
    rig.run()
    pypi.freeze_page("project-1")
    pypi.add_file("project-1", "2.0")
    pypi.clear_requests()
    assert len(rig.run().late) == 1
    assert page_paths(pypi) == ["/simple/project-1/"] * 3


# What is too much for one helper


@pytest.mark.parametrize("extra", [0, 1])
def test_a_project_with_many_files_is_worked_on_by_all(rig: Rig, pypi: FakePyPI, extra: int) -> None:
    for number in range(FILES_MAX + extra):
        pypi.add_file("many", f"{number}.0", kind="sdist")
    pypi.add_file("few", "1.0")
    assert rig.run().failures == []
    assert page_paths(pypi) == ["/simple/few/", "/simple/many/"]
    assert len(set(file_paths(pypi))) == len(file_paths(pypi)) == FILES_MAX + extra + 1
    rig.assert_matches()


def test_a_project_with_a_large_file_is_handed_back(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("large", "1.0", kind="sdist", size=SMALL_BYTES)
    pypi.add_file("large", "0.9", kind="sdist", size=SMALL_BYTES - 1)
    pypi.add_file("small", "1.0")
    assert rig.run().failures == []
    assert page_paths(pypi) == ["/simple/large/", "/simple/small/"]
    assert len(file_paths(pypi)) == 3
    rig.assert_matches()


def test_a_page_that_drops_files_waits_for_leave_and_then_they_go(rig: Rig, pypi: FakePyPI) -> None:
    files = [pypi.add_file("foo", f"{number}.0") for number in range(3)]
    add_projects(pypi, 3)
    rig.run()
    pypi.remove_file("foo", files[0].filename)
    pypi.clear_requests()
    assert rig.run().failures == []
    assert page_paths(pypi) == ["/simple/foo/"]  # and not again with leave to remove
    rig.assert_matches()


# What does not go well


@pytest.mark.parametrize("fault", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_a_page_that_does_not_come_plainly_is_asked_for_again(rig: Rig, pypi: FakePyPI, fault: Fault) -> None:
    add_projects(pypi, 10)
    pypi.fault("/simple/project-3/", fault)
    assert rig.run().failures == []
    assert page_paths(pypi).count("/simple/project-3/") == 2
    rig.assert_matches()


@dataclass(frozen=True, slots=True)
class Chunked(Fault):
    """The real answer in a chunk, as a server sends what it makes on the way."""

    def answer(self, real: Answering) -> Answer:
        body = real().body_bytes()
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        return replace(real(), body=framed, is_compressible=False).with_header("Transfer-Encoding", "chunked")


def test_an_index_that_never_answers_plainly_is_not_asked_in_batches_for_long(rig: Rig, pypi: FakePyPI) -> None:
    add_projects(pypi, 200)
    pypi.fault("/simple/*", Chunked(), times=None)
    assert rig.run(workers="4").failures == []
    asked = page_paths(pypi)
    assert set(asked) == {f"/simple/project-{each}/" for each in range(200)}
    assert len(asked) <= 200 + len(CORES) * (UNFIT_PAGES + 2)  # so many are under way when it is enough
    assert len(file_paths(pypi)) == 200
    pypi.clear_faults()
    rig.assert_matches()


def test_core_metadata_that_does_not_come_is_tried_again_by_packages_alone(rig: Rig, pypi: FakePyPI) -> None:
    wheels = [pypi.add_file("foo", f"{number}.0", metadata_in_wheel=False) for number in range(3)]
    pypi.fault(f"{wheels[1].url_path}.metadata", Status(503))
    assert rig.run().failures == []
    assert sorted(request.path for request in pypi.metadata_requests()) == sorted(
        f"{wheels[number].url_path}.metadata" for number in (0, 1, 1, 2)
    )
    rig.assert_matches()


def test_a_file_that_does_not_come_is_fetched_without_asking_for_the_page_again(rig: Rig, pypi: FakePyPI) -> None:
    files = [pypi.add_file("foo", f"{number}.0") for number in range(4)]
    pypi.fault(files[2].url_path, Status(503))
    assert rig.run().failures == []
    assert page_paths(pypi) == ["/simple/foo/"]
    assert file_paths(pypi).count(files[2].url_path) == 2
    rig.assert_matches()


def test_two_projects_that_list_one_file_do_not_disturb_each_other(rig: Rig, pypi: FakePyPI) -> None:
    shared = pypi.add_file("foo-bar", "1.0", kind="sdist")
    pypi.add_file("foo", "1.0")
    add_projects(pypi, 3)
    page = pypi.page("foo-bar")

    def list_it_too(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "files": [*value["files"], *page["files"]]}

    pypi.fault("/simple/foo/", Edit(list_it_too), times=None)
    for _ in range(3):
        if not rig.run().failures:
            break
    for name in ("foo", "foo-bar"):
        assert shared.filename in (rig.web / f"simple/{name}/index.html").read_text()
    assert (rig.web / shared.url_path[1:]).read_bytes() == shared.content


@pytest.mark.parametrize("is_published", [True, False])
def test_a_file_of_a_page_that_is_not_recorded_yet_is_not_deleted(rig: Rig, pypi: FakePyPI, is_published: bool) -> None:
    """A helper publishes a page some time before its project is recorded, but after it was noted."""
    shared = pypi.add_file("foo-bar", "1.0", kind="sdist")
    pypi.add_file("foo", "1.0", kind="sdist")
    page = pypi.page("foo-bar")
    pypi.fault("/simple/foo/", Edit(lambda value: {**value, "files": [*value["files"], *page["files"]]}), times=None)
    while rig.run().failures:
        pass
    with closing(Inventory(rig.directory / INVENTORY)) as inventory:
        inventory.open()
        inventory.remove(NormalizedName("foo-bar"))
        noted = "web/simple/foo-bar" if is_published else f"web{shared.url_path}"
        inventory.note_unsettled([(NormalizedName("foo-bar"), StoredPath(noted))])
    if not is_published:
        for page_path in (rig.web / "simple/foo-bar").iterdir():
            page_path.unlink()
    pypi.clear_faults()
    pypi.add_file("foo", "2.0", kind="sdist")
    assert rig.run(allow_removals=True).failures == []
    assert shared.filename not in (rig.web / "simple/foo/index.html").read_text()
    assert (rig.web / shared.url_path[1:]).read_bytes() == shared.content


# Who has batches


NEEDS_JSON = "[plugins]\nenabled = regex_project_metadata\n[regex_project_metadata]\nany:info.name = .*\n"


@pytest.mark.parametrize(("json", "filters"), [("true", ""), ("false", NEEDS_JSON)], ids=["published", "for filters"])
def test_legacy_json_is_asked_for_once_for_each_project(rig: Rig, pypi: FakePyPI, json: str, filters: str) -> None:
    add_projects(pypi, 5)
    rig.filters = filters
    there: list[bool] = []
    pypi.fault("/simple/project-2/", Call(lambda: there.append(bool(helpers()))))
    assert rig.run(json=json).failures == []
    assert there == [True]
    asked = sorted(request.path for request in pypi.requests_for("/pypi/"))
    assert asked == [f"/pypi/project-{each}/json" for each in range(5)]
    assert page_paths(pypi) == [f"/simple/project-{each}/" for each in range(5)]
