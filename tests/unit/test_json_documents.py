"""The root index and the legacy JSON become values, or an error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.errors import MalformedResponseError
from bandersnatch.json_documents import parse_legacy_serial, parse_root_index
from bandersnatch.model import ListedProject
from bandersnatch.names import parse_project_name
from tests.support.builders import PAGE_URL, SAMPLE, encoded, json_values, named, unhurried
from tests.support.recorded import RECORDED


def test_the_root_index_of_pypi_is_read() -> None:
    body = (RECORDED / "06-final" / "simple-index.json.body").read_bytes()
    serial, projects = parse_root_index(body, PAGE_URL)
    value = json.loads(body)
    assert serial == value["meta"]["_last-serial"]
    assert projects == {
        named(entry["name"]): ListedProject(entry["name"], entry["_last-serial"]) for entry in value["projects"]
    }


def test_the_root_index_of_another_bandersnatch_has_names_only() -> None:
    body = encoded({"meta": {"_last-serial": 9, "api-version": "1.1"}, "projects": [{"name": "foo"}]})
    assert parse_root_index(body, PAGE_URL) == (None, {named("foo"): ListedProject("foo", 0)})


def test_a_name_that_can_not_be_is_left_out_of_the_root_index() -> None:
    body = encoded({"projects": [{"name": "../evil"}, {"name": "Fine", "_last-serial": 3}]})
    assert parse_root_index(body, PAGE_URL) == (None, {named("fine"): ListedProject("Fine", 3)})


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"projects": 1}', b'{"projects": [{}]}'])
def test_what_is_no_root_index_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError, match="no PEP 691 root index"):
        parse_root_index(body, PAGE_URL)


@unhurried
@given(st.binary() | json_values.map(encoded) | json_values.map(lambda value: encoded({"projects": [{"name": value}]})))
def test_any_bytes_are_a_root_index_or_malformed(body: bytes) -> None:
    try:
        _, projects = parse_root_index(body, PAGE_URL)
    except MalformedResponseError:
        return
    assert all(parse_project_name(project.display_name) == name for name, project in projects.items())


def test_the_legacy_json_of_pypi_tells_its_serial() -> None:
    body = (RECORDED / "06-final" / "pypi-yanky.json.body").read_bytes()
    assert parse_legacy_serial(body, named("yanky"), PAGE_URL) == json.loads(body)["last_serial"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "Not Found"}', "no JSON of a project"),
        (b"<html>", "no JSON of a project"),
        (b'{"info": {"name": "other"}, "last_serial": 1}', "the JSON is of project 'other'"),
        (b'{"info": {"name": "sample"}}', "last_serial"),
        (b'{"info": {"name": "sample"}, "last_serial": null}', "last_serial"),
        (b'{"info": {}, "last_serial": 1}', "name"),
    ],
)
def test_what_is_no_legacy_json_of_the_project_is_malformed(body: bytes, words: str) -> None:
    with pytest.raises(MalformedResponseError, match=words):
        parse_legacy_serial(body, SAMPLE, PAGE_URL)


@unhurried
@given(st.binary() | json_values.map(encoded))
def test_any_bytes_are_legacy_json_or_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        parse_legacy_serial(body, SAMPLE, PAGE_URL)
