"""Transfer: which schemes are allowed, where passwords go, and what goes through proxies."""

import importlib.util
import ssl
from contextlib import closing
from pathlib import Path

import pytest

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import (
    BrokenBodyError,
    MalformedResponseError,
    RefusedSchemeError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.http.retries import RetryPolicy
from bandersnatch.http.transfer import Transfer
from tests.support.builders import make_transfer
from tests.support.fakepypi import FakePyPI, Fault, Reset, ShortBody, Status
from tests.support.fetching import CLOSED_PORT, DATA, ok
from tests.support.scripted import answer, scripted
from tests.support.transferring import Way, ask, every_way, get


@pytest.fixture
def url(pypi: FakePyPI) -> str:
    """Return the URL of a document that only faults answer."""
    return f"{pypi.url}/x"


@every_way
def test_http_is_refused_where_it_is_not_allowed(pypi: FakePyPI, url: str, fetch: Way) -> None:
    with (
        closing(make_transfer(allow_non_https=False)) as transfer,
        pytest.raises(UpstreamUnavailableError, match=f"^{url}: not https://, and allow-non-https is false$"),
    ):
        fetch(transfer, url)
    assert pypi.requests == []


@every_way
@pytest.mark.parametrize("fault", [Status(404), Status(403), Status(503), Reset()])
def test_passwords_are_not_told(pypi: FakePyPI, transfer: Transfer, fetch: Way, fault: Fault) -> None:
    pypi.fault("/x", fault, times=None)
    host = pypi.url.removeprefix("http://")
    with pytest.raises(UpstreamError, match=f"^http://{host}/x: ") as caught:
        fetch(transfer, f"http://user:secret@{host}/x")
    assert "secret" not in str(caught.value)


def test_passwords_are_not_told_with_a_broken_or_an_oversize_body(pypi: FakePyPI, transfer: Transfer) -> None:
    pypi.create_project("sample")
    url = f"{pypi.url.replace('://', '://user:secret@')}/simple/sample/"
    with pytest.raises(MalformedResponseError) as oversize:
        ask(transfer, url, {}, 10)
    pypi.fault("/simple/sample/", ShortBody(10), times=None)
    with pytest.raises(BrokenBodyError) as broken:
        ask(transfer, url, {})
    assert "secret" not in str(oversize.value) + str(broken.value)


def test_the_password_of_a_proxy_is_not_told(transfer: Transfer) -> None:
    with (
        closing(make_transfer(proxy="http://user:secret@127.0.0.1:9")) as proxied,
        pytest.raises(UpstreamUnavailableError) as caught,
    ):
        get(proxied, "http://index.example/x")
    assert "secret" not in str(caught.value)


def test_passwords_are_sent(pypi: FakePyPI, transfer: Transfer) -> None:
    pypi.fault("/x", ok())
    get(transfer, f"{pypi.url.replace('://', '://user:secret@')}/x")
    assert pypi.requests[0].headers["Authorization"].startswith("Basic ")


def test_requests_go_through_the_proxy(pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    pypi.create_project("sample")
    with closing(make_transfer(proxy=pypi.url)) as transfer:
        assert b"sample" in get(transfer, "http://index.example/simple/")
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
    with closing(make_transfer()) as transfer:
        assert b"sample" in get(transfer, "http://index.example/simple/")
    with closing(make_transfer(proxy=CLOSED_PORT)) as transfer, pytest.raises(UpstreamUnavailableError):
        get(transfer, "http://index.example/simple/")


@pytest.mark.usefixtures("no_proxies")
def test_no_proxy_counts_beside_the_socks_proxy_of_the_environment(
    pypi: FakePyPI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOCKS_PROXY", CLOSED_PORT)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pypi.fault("/x", ok())
    with closing(make_transfer()) as transfer:
        assert get(transfer, url) == DATA


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.skipif(importlib.util.find_spec("socks") is not None, reason="PySocks is installed")
def test_a_socks_proxy_of_the_environment_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKS5_PROXY", "127.0.0.1:9")
    with (
        closing(make_transfer()) as transfer,
        pytest.raises(UpstreamUnavailableError, match=r"needs the package PySocks: pip install bandersnatch\[socks\]"),
    ):
        get(transfer, "http://index.example/x")


def test_no_proxy_counts_beside_a_configured_proxy(pypi: FakePyPI, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pypi.fault("/x", ok())
    with closing(make_transfer(proxy=CLOSED_PORT)) as transfer:
        assert get(transfer, url) == DATA


def test_a_proxy_where_nobody_listens_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        closing(make_transfer(proxy=CLOSED_PORT)) as transfer,
        pytest.raises(
            UpstreamUnavailableError,
            match=r"^http://index\.example/x: the proxy http://127\.0\.0\.1:9: Connection refused$",
        ),
    ):
        get(transfer, "http://index.example/x")


def test_links_that_are_refused_say_nothing_of_their_host(pypi: FakePyPI, url: str) -> None:
    pypi.fault("/x", Status(301, {"Location": "http://other.example/x"}), times=None)
    config = HttpConfig("https://index.example", allow_non_https=False, download_mirror=pypi.url)
    with closing(Transfer(config, RetryPolicy(failures_until_down=2))) as transfer:
        for _ in range(5):
            with pytest.raises(RefusedSchemeError, match=r"^http://other\.example/x: not https://"):
                get(transfer, url)
    assert len(pypi.requests) == 5


def test_a_proxy_that_wants_a_password_is_named(pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    pypi.fault("/x", Status(407), Status(403), Status(403))
    with closing(make_transfer(proxy=pypi.url.replace("://", "://user:secret@"))) as transfer:
        with pytest.raises(UpstreamUnavailableError, match=f": the proxy {pypi.url} answered 407 Proxy Auth"):
            get(transfer, "http://index.example/x")
        with pytest.raises(
            UpstreamUnavailableError, match=f": upstream, through the proxy {pypi.url}, answered 403 Forb"
        ):
            get(transfer, "http://index.example/x")


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named_whatever_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    refusal = answer(b"", status="403 Not\x1b[2J For You")
    with scripted(lambda line, _: line.send(refusal)) as proxy, closing(make_transfer(proxy=proxy)) as transfer:
        with pytest.raises(UpstreamUnavailableError, match=f"the proxy {proxy}.*403 Not") as caught:
            get(transfer, f"{scheme}://index.example/x")
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("is_known", [False, True])
def test_a_certificate_of_an_authority_of_ones_own_is_told_with_what_helps(
    monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    certificate = str(Path(__file__).parents[2] / "data" / "loopback.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    if is_known:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    with scripted(lambda line, _: line.send(answer(DATA)), context) as url, closing(make_transfer()) as transfer:
        if is_known:
            assert get(transfer, f"{url}/x") == DATA
        else:
            with pytest.raises(UpstreamUnavailableError, match=r"self.signed certificate; .* set REQUESTS_CA_BUNDLE"):
                get(transfer, f"{url}/x")
