"""The fast way to read the list of all projects says what the XML parser says, or nothing."""

import xmlrpc.client
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.upstream.project_list import read_project_list

NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)
SERIALS = st.integers(0, 2**31 - 1)


def answer(value: Any) -> bytes:
    return xmlrpc.client.dumps((value,), methodresponse=True).encode()


@given(st.dictionaries(NAMES, SERIALS))
def test_the_list_is_what_was_sent(serials: dict[str, int]) -> None:
    assert read_project_list(answer(serials)) == serials


@given(st.dictionaries(NAMES, SERIALS), st.sampled_from([b"", b" ", b"\n", b"\r\n\t"]))
def test_space_between_tags_does_not_count(serials: dict[str, int], space: bytes) -> None:
    assert read_project_list(answer(serials).replace(b"\n", space)) == serials


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=10), SERIALS | st.text(max_size=3) | st.booleans())
)
def test_it_never_says_another_thing_than_the_parser(value: dict[str, object]) -> None:
    body = answer(value)
    listed = read_project_list(body)
    if listed is not None:
        (parsed,), _ = xmlrpc.client.loads(body)
        assert listed == parsed


@given(st.dictionaries(NAMES, SERIALS, min_size=1), st.data())
def test_an_answer_that_is_cut_short_or_changed_is_left_to_the_parser(
    serials: dict[str, int], data: st.DataObject
) -> None:
    body = answer(serials).rstrip()
    cut = data.draw(st.integers(0, len(body) - 1))
    assert read_project_list(body[:cut]) is None


@pytest.mark.parametrize("value", [{"a": -1}, {"a": "1"}, {"a": None}, {"a b": 1}, {"a&b": 1}, [1], 1, {"a": {"b": 1}}])
def test_what_is_no_plain_list_is_left_to_the_parser(value: Any) -> None:
    body = xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True).encode()
    assert read_project_list(body) is None


def test_a_fault_is_left_to_the_parser() -> None:
    assert read_project_list(xmlrpc.client.dumps(xmlrpc.client.Fault(1, "no"), methodresponse=True).encode()) is None


def test_blanks_without_end_are_left_to_the_parser_at_once() -> None:
    assert read_project_list(b" " * 1_000_000) is None
