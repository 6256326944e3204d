"""The way to a host: who gets the password, and what becomes of the connections."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec.structs import replace

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.http.document import whole
from bandersnatch.http.request import Request
from bandersnatch.http.retry_rules import Pending
from bandersnatch.http.routes import KEPT_ROUTES, Routes, host_of


@pytest.fixture
def routes() -> Iterator[Routes]:
    with closing(routes_from("https://user:secret@index.example")) as routes:
        yield routes


def routes_from(upstream_url: str) -> Routes:
    return Routes(HttpConfig(upstream_url, allow_non_https=True))


@pytest.fixture(autouse=True)
def no_netrc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", "/dev/null")


@pytest.mark.parametrize(
    "url", ["https://index.example/simple/", "https://index.example:443/x", "https://INDEX.example"]
)
def test_the_index_is_told_the_password(routes: Routes, url: str) -> None:
    assert routes.to(url).headers["Authorization"] == "Basic dXNlcjpzZWNyZXQ="


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example/packages/x",
        "http://index.example/x",
        "https://index.example:8443/x",
        r"https://evil.example\@index.example/x",
        "https://evil.example?@index.example/x",
        "https://evil.example#@index.example/x",
    ],
)
def test_nobody_else_is_told_the_password(routes: Routes, url: str) -> None:
    assert "Authorization" not in routes.to(url).headers


def test_an_index_that_redirects_to_tls_is_told_the_password_there() -> None:
    with closing(routes_from("http://user:secret@index.example")) as routes:
        assert "Authorization" in routes.to("https://index.example/").headers
        assert "Authorization" not in routes.to("https://index.example:8443/").headers
        assert "Authorization" not in routes.to("https://other.example/").headers


def test_each_host_is_looked_up_once(routes: Routes) -> None:
    assert routes.to("https://a.example/1") is routes.to("https://a.example/2?x=/y")
    assert routes.to("https://a.example/1") is not routes.to("https://b.example/1")


def test_routes_to_hundreds_of_hosts_are_not_kept(routes: Routes) -> None:
    first = routes.to("https://a.example/")
    for number in range(KEPT_ROUTES):
        routes.to(f"https://host-{number}.example/")
    assert routes.to("https://a.example/") is not first


def test_all_connections_are_closed(routes: Routes) -> None:
    pool = routes.to("https://a.example/").pool
    routes.close()
    assert pool.pool is None


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("https://a.example/x?y#z", "a.example", "/x?y#z"),
        ("https://user:secret@a.example:80/x", "a.example:80", "/x"),
        ("https://a.example?x=/y", "a.example", "?x=/y"),
        ("https://a.example", "a.example", ""),
        (r"https://a.example\@b.example/x", "a.example", r"\@b.example/x"),
    ],
)
def test_a_url_is_host_and_target(url: str, host: str, target: str) -> None:
    pending = Pending(Request(url, whole()))
    assert (host_of(url), pending.target) == (host, target)


VARIABLES = ("SOCKS5_PROXY", "SOCKS4_PROXY", "SOCKS_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("in_small_letters", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("count", range(1, len(VARIABLES) + 1))
def test_of_the_variables_that_are_set_the_first_one_counts(
    monkeypatch: pytest.MonkeyPatch, count: int, scheme: str, in_small_letters: bool
) -> None:
    """As docs/configuration.md and other bandersnatch versions have it: for all hosts and for both schemes."""
    for number, name in enumerate(VARIABLES[-count:]):
        monkeypatch.setenv(name.lower() if in_small_letters else name, f"http://proxy-{number}.example:1")
    config = HttpConfig("https://index.example", allow_non_https=True)
    with closing(Routes(config)) as routes:
        assert routes.to(f"{scheme}://index.example/").proxy == "http://proxy-0.example:1"
        monkeypatch.setenv("NO_PROXY", "other.example")
        assert routes.to(f"{scheme}://other.example/").proxy == ""
    with closing(Routes(replace(config, proxy="http://ours.example:1"))) as routes:
        assert routes.to(f"{scheme}://index.example/").proxy == "http://ours.example:1"


@pytest.mark.usefixtures("no_proxies")
def test_it_is_said_once_that_http_proxy_counts_for_https(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@once.example:1")
    with caplog.at_level("INFO"):
        for _ in range(2):
            Routes(HttpConfig("https://index.example")).close()
    assert caplog.text.count("HTTPS_PROXY is not set: requests to https:// go through the proxy of HTTP_PROXY") == 1
    assert "once.example:1" in caplog.text
    assert "secret" not in caplog.text
