"""HTTP: which schemes are allowed, where passwords go, and what goes through proxies."""

import importlib.util
from contextlib import closing

import pytest

from bandersnatch.config import HttpConfig
from bandersnatch.errors import (
    BrokenBodyError,
    MalformedResponseError,
    RefusedSchemeError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.fetch import Fetcher
from bandersnatch.retries import RetryPolicy
from tests.builders import make_fetcher
from tests.fakepypi import FakePyPI, Fault, Reset, ShortBody, Status
from tests.fetching import CLOSED_PORT, DATA, Way, every_way, get, ok


@pytest.fixture
def url(pypi: FakePyPI) -> str:
    """Return the URL of a document that only faults answer."""
    return f"{pypi.url}/x"


@every_way
def test_http_is_refused_where_it_is_not_allowed(pypi: FakePyPI, url: str, fetch: Way) -> None:
    with (
        closing(make_fetcher(allow_non_https=False)) as fetcher,
        pytest.raises(UpstreamUnavailableError, match=f"^{url}: not https://, and allow-non-https is false$"),
    ):
        fetch(fetcher, url)
    assert pypi.requests == []


@every_way
@pytest.mark.parametrize("fault", [Status(404), Status(403), Status(503), Reset()])
def test_passwords_are_not_told(pypi: FakePyPI, fetcher: Fetcher, fetch: Way, fault: Fault) -> None:
    pypi.fault("/x", fault, times=None)
    host = pypi.url.removeprefix("http://")
    with pytest.raises(UpstreamError, match=f"^http://{host}/x: ") as caught:
        fetch(fetcher, f"http://user:secret@{host}/x")
    assert "secret" not in str(caught.value)


def test_passwords_are_not_told_with_a_broken_or_an_oversize_body(pypi: FakePyPI, fetcher: Fetcher) -> None:
    pypi.create_project("sample")
    url = f"{pypi.url.replace('://', '://user:secret@')}/simple/sample/"
    with pytest.raises(MalformedResponseError) as oversize:
        fetcher.get(url, {}, 10)
    pypi.fault("/simple/sample/", ShortBody(10), times=None)
    with pytest.raises(BrokenBodyError) as broken:
        fetcher.get(url, {})
    assert "secret" not in str(oversize.value) + str(broken.value)


def test_the_password_of_a_proxy_is_not_told(fetcher: Fetcher) -> None:
    with (
        closing(make_fetcher(proxy="http://user:secret@127.0.0.1:9")) as proxied,
        pytest.raises(UpstreamUnavailableError) as caught,
    ):
        get(proxied, "http://index.example/x")
    assert "secret" not in str(caught.value)


def test_passwords_are_sent(pypi: FakePyPI, fetcher: Fetcher) -> None:
    pypi.fault("/x", ok())
    get(fetcher, f"{pypi.url.replace('://', '://user:secret@')}/x")
    assert pypi.requests[0].headers["Authorization"].startswith("Basic ")


def test_requests_go_through_the_proxy(pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    pypi.create_project("sample")
    with closing(make_fetcher(proxy=pypi.url)) as fetcher:
        assert b"sample" in get(fetcher, "http://index.example/simple/")
    assert pypi.requests[0].headers["Host"] == "index.example"


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("name", ["SOCKS5_PROXY", "socks5_proxy", "SOCKS4_PROXY", "SOCKS_PROXY"])
def test_requests_go_through_the_socks_proxy_of_the_environment(
    pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", CLOSED_PORT)
    monkeypatch.setenv("SOCKS_PROXY", CLOSED_PORT)
    monkeypatch.setenv(name, pypi.url)  # which is no SOCKS proxy, and as its URL says, it is not asked as one
    pypi.create_project("sample")
    with closing(make_fetcher()) as fetcher:
        assert b"sample" in get(fetcher, "http://index.example/simple/")
    with closing(make_fetcher(proxy=CLOSED_PORT)) as fetcher, pytest.raises(UpstreamUnavailableError):
        get(fetcher, "http://index.example/simple/")


@pytest.mark.usefixtures("no_proxies")
def test_no_proxy_counts_beside_the_socks_proxy_of_the_environment(
    pypi: FakePyPI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOCKS_PROXY", CLOSED_PORT)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pypi.fault("/x", ok())
    with closing(make_fetcher()) as fetcher:
        assert get(fetcher, url) == DATA


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.skipif(importlib.util.find_spec("socks") is not None, reason="PySocks is installed")
def test_a_socks_proxy_of_the_environment_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKS5_PROXY", "127.0.0.1:9")
    with (
        closing(make_fetcher()) as fetcher,
        pytest.raises(UpstreamUnavailableError, match=r"needs the package PySocks: pip install bandersnatch\[socks\]"),
    ):
        get(fetcher, "http://index.example/x")


def test_no_proxy_counts_beside_a_configured_proxy(pypi: FakePyPI, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pypi.fault("/x", ok())
    with closing(make_fetcher(proxy=CLOSED_PORT)) as fetcher:
        assert get(fetcher, url) == DATA


def test_a_proxy_where_nobody_listens_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        closing(make_fetcher(proxy=CLOSED_PORT)) as fetcher,
        pytest.raises(UpstreamUnavailableError, match=r"^http://index\.example/x: the proxy: Connection refused$"),
    ):
        get(fetcher, "http://index.example/x")


def test_links_that_are_refused_say_nothing_of_their_host(pypi: FakePyPI, url: str) -> None:
    pypi.fault("/x", Status(301, {"Location": "http://other.example/x"}), times=None)
    config = HttpConfig("https://index.example", allow_non_https=False, download_mirror=pypi.url)
    with closing(Fetcher(config, RetryPolicy(failures_until_down=2))) as fetcher:
        for _ in range(5):
            with pytest.raises(RefusedSchemeError, match=r"^http://other\.example/x: not https://"):
                get(fetcher, url)
    assert len(pypi.requests) == 5
