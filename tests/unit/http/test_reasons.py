"""Why an answer did not come, in a few words, and never with a password."""

import pytest
import urllib3

from bandersnatch.http.reasons import reason_of


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Unable to determine SOCKS version from socks6://me:secret@proxy.example"),
        urllib3.exceptions.LocationParseError("socks5h://me:secret@proxy.example:99999"),
    ],
)
def test_no_password_of_a_proxy_is_told(error: Exception) -> None:
    reason = reason_of(error, 10)
    assert "proxy.example" in reason
    assert "secret" not in reason


def test_a_socket_that_waited_too_long_says_how_long() -> None:
    assert reason_of(TimeoutError("timed out"), 0.5) == "no answer for 0.5 s"
