"""3. Stale and strange pages. (Hostile fields, names and URLs one by one: ``tests/faults/test_bad_upstream.py``.)"""

import json
from typing import Any

import pytest

from bandersnatch.errors import MalformedResponseError, StaleMetadataError, SuspiciousPageError, UpstreamError
from tests.support.fakepypi import Body, Edit, FakePyPI, SerialHeader
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("in_processes_or_not")

Page = dict[str, Any]


def failure(rig: Rig) -> Exception:
    (failed,) = rig.run().failures
    return failed.error


@pytest.mark.parametrize("value", [None, "", "soon", "-1", "1", 10**30, "1.5"])
def test_serial_of_the_page_counts_whatever_the_header_says(rig: Rig, pypi: FakePyPI, value: int | str | None) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", SerialHeader(value), times=None)
    assert rig.run().failures == []
    pypi.clear_faults()
    rig.assert_matches()


def without_serial(page: Page) -> Page:
    del page["meta"]["_last-serial"]
    return page


def test_header_counts_where_the_page_has_no_serial(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Edit(without_serial), times=None)
    assert rig.run().failures == []
    rig.assert_matches()


def test_page_older_than_the_one_that_is_held_is_never_taken(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.freeze_page("foo")
    rig.run()
    pypi.thaw_page("foo")
    pypi.add_file("foo", "1.1")
    rig.run()
    before = rig.tree()
    old = json.loads(before["simple/foo/index.v1_json"])
    old["meta"]["_last-serial"] = 1
    pypi.fault("/simple/foo/", Body(json.dumps(old).encode()), times=None)
    pypi.add_role("foo")
    assert rig.run().failures == []  # a change of roles makes nobody wait
    assert rig.tree()["simple/foo/index.html"] == before["simple/foo/index.html"]
    rig.resync()
    (late,) = rig.run().late
    assert isinstance(late.error, StaleMetadataError)
    assert rig.tree()["simple/foo/index.html"] == before["simple/foo/index.html"]


@pytest.mark.parametrize("serial", ["soon", -1, 1.5, True, [], "9" * 30])
def test_serial_that_is_none_is_malformed(rig: Rig, pypi: FakePyPI, serial: object) -> None:
    def edit(page: Page) -> Page:
        page["meta"]["_last-serial"] = serial
        return page

    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Edit(edit), times=None)
    assert isinstance(failure(rig), MalformedResponseError)


def test_serial_as_text_as_bandersnatch_writes_it_is_read(rig: Rig, pypi: FakePyPI) -> None:
    def edit(page: Page) -> Page:
        page["meta"]["_last-serial"] = str(page["meta"]["_last-serial"])
        return page

    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Edit(edit), times=None)
    assert rig.run().failures == []
    rig.assert_matches()


def empty(page: Page) -> Page:
    page["files"] = page["versions"] = []
    return page


def test_page_that_lost_all_files_without_a_removal_is_kept_as_it_was(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    before = rig.tree()
    pypi.add_file("foo", "1.1")
    pypi.fault("/simple/foo/", Edit(empty), times=None)
    error = failure(rig)
    assert isinstance(error, SuspiciousPageError)
    assert str(error) == (
        "foo: upstream's page lists no files, although its changelog removed none; what is here stays as it is"
    )
    assert rig.tree().items() >= before.items()
    assert "foo" in (rig.directory / "todo").read_text()
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


def test_page_may_be_empty_after_a_removal_that_an_earlier_run_was_told_of(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.remove_release("foo", "1.0")
    pypi.fault("/simple/foo/", Body(b"garbage"), times=None)
    assert len(rig.run().failures) == 1
    pypi.clear_faults()
    pypi.yank("foo", "1.0") if pypi.files("foo") else pypi.write_journal("foo", "1.0", "some other change")
    assert rig.run().failures == []
    rig.assert_matches()


def test_project_created_again_without_files_may_be_empty(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.remove_project("foo")
    pypi.create_project("foo")
    assert rig.run().failures == []
    rig.assert_matches()


def test_file_with_another_digest_than_before_is_refused(rig: Rig, pypi: FakePyPI) -> None:
    old = pypi.add_file("foo", "1.0")
    rig.run()
    before = rig.tree()
    other = pypi.add_file("bar", "1.0")

    def edit(page: Page) -> Page:
        page["files"][0]["hashes"]["sha256"] = other.sha256
        page["files"][0]["url"] = other.url_path.replace(other.filename, old.filename)
        return page

    pypi.add_file("foo", "1.1")
    pypi.fault("/simple/foo/", Edit(edit), times=None)
    error = failure(rig)
    assert isinstance(error, SuspiciousPageError)
    assert f"lists {old.filename} with SHA-256 {other.sha256}, but the one published before has {old.sha256}" in str(
        error
    )
    assert rig.tree()["simple/foo/index.html"] == before["simple/foo/index.html"]
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


def test_page_that_is_written_in_its_own_way_is_mirrored(rig: Rig, pypi: FakePyPI) -> None:
    """Digests in upper case, null where there is nothing to tell, sizes that are not told: the mirror tells them."""
    for version, size in (("1.0", 5_000), ("1.1", 300_000), ("1.2", 2_000_000)):
        pypi.add_file("foo", version, size=size)

    def edit(page: Page) -> Page:
        for file in page["files"]:
            file["hashes"] = {"sha256": file["hashes"]["sha256"].upper(), "md5": None}
            file["core-metadata"] = {"sha256": file["core-metadata"]["sha256"].upper()}
            file |= {"size": None, "yanked": None, "requires-python": None, "provenance": None}
        return page

    pypi.fault("/simple/foo/", Edit(edit), times=None)
    assert rig.run().failures == []
    rig.assert_matches()
    pypi.clear_requests()
    rig.resync()
    assert rig.run(compare_method="hash").failures == []
    assert pypi.file_requests() == []
    rig.assert_matches()


def test_size_that_only_the_mirror_knows_is_compared(rig: Rig, pypi: FakePyPI) -> None:
    for version, size in (("1.0", 5_000), ("1.1", 2_000_000)):
        pypi.add_file("foo", version, size=size)

    def edit(page: Page) -> Page:
        return page | {"files": [file | {"size": None} for file in page["files"]]}

    pypi.fault("/simple/foo/", Edit(edit), times=None)
    rig.run()
    assert rig.call("verify", "--quick").returncode == 0
    for wheel in rig.web.rglob("*.whl"):
        wheel.write_bytes(wheel.read_bytes()[:-5])
    assert rig.call("verify", "--quick").returncode == 6
    rig.assert_matches()
    for wheel in rig.web.rglob("*.whl"):
        wheel.write_bytes(wheel.read_bytes()[:-5])
    rig.resync()
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize(
    "path", ["/simple/foo/", pytest.param("/simple/", marks=pytest.mark.without_processes("no project is begun"))]
)
def test_another_version_of_the_simple_api_is_named(rig: Rig, pypi: FakePyPI, path: str) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault(path, Edit(lambda page: page | {"meta": {"api-version": "2.0"}}), times=None)
    words = "it is of version '2.0' of the simple API; only version 1 is supported"
    if path == "/simple/":
        with pytest.raises(UpstreamError, match=words):
            rig.run(api_method="simple")
    else:
        assert words in str(failure(rig))
    assert not (rig.web / "simple/foo").exists()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 1_000_000, id="deeply nested"),
        pytest.param(b'{"a":' * 200_000, id="deeply nested objects"),
        pytest.param(b'{"name":"foo","files":[],"x":"' + b"y" * 70_000_000 + b'"}', id="70 MB"),
        pytest.param(b'{"name":"' + b"f" * 5_000_000 + b'","files":[]}', id="5 MB name"),
        pytest.param(b'{"name":"foo","files":[{"filename":"\\ud800"}]}', id="lone surrogate"),
        pytest.param(b'{"name":"foo","files":[]} trailing', id="trailing"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b"\x00" * 1000, id="NULs"),
    ],
)
def test_monstrous_page_is_one_short_error(rig: Rig, pypi: FakePyPI, body: bytes) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Body(body), times=None)
    error = failure(rig)
    assert isinstance(error, MalformedResponseError)
    assert len(str(error)) < 400
    assert str(error).isprintable()
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


def test_of_duplicate_keys_the_last_one_counts(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    page = json.dumps(pypi.page("foo"))
    pypi.fault("/simple/foo/", Body(f'{{"name":"bar",{page[1:]}'.encode()), times=None)
    assert rig.run().failures == []
    pypi.clear_faults()
    rig.assert_matches()


def test_unknown_keys_are_ignored(rig: Rig, pypi: FakePyPI) -> None:
    def edit(page: Page) -> Page:
        page["new"] = page["files"][0]["new"] = {"key": [1]}
        page["files"][0]["hashes"]["blake9"] = "00"
        return page

    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Edit(edit), times=None)
    assert rig.run().failures == []
    pypi.clear_faults()
    rig.assert_matches()


@pytest.mark.parametrize("size", [0, 1, 10**9])
def test_size_that_lies_is_found_out(rig: Rig, pypi: FakePyPI, size: int) -> None:
    def edit(page: Page) -> Page:
        page["files"][0]["size"] = size
        return page

    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Edit(edit), times=None)
    assert f"wrong size: the page says {size}" in str(failure(rig))
    assert not (rig.web / "simple/foo").exists()


def test_stale_project_goes_to_the_back_of_the_queue(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(30):
        pypi.add_file(f"project-{number:02}", "1.0")
    rig.run()
    pypi.freeze_page("project-00")
    for number in range(30):  # the stale one has the lowest serial, and so is asked for first
        pypi.add_file(f"project-{number:02}", "1.1")
    pypi.clear_requests()
    report = rig.run(workers="1")
    asked = [request.path for request in pypi.page_requests()]
    assert [late.project for late in report.late] == ["project-00"]
    assert asked.count("/simple/project-00/") == 3
    first, second, _ = (at for at, path in enumerate(asked) if path == "/simple/project-00/")
    under_way = 8  # as many as a worker has that may have one request in flight, and as many that wait
    assert first < under_way
    assert second >= 30 - under_way
    assert report.updated == 29
