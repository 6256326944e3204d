"""The way to a host: who gets the password, and what becomes of the connections."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from urllib3.util.retry import Retry

from bandersnatch.config.config import HttpConfig
from bandersnatch.http.routes import KEPT_ROUTES, Routes, host_of, target_of


@pytest.fixture
def routes() -> Iterator[Routes]:
    with closing(routes_from("https://user:secret@index.example")) as routes:
        yield routes


def routes_from(upstream_url: str) -> Routes:
    return Routes(HttpConfig(upstream_url, allow_non_https=True), Retry(0), {"User-Agent": "test"})


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
    assert (host_of(url), target_of(url)) == (host, target)
