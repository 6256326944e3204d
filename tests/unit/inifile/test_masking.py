"""Values of a configuration are shown without the secrets in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.inifile.masking import masked, masked_line, masked_wrong

SECRET_NAMES = ("password", "aws_secret_access_key", "API_TOKEN", "s3-access_key")


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_the_value_of_a_secret_is_not_shown_at_all(name: str) -> None:
    assert masked(name, "hunter2") == masked_wrong(name, "hunter2") == "***"
    assert masked_line(f"{name} = hunter2") == f"{name} ***"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://pypi.example/simple", "https://pypi.example/simple"),
        ("https://alice:hunter2@pypi.example/x", "https://***@pypi.example/x"),
        ("alice:hunter2@proxy.example:8080", "***@proxy.example:8080"),
        ("http://a:b@one.example\nhttp://c:d@two.example", "http://***@one.example\nhttp://***@two.example"),
        ("https://pypi.example/@scope", "https://pypi.example/@scope"),
    ],
)
def test_urls_are_shown_without_credentials(value: str, shown: str) -> None:
    assert masked("master", value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("htps://alice:pass/word@pypi.example", "htps://***@pypi.example"),
        ("alice:p@ss@word@pypi.example", "***@pypi.example"),
        ("no url", "no url"),
    ],
)
def test_of_a_malformed_value_nothing_is_shown_that_may_be_a_password(value: str, shown: str) -> None:
    assert masked_wrong("master", value) == shown


@given(secret=st.text(st.characters(codec="ascii", exclude_characters="@/\n", min_codepoint=33), min_size=4))
def test_no_password_of_any_letters_is_shown(secret: str) -> None:
    shown = masked_line(f"master htps://{secret}@pypi.example")
    assert shown == "master ***" or shown.endswith("***@pypi.example")
    assert masked("master", f"https://{secret}@pypi.example") == "https://***@pypi.example"
