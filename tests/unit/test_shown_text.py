"""What others sent, in our messages: it forges no line, fills no screen, and gives no password away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.shown_text import MAX_SHOWN_TEXT, printable, shown, without_credentials
from tests.support.builders import unhurried


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain é 日本", "plain é 日本"), ("a\nb", "a\\nb"), ("\x1b[2J", "\\x1b[2J"), ("a\u202eb", "a\\u202eb"), ("", "")],
)
def test_what_can_not_be_printed_is_escaped(text: str, expected: str) -> None:
    assert printable(text) == shown(text) == expected


def test_long_text_is_cut() -> None:
    assert shown("a" * MAX_SHOWN_TEXT) == "a" * MAX_SHOWN_TEXT
    assert shown("a" * 1000) == f"{'a' * MAX_SHOWN_TEXT}..."
    assert shown("abc", 2) == "ab..."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:secret@index.example/simple/", "https://index.example/simple/"),
        ("from http://a:b@c.example to socks5://d@e.example:1", "from http://c.example to socks5://e.example:1"),
        ("https://index.example/@at", "https://index.example/@at"),
    ],
)
def test_user_names_and_passwords_are_left_out(text: str, expected: str) -> None:
    assert without_credentials(text) == expected


@unhurried
@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    assert shown(text).isprintable()
