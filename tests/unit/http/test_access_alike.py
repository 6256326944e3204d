"""Schemes, passwords and proxies: what is promised of them holds for conversations and for documents."""

import importlib.util
import ssl
from contextlib import closing
from pathlib import Path

import pytest

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import (
    BrokenBodyError,
    MalformedResponseError,
    RefusedSchemeError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.retry_policy import RetryPolicy
from bandersnatch.http.run_limits import RunLimits
from tests.support.asking import Client, Way, for_gets, for_got_documents
from tests.support.fakepypi import FakePyPI, Fault, Reset, ShortBody, Status
from tests.support.fetching import CLOSED_PORT, DATA, ok
from tests.support.scripted import answer, scripted


def test_http_is_refused_where_it_is_not_allowed(pypi: FakePyPI, url: str, way: Way) -> None:
    with (
        closing(way.make(allow_non_https=False)) as client,
        pytest.raises(UpstreamUnavailableError, match=f"^{url}: not https://, and allow-non-https is false$"),
    ):
        way.fetch(client, url)
    assert pypi.requests == []


@pytest.mark.parametrize("fault", [Status(404), Status(403), Status(503), Reset()])
def test_passwords_are_not_told(pypi: FakePyPI, fault: Fault, way: Way, client: Client) -> None:
    pypi.fault("/x", fault, times=None)
    host = pypi.url.removeprefix("http://")
    with pytest.raises(UpstreamError, match=f"^http://{host}/x: ") as caught:
        way.fetch(client, f"http://user:secret@{host}/x")
    assert "secret" not in str(caught.value)


@for_got_documents
def test_passwords_are_not_told_with_a_broken_or_an_oversize_body(pypi: FakePyPI, way: Way, client: Client) -> None:
    pypi.create_project("sample")
    url = f"{pypi.url.replace('://', '://user:secret@')}/simple/sample/"
    with pytest.raises(MalformedResponseError) as oversize:
        way.ask(client, url, {}, 10)
    pypi.fault("/simple/sample/", ShortBody(10), times=None)
    with pytest.raises(BrokenBodyError) as broken:
        way.ask(client, url, {})
    assert "secret" not in str(oversize.value) + str(broken.value)


def test_the_password_of_a_proxy_is_not_told(way: Way) -> None:
    with (
        closing(way.make(proxy="http://user:secret@127.0.0.1:9")) as proxied,
        pytest.raises(UpstreamUnavailableError) as caught,
    ):
        way.fetch(proxied, "http://index.example/x")
    assert "secret" not in str(caught.value)


def test_passwords_are_sent(pypi: FakePyPI, way: Way, client: Client) -> None:
    pypi.fault("/x", ok())
    way.fetch(client, f"{pypi.url.replace('://', '://user:secret@')}/x")
    assert pypi.requests[0].headers["Authorization"].startswith("Basic ")


@for_gets
def test_requests_go_through_the_proxy(pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    pypi.create_project("sample")
    with closing(way.make(proxy=pypi.url)) as client:
        assert b"sample" in way.fetch(client, "http://index.example/simple/")
    assert pypi.requests[0].headers["Host"] == "index.example"


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("name", ["SOCKS5_PROXY", "socks5_proxy", "SOCKS4_PROXY", "SOCKS_PROXY"])
@for_gets
def test_requests_go_through_the_socks_proxy_of_the_environment(
    pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch, name: str, way: Way
) -> None:
    monkeypatch.setenv("HTTP_PROXY", CLOSED_PORT)
    monkeypatch.setenv("SOCKS_PROXY", CLOSED_PORT)
    monkeypatch.setenv(name, pypi.url)  # which is no SOCKS proxy, and as its URL says, it is not asked as one
    pypi.create_project("sample")
    with closing(way.make()) as client:
        assert b"sample" in way.fetch(client, "http://index.example/simple/")
    with closing(way.make(proxy=CLOSED_PORT)) as client, pytest.raises(UpstreamUnavailableError):
        way.fetch(client, "http://index.example/simple/")


@pytest.mark.usefixtures("no_proxies")
def test_no_proxy_counts_beside_the_socks_proxy_of_the_environment(
    pypi: FakePyPI, url: str, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    monkeypatch.setenv("SOCKS_PROXY", CLOSED_PORT)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pypi.fault("/x", ok())
    with closing(way.make()) as client:
        assert way.fetch(client, url) == DATA


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.skipif(importlib.util.find_spec("socks") is not None, reason="PySocks is installed")
def test_a_socks_proxy_of_the_environment_needs_its_package(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    monkeypatch.setenv("SOCKS5_PROXY", "127.0.0.1:9")
    with (
        closing(way.make()) as client,
        pytest.raises(UpstreamUnavailableError, match=r"needs the package PySocks: pip install bandersnatch\[socks\]"),
    ):
        way.fetch(client, "http://index.example/x")


def test_no_proxy_counts_beside_a_configured_proxy(
    pypi: FakePyPI, url: str, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pypi.fault("/x", ok())
    with closing(way.make(proxy=CLOSED_PORT)) as client:
        assert way.fetch(client, url) == DATA


def test_a_proxy_where_nobody_listens_is_told_as_such(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        closing(way.make(proxy=CLOSED_PORT)) as client,
        pytest.raises(
            UpstreamUnavailableError,
            match=r"^http://index\.example/x: the proxy http://127\.0\.0\.1:9: Connection refused$",
        ),
    ):
        way.fetch(client, "http://index.example/x")


def test_links_that_are_refused_say_nothing_of_their_host(pypi: FakePyPI, url: str, way: Way) -> None:
    pypi.fault("/x", Status(301, {"Location": "http://other.example/x"}), times=None)
    config = HttpConfig("https://index.example", allow_non_https=False, download_mirror=pypi.url)
    with closing(way.kind(config, RunLimits(RetryPolicy(failures_until_down=2)))) as client:
        for _ in range(5):
            with pytest.raises(RefusedSchemeError, match=r"^http://other\.example/x: not https://"):
                way.fetch(client, url)
    # A redirect on a used connection may be the answer to another request: it is asked once more on a new one.
    assert len(pypi.requests) == (5 if way.kind is Conversation else 9)


def test_a_proxy_that_wants_a_password_is_named(pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    pypi.fault("/x", Status(407), Status(403), Status(403))
    with closing(way.make(proxy=pypi.url.replace("://", "://user:secret@"))) as client:
        with pytest.raises(UpstreamUnavailableError, match=f": the proxy {pypi.url} answered 407 Proxy Auth"):
            way.fetch(client, "http://index.example/x")
        with pytest.raises(
            UpstreamUnavailableError, match=f": upstream, through the proxy {pypi.url}, answered 403 Forb"
        ):
            way.fetch(client, "http://index.example/x")


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named_whatever_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, scheme: str, way: Way
) -> None:
    refusal = answer(b"", status="403 Not\x1b[2J For You")
    with scripted(lambda line, _: line.send(refusal)) as proxy, closing(way.make(proxy=proxy)) as client:
        with pytest.raises(UpstreamUnavailableError, match=f"the proxy {proxy}.*403 Not") as caught:
            way.fetch(client, f"{scheme}://index.example/x")
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("is_known", [False, True])
def test_a_certificate_of_an_authority_of_ones_own_is_told_with_what_helps(
    monkeypatch: pytest.MonkeyPatch, is_known: bool, way: Way
) -> None:
    certificate = str(Path(__file__).parents[2] / "data" / "loopback.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    if is_known:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    with scripted(lambda line, _: line.send(answer(DATA)), context) as url, closing(way.make()) as client:
        if is_known:
            assert way.fetch(client, f"{url}/x") == DATA
        else:
            with pytest.raises(UpstreamUnavailableError, match=r"self.signed certificate; .* set REQUESTS_CA_BUNDLE"):
                way.fetch(client, f"{url}/x")
