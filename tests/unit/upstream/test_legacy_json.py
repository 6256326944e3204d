"""A project's legacy JSON: fetched, checked for its age, and reduced to what the mirror has."""

import json
from typing import Any

import pytest

from bandersnatch.errors import StaleMetadataError, UpstreamError
from bandersnatch.names import NormalizedName
from bandersnatch.upstream.index import Upstream
from bandersnatch.upstream.legacy_json import LegacyJson, fetch_legacy_json, without_files
from tests.support.fakepypi import FakePyPI, Status

FOO = NormalizedName("foo")


def document(**fields: Any) -> LegacyJson:
    return LegacyJson(json.dumps(fields).encode())


def tree_of(legacy: LegacyJson) -> dict[str, Any]:
    assert legacy.body is not None
    tree: dict[str, Any] = json.loads(legacy.body)
    return tree


def fetched(upstream: Upstream, required_serial: int) -> LegacyJson:
    return upstream.finish(fetch_legacy_json(upstream.documents, FOO, required_serial))


def file(name: str) -> dict[str, str]:
    return {"filename": name}


def test_the_bytes_are_those_of_upstream(upstream: Upstream, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    tree = tree_of(fetched(upstream, pypi.project_serial("foo")))
    assert (tree["info"]["name"], list(tree["releases"])) == ("foo", ["1.0"])


def test_a_document_that_upstream_does_not_have_is_none(upstream: Upstream) -> None:
    assert fetched(upstream, 1) == LegacyJson(None)


def test_one_that_is_older_than_required_is_refused(upstream: Upstream, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    serial = pypi.project_serial("foo")
    with pytest.raises(StaleMetadataError, match=rf"foo: .*\b{serial + 1}\b.*\b{serial}\b"):
        fetched(upstream, serial + 1)


def test_one_that_can_not_be_had_is_an_error(upstream: Upstream, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/pypi/foo/json", Status(503), times=None)
    with pytest.raises(UpstreamError):
        fetched(upstream, 1)


def test_dropped_files_go_and_so_do_releases_that_lose_all_of_theirs() -> None:
    releases = {"1.0": [file("a"), file("b")], "2.0": [file("c")], "3.0": []}
    tree = tree_of(without_files(document(urls=[file("c"), file("a")], releases=releases, info={"x": 1}), {"b", "c"}))
    assert tree == {"info": {"x": 1}, "releases": {"1.0": [file("a")], "3.0": []}, "urls": [file("a")]}


def test_the_same_content_gives_the_same_bytes() -> None:
    one, other = (document(**fields) for fields in ({"urls": [], "info": 1}, {"info": 1, "urls": []}))
    assert one != other
    assert without_files(one, {"x"}) == without_files(other, {"x"})


@pytest.mark.parametrize("legacy", [LegacyJson(None), LegacyJson(b"[1]"), document(urls=[file("a")])], ids=str)
def test_nothing_to_drop_changes_nothing(legacy: LegacyJson) -> None:
    assert without_files(legacy, set()) is legacy


@pytest.mark.parametrize("legacy", [LegacyJson(None), LegacyJson(b"[1]"), LegacyJson(b"null")], ids=str)
def test_what_is_no_object_stays_as_it_is(legacy: LegacyJson) -> None:
    assert without_files(legacy, {"a"}) is legacy


def test_odd_fields_are_no_error() -> None:
    assert tree_of(without_files(document(releases=[1], urls={"a": 1}), {"a"})) == {"releases": [1], "urls": []}
    assert tree_of(without_files(document(releases={"1": "x"}, urls=["a", 1]), {"a"})) == {
        "releases": {},
        "urls": ["a", 1],
    }
