"""Bad answers of upstream: a clear error, nothing lost, nothing wrong on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bandersnatch.checked_page import MOST_TOLD
from bandersnatch.errors import NoIndexError, NothingToldError, SerialMovedBackError, SuspiciousPageError, UpstreamError
from bandersnatch.operations.tuning import Tuning
from tests.support.fakepypi import (
    Body,
    Edit,
    ExtraBytes,
    FakePyPI,
    Fault,
    RateLimited,
    Reset,
    ShortBody,
    Status,
    WrongBytes,
    XmlFault,
)
from tests.support.rig import HURRIED, IN_PROCESSES, Rig

Page = dict[str, Any]


def edit_page(change: Callable[[Page], object]) -> Edit:
    """Return a fault that changes the page."""

    def changed(page: Page) -> Page:
        change(page)
        return page

    return Edit(changed)


def edit_file(**changes: object) -> Edit:
    """Return a fault that changes fields of the page's first file."""
    fields = {key.replace("_", "-"): value for key, value in changes.items()}
    return edit_page(lambda page: page["files"][0].update(fields))


def drop_field(name: str) -> Edit:
    """Return a fault that takes a field from the page's first file."""
    return edit_page(lambda page: page["files"][0].pop(name))


def assert_project_fails_and_nothing_changes(rig: Rig, match: str) -> None:
    """Run; expect that the project foo fails, and that whatever lies below web/ stays, but for the time of the run."""
    before = {path: data for path, data in rig.tree().items() if path != "last-modified"}
    report = rig.run()
    assert [failure.project for failure in report.failures] == ["foo"]
    assert match in str(report.failures[0].error)
    assert {path: data for path, data in rig.tree().items() if path != "last-modified"} == before
    assert not list(rig.directory.rglob("*.part"))
    assert "foo" in (rig.directory / "todo").read_text()


@pytest.fixture
def changed(rig: Rig, pypi: FakePyPI) -> FakePyPI:
    """A mirror of foo 1.0 and of another project, with foo 1.1 just published."""
    pypi.add_file("foo", "1.0")
    pypi.add_file("other", "1.0")
    rig.run()
    pypi.add_file("foo", "1.1")
    return pypi


HOSTILE_PAGES: list[tuple[str, Fault, str]] = [
    ("not JSON", Body(b"hello"), "no PEP 691 page: JSON is malformed"),
    ("HTML as JSON", Body(b"<html>hello</html>"), "no PEP 691 page, but HTML, said to be application/vnd.pypi.simple"),
    ("HTML", Body(b"<html>hello</html>", content_type="text/html"), "no PEP 691 page, but text/html"),
    ("a list", Body(b"[]"), "no PEP 691 page: Expected `object`, got `array`"),
    ("no files", edit_page(lambda page: page.pop("files")), "missing required field `files`"),
    ("of another project", edit_page(lambda page: page.update(name="bar")), "the page is of project 'bar'"),
    ("status", edit_page(lambda page: page.update({"project-status": {"status": "<b>"}})), "project-status '<b>'"),
    ("duplicates", edit_page(lambda page: page["files"].append(page["files"][0] | {"size": 1})), "is there twice"),
    ("no name", drop_field("filename"), "missing required field `filename` - at `$.files[0]`"),
    ("size in words", edit_file(size="twelve"), "has size 'twelve'"),
    ("negative size", edit_file(size=-1), "has size -1"),
    ("huge size", edit_file(size=10**30), "has size 1000000"),
    ("short weak hash", edit_file(hashes={"md5": "0" * 31}), "has no MD5 digest"),
    ("short hash", edit_file(hashes={"sha256": "abc"}), "has no SHA-256 digest"),
    ("metadata hash", edit_file(core_metadata={"sha256": "x"}), "core-metadata digest 'x'"),
    ("time", edit_file(upload_time="yesterday"), "upload-time 'yesterday'"),
    ("yanked", edit_file(yanked=7), "at `$.files[0].yanked`"),
]
HOSTILE_NAMES = [
    pytest.param("../foo-1.0.tar.gz", id="name with slash"),
    pytest.param("..\\foo-1.0.tar.gz", id="name with backslash"),
    pytest.param(".htaccess", id="dot-file"),
    pytest.param("foo\n-1.0.tar.gz", id="name with newline"),
    pytest.param("foo\x1b[2J.whl", id="name with escape"),
    pytest.param("foo\x00.whl", id="name with NUL"),
    pytest.param("f" * 300, id="long name"),
    pytest.param("foo-1.0.whl.metadata", id="metadata as file"),
]
HOSTILE_URLS = [
    "/etc/passwd",
    "/packages/../../../etc/passwd",
    "/packages/%2e%2e/%2e%2e/%2e%2e/X",
    "/packages/aa/..%2f..%2f..%2fX",
    "/packages/aa/bb\\..\\..\\X",
    "/packages/aa/%00/X",
    "/packages//X",
    "/packages/.hidden/X",
    "ftp://127.0.0.1/packages/aa/bb/X",
    "file:///packages/aa/bb/X",
    "http://user:secret@127.0.0.1/packages/aa/bb/X",
    "http://[::1/packages/aa/bb/X",
    "/whl/..%2fX",
    "/whl/%2e%2e/X",
]


@pytest.mark.parametrize(("fault", "match"), [pytest.param(f, m, id=i) for i, f, m in HOSTILE_PAGES])
def test_strange_page_changes_nothing(rig: Rig, changed: FakePyPI, fault: Fault, match: str) -> None:
    changed.fault("/simple/foo/", fault, times=None)
    assert_project_fails_and_nothing_changes(rig, match)
    changed.clear_faults()
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_name_that_can_be_no_path_does_not_take_the_place_of_a_held_file(
    rig: Rig, changed: FakePyPI, name: str
) -> None:
    changed.fault("/simple/foo/", edit_file(filename=name), times=None)
    assert_project_fails_and_nothing_changes(rig, "which is of no use, and foo-1.0-py3-none-any.whl no more")
    changed.clear_faults()
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_name_that_can_be_no_path_is_left_out_alone(
    rig: Rig, changed: FakePyPI, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = sorted(path for path in rig.folder.rglob("*") if rig.directory not in path.parents)
    changed.fault("/simple/foo/", edit_page(lambda page: page["files"].append(page["files"][0] | {"filename": name})))
    assert rig.run().failures == []
    assert "it is left out" in caplog.text
    rig.assert_matches()
    assert sorted(path for path in rig.folder.rglob("*") if rig.directory not in path.parents) == before


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_new_file_whose_url_leads_elsewhere_is_left_out_alone(
    rig: Rig, changed: FakePyPI, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = sorted(path for path in rig.folder.rglob("*") if rig.directory not in path.parents)

    def add(page: Page) -> None:
        name = "foo-6.6-py3-none-any.whl"
        page["files"].append(page["files"][0] | {"filename": name, "url": url.replace("X", name)})

    changed.fault("/simple/foo/", edit_page(add))
    assert rig.run().failures == []
    assert "left out" in caplog.text
    rig.assert_matches()
    assert sorted(path for path in rig.folder.rglob("*") if rig.directory not in path.parents) == before


@pytest.mark.parametrize("tuning", [HURRIED, IN_PROCESSES], ids=["in one thread", "in processes"])
@pytest.mark.parametrize("wrong", [{"filename": ".{}"}, {"url": "/elsewhere//{}"}, {"url": "ftp://x/{}"}], ids=str)
def test_of_very_many_files_of_no_use_some_are_told(
    rig: Rig, changed: FakePyPI, wrong: dict[str, str], tuning: Tuning, caplog: pytest.LogCaptureFixture
) -> None:
    def add(page: Page) -> None:
        for number in range(500):
            name = f"foo-{number}.tar.gz"
            told = {key: value.format(name) for key, value in wrong.items()}
            page["files"].append(page["files"][0] | {"filename": name} | told)

    changed.fault("/simple/foo/", edit_page(add))
    assert rig.run(tuning=tuning).failures == []
    assert caplog.text.count("left out") == MOST_TOLD + 1
    assert ": 490 more files are left out" in caplog.text
    rig.assert_matches()


def test_page_of_which_no_file_has_a_place_is_refused(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", edit_file(url="/files//foo-1.0-py3-none-any.whl"), times=None)
    (failure,) = rig.run().failures
    assert "the URL gives no safe path for a file" in str(failure.error)
    assert not (rig.web / "simple/foo").exists()


def test_page_that_had_something_left_out_is_asked_for_without_its_etag(rig: Rig, changed: FakePyPI) -> None:
    changed.fault("/simple/foo/", edit_page(lambda page: page["files"].append(page["files"][0] | {"filename": ".x"})))
    rig.run()
    rig.resync()
    changed.clear_requests()
    rig.run()
    conditional = {r.path: "If-None-Match" in r.headers for r in changed.page_requests()}
    assert conditional == {"/simple/foo/": False, "/simple/other/": True}


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_url_that_leads_elsewhere_changes_nothing(rig: Rig, changed: FakePyPI, url: str, tmp_path: Path) -> None:
    outside = sorted(tmp_path.rglob("*"))

    def point_to(page: Page) -> None:
        page["files"][0]["url"] = url.replace("X", page["files"][0]["filename"])

    changed.fault("/simple/foo/", edit_page(point_to), times=None)
    before = sorted(path for path in outside if rig.directory not in path.parents)
    report = rig.run()
    assert [type(failure.error) for failure in report.failures] == [SuspiciousPageError]
    assert "with a link that leads nowhere; what is here stays as it is" in str(report.failures[0].error)
    assert sorted(p for p in tmp_path.rglob("*") if rig.directory not in p.parents and p != rig.directory) == [
        path for path in before if path != rig.directory
    ]
    changed.clear_faults()
    rig.run()
    rig.assert_matches()


def test_query_of_a_url_is_sent_and_is_no_part_of_the_path(rig: Rig, changed: FakePyPI) -> None:
    def sign(page: Page) -> None:
        page["files"][-1]["url"] += "?signature=x%2F..%2F"

    changed.fault("/simple/foo/", edit_page(sign), times=None)
    changed.clear_requests()
    assert rig.run().failures == []
    assert changed.file_requests()[0].path.endswith("?signature=x%2F..%2F")
    changed.clear_faults()
    rig.assert_matches()


def test_url_that_ends_in_another_name_is_refused(rig: Rig, changed: FakePyPI) -> None:
    changed.fault("/simple/foo/", edit_file(url="/packages/aa/bb/cc/another.whl"), times=None)
    assert_project_fails_and_nothing_changes(rig, "with a link that leads nowhere")


BAD_FILES: list[tuple[str, Fault, str]] = [
    ("wrong bytes", WrongBytes(), "wrong SHA-256"),
    ("more bytes", ExtraBytes(10), "wrong size"),
    ("fewer bytes", ShortBody(100), "the body broke off"),
    ("reset", Reset(100), "Connection reset by peer"),
    ("reset at once", Reset(0), "Connection reset by peer"),
    ("missing", Status(404), "not found"),
    ("forbidden", Status(403), "upstream answered 403 Forbidden"),
    ("server error", Status(503), "upstream answered 503"),
    ("empty", Body(b""), "wrong size"),
]


@pytest.mark.parametrize(("fault", "match"), [pytest.param(f, m, id=i) for i, f, m in BAD_FILES])
def test_bad_file_never_appears(rig: Rig, pypi: FakePyPI, fault: Fault, match: str) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    file = pypi.add_file("foo", "1.1", size=5000)
    pypi.fault(file.url_path, fault, times=None)
    assert_project_fails_and_nothing_changes(rig, match)
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("fault", [WrongBytes(), ShortBody(100), Reset(100), Reset(0), Status(503), Status(429)])
def test_bad_file_is_fetched_again_in_the_same_run(rig: Rig, pypi: FakePyPI, fault: Fault) -> None:
    file = pypi.add_file("foo", "1.0", size=5000)
    pypi.fault(file.url_path, fault)
    assert rig.run().failures == []
    assert len(pypi.file_requests()) == 2
    rig.assert_matches()


def test_wrong_core_metadata_is_refused(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", metadata_in_wheel=False)
    pypi.fault(f"{file.url_path}.metadata", WrongBytes(), times=None)
    report = rig.run()
    assert "wrong SHA-256" in str(report.failures[0].error)
    assert not (rig.web / "simple/foo").exists()
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


def test_wheel_that_is_no_archive_gets_its_metadata_from_upstream(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0", content=b"this is no zip file")
    assert rig.run().failures == []
    assert len(pypi.metadata_requests()) == 1
    rig.assert_matches()


ANSWER = b"<methodResponse><params>%s</params></methodResponse>"
NO_INDEXES: list[tuple[str, Fault]] = [
    ("HTML", Body(b"<html>hello</html>", content_type="text/html")),
    ("JSON", Body(b'{"hello": 1}', content_type="application/json")),
    ("nothing", Body(b"")),
    ("another call's answer", Body(ANSWER % b"<param><value><string>x</string></value></param>")),
    ("no value", Body(ANSWER % b"")),
    ("a bad number", Body(ANSWER % b"<param><value><int>x</int></value></param>")),
    ("not UTF-8", Body(b"\xff\xfe")),
]


@pytest.mark.parametrize("fault", [pytest.param(f, id=i) for i, f in NO_INDEXES])
@pytest.mark.parametrize("call", ["changelog_last_serial", "list_packages_with_serial", "changelog_since_serial"])
def test_upstream_that_is_no_index_ends_the_run(rig: Rig, pypi: FakePyPI, fault: Fault, call: str) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault(f"rpc:{call}", fault, times=None)
    pypi.fault("/simple/", fault, times=None)
    with pytest.raises(
        (NothingToldError, NoIndexError), match=f"^{pypi.url}/pypi: .* {pypi.url}/simple/: no PEP 691 root index"
    ):
        rig.run()
    assert not (rig.directory / "state").exists()
    assert not rig.web.exists()


def test_upstream_that_knows_nothing_ends_the_run(rig: Rig, pypi: FakePyPI) -> None:
    pypi.fault("*", Status(404), times=None)
    with pytest.raises(
        (NothingToldError, NoIndexError), match=f"^{pypi.url}/pypi: not found; .* {pypi.url}/simple/: not found"
    ):
        rig.run()


@pytest.mark.parametrize("fault", [Status(500), Status(503), XmlFault(-32601, "unknown method"), Reset(0)])
def test_upstream_in_trouble_ends_the_run_and_changes_nothing(rig: Rig, changed: FakePyPI, fault: Fault) -> None:
    before = rig.tree()
    changed.fault("rpc:*", fault, times=None)
    changed.fault("/simple/", Status(503), times=None)
    with pytest.raises(UpstreamError, match=f"^{changed.url}/pypi: "):
        rig.run()
    assert rig.tree() == before
    changed.clear_faults()
    rig.run()
    rig.assert_matches()


def test_rate_limit_fault_is_waited_out(rig: Rig, changed: FakePyPI) -> None:
    changed.fault("rpc:changelog_since_serial", RateLimited(0))
    assert rig.run().failures == []
    assert changed.rpc_calls()[-3:] == ["changelog_since_serial"] * 2 + ["changelog_last_serial"]
    rig.assert_matches()


def test_changelog_longer_than_one_answer(rig: Rig, tmp_path: Path) -> None:
    with FakePyPI() as pypi:
        rig = Rig(pypi, tmp_path)
        pypi.add_file("foo", "1.0")
        rig.run()
        for _ in range(50_010):
            pypi.write_journal("nothing-here", None, "remove project")
        pypi.add_file("last", "1.0")
        pypi.clear_requests()
        rig.run()
        assert pypi.rpc_calls().count("changelog_since_serial") == 2
        rig.assert_matches()


def test_upstream_whose_journal_is_shorter_than_ours_is_not_followed(rig: Rig, pypi: FakePyPI, tmp_path: Path) -> None:
    for number in range(5):
        pypi.add_file(f"project-{number}", "1.0")
    rig.run()
    before = rig.tree()
    with FakePyPI() as restored:
        restored.add_file("foo", "1.0")
        rig.pypi = restored
        with pytest.raises(SerialMovedBackError, match="restored from a backup"):
            rig.run()
    assert rig.tree() == before


def test_outage_in_the_middle_is_one_error_and_loses_nothing(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(60):
        pypi.add_file(f"project-{number:02}", "1.0")
    for number in range(30, 60):
        pypi.fault(f"/simple/project-{number}/", Reset(0), times=None)
    assert rig.run(workers="2").outage is not None
    assert (rig.web / "simple/project-00/index.html").exists()
    assert b"project-00" in (rig.web / "simple/index.html").read_bytes()
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


def test_html_in_names_and_reasons_is_escaped(rig: Rig, pypi: FakePyPI) -> None:
    evil = '"><script>alert(1)</script>'
    file = pypi.add_file("foo", "1.0", requires_python=None)
    pypi.yank("foo", "1.0", evil)

    def edit(page: Page) -> None:
        page["files"][0]["requires-python"] = evil
        page["files"][0]["provenance"] = f"https://example.org/{evil}"
        page["files"][0]["filename"] = "foo-1.0<script>.whl"
        page["files"][0]["url"] = file.url_path.replace(file.filename, "foo-1.0<script>.whl")
        page["files"][0]["core-metadata"] = page["files"][0]["data-dist-info-metadata"] = False

    pypi.fault("/simple/foo/", edit_page(edit), times=None)
    pypi.fault(file.url_path.replace(file.filename, "foo-1.0%3Cscript%3E.whl"), Body(file.content), times=None)
    pypi.fault(file.url_path.replace(file.filename, "foo-1.0<script>.whl"), Body(file.content), times=None)
    rig.run()
    page = (rig.web / "simple/foo/index.html").read_text()
    assert "<script>" not in page
    assert json.loads((rig.web / "simple/foo/index.v1_json").read_text())["files"][0]["yanked"] == evil


def test_garbage_in_our_own_files_is_never_a_reason_to_delete(rig: Rig, pypi: FakePyPI) -> None:
    garbage: list[Callable[[], object]] = [
        lambda: (rig.directory / "state").write_bytes(b"\xff\x00 garbage"),
        lambda: (rig.directory / "todo").write_bytes(b"\xff\x00 garbage"),
        lambda: (rig.directory / "inventory.sqlite").write_bytes(b"\xff\x00 garbage" * 1000),
        lambda: (rig.web / "simple/foo/index.v1_json").write_bytes(b"\xff\x00 garbage"),
    ]
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    for spoil in garbage:
        spoil()
        pypi.clear_requests()
        rig.run()
        rig.resync()
        rig.run()
        assert pypi.file_requests() == []
        rig.assert_matches()
