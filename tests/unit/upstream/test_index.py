"""The index as the sync sees it: pages, metadata, files; and answers that are none of these."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from bandersnatch.errors import MalformedResponseError, NotFoundError, UpstreamError, UpstreamUnavailableError
from bandersnatch.model import ListedProject
from bandersnatch.upstream.documents import MAX_METADATA_BYTES, SIMPLE_JSON, FetchedPage
from bandersnatch.upstream.index import Upstream
from tests.support.builders import SAMPLE, encoded, make_conversation, named, wire_page
from tests.support.fakepypi import Body, Edit, FakePyPI, Fault, SerialHeader, Status

PAGE = "/simple/sample/"
JSON = "/pypi/sample/json"
HTML = b"<!DOCTYPE html><html><body>Welcome</body></html>"


@contextmanager
def connected(url: str) -> Iterator[Upstream]:
    with closing(make_conversation()) as conversation:
        yield Upstream(conversation, url)


@pytest.fixture
def upstream(pypi: FakePyPI) -> Iterator[Upstream]:
    with connected(pypi.url) as upstream:
        yield upstream


def edit(change: Callable[[dict[str, Any]], object]) -> Edit:
    """Return a fault that changes a page in place."""

    def edited(page: dict[str, Any]) -> dict[str, Any]:
        change(page)
        return page

    return Edit(edited)


def json_page(**fields: object) -> Body:
    return Body(encoded(wire_page(**fields)), content_type=SIMPLE_JSON)


# Pages


def test_a_page_is_fetched_as_json_with_its_serial_and_its_etag(pypi: FakePyPI, upstream: Upstream) -> None:
    file = pypi.add_file("Sample", "1.0")
    fetched = upstream.project_page(SAMPLE, None)
    assert fetched.page is not None
    assert fetched.serial == fetched.page.serial == pypi.serial
    assert [each.filename for each in fetched.page.files] == [file.filename]
    assert fetched.etag is not None
    (request,) = pypi.requests
    assert request.path == PAGE
    assert request.headers["Accept"] == SIMPLE_JSON
    assert "If-None-Match" not in request.headers


def test_a_page_that_has_not_changed_is_not_sent_again(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("sample")
    first = upstream.project_page(SAMPLE, None)
    assert upstream.project_page(SAMPLE, first.etag) == FetchedPage(None, first.serial, first.etag)


def test_a_page_that_has_changed_is_sent(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("sample")
    first = upstream.project_page(SAMPLE, None)
    pypi.add_file("sample", "1.0")
    second = upstream.project_page(SAMPLE, first.etag)
    assert second.page is not None
    assert len(second.page.files) == 1
    assert second.etag != first.etag


def test_a_304_that_was_not_asked_for_is_an_error_of_upstream(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.fault(PAGE, Status(304))
    with pytest.raises(UpstreamError):
        upstream.project_page(SAMPLE, None)


def test_a_project_that_is_not_there_is_not_found(pypi: FakePyPI, upstream: Upstream) -> None:
    with pytest.raises(NotFoundError, match=f"^{pypi.url}{PAGE}: not found$"):
        upstream.project_page(SAMPLE, None)


@pytest.mark.parametrize(
    ("on_page", "in_header", "expected"),
    [(7, 9, 7), (7, None, 7), (None, 9, 9), (None, None, None), (None, "x", None), (None, "-1", None), (0, 9, 0)],
)
def test_the_serial_is_that_of_the_page_else_that_of_the_header(
    pypi: FakePyPI, upstream: Upstream, on_page: int | None, in_header: int | str | None, expected: int | None
) -> None:
    headers = {"Content-Type": SIMPLE_JSON} | ({} if in_header is None else {"X-PyPI-Last-Serial": str(in_header)})
    pypi.fault(PAGE, Status(200, headers, encoded(wire_page(meta={"_last-serial": on_page}))))
    assert upstream.project_page(SAMPLE, None).serial == expected


def test_a_304_tells_the_serial_in_its_header(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("sample")
    etag = upstream.project_page(SAMPLE, None).etag
    pypi.fault(PAGE, SerialHeader(99))
    assert upstream.project_page(SAMPLE, etag) == FetchedPage(None, 99, etag)


@pytest.mark.parametrize(
    "kind", [SIMPLE_JSON, f"{SIMPLE_JSON}; charset=utf-8", "application/json", "application/json; charset=utf-8"]
)
def test_json_is_taken_under_both_of_its_types(pypi: FakePyPI, upstream: Upstream, kind: str) -> None:
    pypi.fault(PAGE, Body(encoded(wire_page()), content_type=kind))
    assert upstream.project_page(SAMPLE, None).serial == 7


@pytest.mark.parametrize("kind", ["text/html; charset=UTF-8", "application/vnd.pypi.simple.v1+html", "text/plain"])
def test_another_type_is_told(pypi: FakePyPI, upstream: Upstream, kind: str) -> None:
    pypi.fault(PAGE, Body(HTML, content_type=kind))
    with pytest.raises(MalformedResponseError) as caught:
        upstream.project_page(SAMPLE, None)
    assert str(caught.value) == f"{pypi.url}{PAGE}: no PEP 691 page, but {kind}"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Body(HTML, content_type=SIMPLE_JSON), "no PEP 691 page, but HTML, said to be application"),
        (Body(b"", content_type=SIMPLE_JSON), "no PEP 691 page: "),
        (json_page(name="other"), "the page is of project 'other'"),
        (json_page(meta={"_last-serial": -1}), "_last-serial is -1"),
    ],
)
def test_a_page_that_is_none_is_malformed(pypi: FakePyPI, upstream: Upstream, fault: Fault, words: str) -> None:
    pypi.fault(PAGE, fault)
    with pytest.raises(MalformedResponseError, match=f"^{pypi.url}{PAGE}: {words}"):
        upstream.project_page(SAMPLE, None)


def test_a_file_with_a_hostile_name_is_left_out(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.add_file("sample", "1.0")
    pypi.fault(PAGE, edit(lambda page: page["files"][0].update(filename="../../../etc/passwd")))
    page = upstream.project_page(SAMPLE, None).page
    assert page is not None
    assert (page.files, page.left_out) == ((), ("../../../etc/passwd",))


def test_an_etag_that_can_not_be_sent_back_is_an_error_of_upstream(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("sample")
    with pytest.raises(UpstreamUnavailableError):
        upstream.project_page(SAMPLE, '"a\nb"')


# Metadata, legacy JSON, the root index


def metadata_of(upstream: Upstream, url: str, sha256: str) -> bytes:
    return upstream.finish(upstream.documents.metadata(url, sha256, SAMPLE))


def test_core_metadata_is_fetched(pypi: FakePyPI, upstream: Upstream) -> None:
    file = pypi.add_file("sample", "1.0")
    assert file.metadata is not None
    sha256 = hashlib.sha256(file.metadata).hexdigest()
    assert metadata_of(upstream, f"{pypi.url}{file.url_path}", sha256) == file.metadata


def test_core_metadata_that_is_not_there_is_not_found(pypi: FakePyPI, upstream: Upstream) -> None:
    file = pypi.add_file("sample", "1.0", kind="sdist")
    with pytest.raises(NotFoundError, match=r"\.metadata: not found$"):
        metadata_of(upstream, f"{pypi.url}{file.url_path}", "")


def test_core_metadata_larger_than_any_is_malformed(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.fault("/x.metadata", Status(200, {}, b"x" * (MAX_METADATA_BYTES + 1)))
    with pytest.raises(MalformedResponseError, match="is larger than"):
        metadata_of(upstream, f"{pypi.url}/x", "")


def test_the_legacy_json_is_fetched_as_it_is(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.add_file("Sample", "1.0")
    body, serial = upstream.project_json(SAMPLE)
    assert serial == pypi.serial
    assert json.loads(body)["info"]["name"] == "Sample"


def test_a_project_without_releases_has_no_legacy_json(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("sample")
    with pytest.raises(NotFoundError):
        upstream.project_json(SAMPLE)


def test_legacy_json_that_is_none_is_malformed(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.fault(JSON, Body(HTML))
    with pytest.raises(MalformedResponseError, match=f"^{pypi.url}{JSON}: no JSON of a project"):
        upstream.project_json(SAMPLE)


def test_the_root_index_has_all_projects_but_the_quarantined(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("Sample")
    pypi.create_project("malware")
    pypi.quarantine_project("malware")
    root = upstream.root()
    assert (root.serial, root.projects) == (5, {SAMPLE: ListedProject("Sample", 2)})
    assert dict(upstream.all_projects(lambda *_: True)[1]) == {
        SAMPLE: ListedProject("Sample", 2),
        named("malware"): ListedProject("malware", 5),
    }


@pytest.mark.parametrize(
    "value",
    [
        {"meta": {}, "projects": []},
        {"meta": {"_last-serial": 9}, "projects": [{"name": "sample"}]},
        {"meta": {"_last-serial": 9}, "projects": [{"name": "sample", "_last-serial": 0}]},
    ],
)
def test_a_root_index_that_lacks_a_serial_counts_as_without(pypi: FakePyPI, upstream: Upstream, value: object) -> None:
    pypi.fault("/simple/", Body(encoded(value), content_type=SIMPLE_JSON))
    assert upstream.root().serial is None


def test_a_root_index_that_is_html_is_malformed(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.fault("/simple/", Body(HTML, content_type="text/html"))
    with pytest.raises(MalformedResponseError):
        upstream.root()


# The journal, and passwords


def test_the_journal_is_asked_through_the_same_door(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("sample")
    assert upstream.last_serial() == 2
    newest, changes = upstream.changes_since(1)
    assert (newest, len(changes)) == (2, 1)
    assert upstream.url == pypi.url


def test_passwords_are_not_told(pypi: FakePyPI) -> None:
    pypi.fault(PAGE, Body(HTML, content_type="text/html"), Body(HTML, content_type=SIMPLE_JSON), Status(404))
    pypi.fault(JSON, Body(HTML), Status(403))
    pypi.fault("/simple/", Body(HTML), json_page())
    with connected(pypi.url.replace("://", "://user:secret@")) as upstream:
        calls: list[Callable[[], object]] = [
            *[lambda: upstream.project_page(SAMPLE, None)] * 3,
            *[lambda: upstream.project_json(SAMPLE)] * 2,
            *[upstream.root] * 2,
        ]
        told = []
        for call in calls:
            with pytest.raises(UpstreamError) as caught:
                call()
            told.append(str(caught.value))
    assert [text for text in told if "secret" in text] == []


def test_legacy_json_that_is_html_is_told_as_such(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.add_file("sample", "1.0")
    pypi.fault("/pypi/sample/json", Body(HTML, content_type="text/html"))
    with pytest.raises(MalformedResponseError, match=r"/pypi/sample/json: no JSON of a project, but text/html$"):
        upstream.project_json(named("sample"))
