"""What an operator has set acts alike on conversations, over requests, and on documents, over libcurl."""

import base64
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util.url import _encode_target

from bandersnatch.errors import UpstreamUnavailableError
from bandersnatch.http.curl_settings import written_url
from bandersnatch.http.document import whole
from bandersnatch.http.request import Request
from bandersnatch.http.routes import Route
from tests.support.builders import make_conversation, make_transfer, unhurried
from tests.support.fetching import CLOSED_PORT, DATA
from tests.support.scripted import Asked, Line, answer, scripted
from tests.support.socks_proxy import Visit, socks_proxy
from tests.support.transferring import fetch

CERTIFICATE = Path(__file__).parents[2] / "data" / "loopback.pem"
Ask = Callable[..., bytes]

pytestmark = pytest.mark.usefixtures("no_settings")


@pytest.fixture
def no_settings(no_proxies: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/dev/null")


def by_requests(url: str, **config: Any) -> bytes:
    with closing(make_conversation(**config)) as conversation:
        return conversation.get(url, {}).body


def by_libcurl(url: str, **config: Any) -> bytes:
    with closing(make_transfer(**config)) as transfer:
        return fetch(transfer, Request(url, whole())).body


@pytest.fixture(params=[by_requests, by_libcurl])
def ask(request: pytest.FixtureRequest) -> Ask:
    way: Ask = request.param
    return way


class Seen:
    """A server that answers every request, and tells what was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def __call__(self, line: Line, asked: Asked) -> None:
        self.asked.append(asked)
        line.send(answer(DATA))

    def field(self, name: str) -> str | None:
        """Return a header field of the last request."""
        found = re.search(rf"(?im)^{name}: *([^\r\n]*)", self.asked[-1].request.decode("latin-1"))
        return found[1] if found else None

    @property
    def line(self) -> str:
        """The first line of the last request."""
        return self.asked[-1].request.decode("latin-1").partition("\r\n")[0]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def url(seen: Seen) -> Iterator[str]:
    with scripted(seen) as url:
        yield url


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode('latin-1')).decode()}"


def with_user(url: str, user: str = "user:se%40%3Acret") -> str:
    return url.replace("://", f"://{user}@")


# HTTP proxies


PLACES: dict[str, Callable[[str], tuple[dict[str, str], dict[str, str]]]] = {
    "option": lambda proxy: ({}, {"proxy": proxy}),
    "HTTP_PROXY": lambda proxy: ({"HTTP_PROXY": proxy}, {}),
    "https_proxy": lambda proxy: ({"https_proxy": proxy}, {}),
    "ALL_PROXY": lambda proxy: ({"ALL_PROXY": proxy}, {}),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_proxy_is_asked_for_the_whole_url_and_told_its_password(
    ask: Ask, seen: Seen, url: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, config = PLACES[place](with_user(url))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ask("http://index.example/simple/", **config) == DATA
    assert seen.line == "GET http://index.example/simple/ HTTP/1.1"
    assert seen.field("Host") == "index.example"
    assert seen.field("Proxy-Authorization") == basic("user", "se@:cret")
    assert seen.field("Authorization") is None


def test_a_proxy_needs_no_scheme(ask: Ask, seen: Seen, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", url.removeprefix("http://"))
    assert ask("http://index.example/x") == DATA
    assert seen.line == "GET http://index.example/x HTTP/1.1"


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "127.0.0.0/8", "other.example, 127.0.0.1", "*"])
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_counts(ask: Ask, url: str, name: str, no_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", CLOSED_PORT)
    monkeypatch.setenv(name, no_proxy)
    assert ask(f"{url}/x") == DATA
    assert ask(f"{url}/x", proxy=CLOSED_PORT) == DATA


@pytest.mark.parametrize("no_proxy", ["index.example", ".example", "example"])
def test_no_proxy_has_names_and_domains(
    ask: Ask, url: str, seen: Seen, no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with pytest.raises(UpstreamUnavailableError, match=r"http://index\.example/x: the host's name can't be resolved"):
        ask("http://index.example/x", proxy=url)
    assert seen.asked == []
    assert ask("http://other.test/x", proxy=url) == DATA


def test_no_proxy_has_names_in_any_script_as_dns_has_them(
    ask: Ask, url: str, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "xn--bcher-kva.example")
    with pytest.raises(UpstreamUnavailableError, match="the host's name can't be resolved"):
        ask("http://bücher.example/x", proxy=url)
    assert seen.asked == []


class Tunnel(Seen):
    """An HTTP proxy that gives a tunnel to one server with TLS, if it is told the password."""

    def __init__(self, server: str) -> None:
        super().__init__()
        self._server = server.rpartition(":")[2]

    def __call__(self, line: Line, asked: Asked) -> None:
        self.asked.append(asked)
        with socket.create_connection(("127.0.0.1", int(self._server))) as server:
            line.send(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
            line.relay(server)


@contextmanager
def with_tls(seen: Seen) -> Iterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    with scripted(seen, context) as url:
        yield url


def test_a_proxy_gives_a_tunnel_to_a_host_with_tls(ask: Ask, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with with_tls(seen) as url:
        tunnel = Tunnel(url)
        with scripted(tunnel) as proxy:
            assert ask(f"{url}/x", proxy=with_user(proxy)) == DATA
    host = url.partition("://")[2]
    assert tunnel.line.startswith(f"CONNECT {host} HTTP/1.")
    assert tunnel.field("Proxy-Authorization") == basic("user", "se@:cret")
    assert seen.line == "GET /x HTTP/1.1"
    assert seen.field("Proxy-Authorization") is None


def test_a_tunnel_to_a_name_in_any_script_is_asked_for_as_dns_has_it(
    ask: Ask, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with with_tls(seen) as url:
        tunnel = Tunnel(url)
        with (
            scripted(tunnel) as proxy,
            pytest.raises(UpstreamUnavailableError, match="its certificate is not trusted"),  # it is for another host
        ):
            ask("https://bücher.example/x", proxy=proxy)
    assert tunnel.line.startswith("CONNECT xn--bcher-kva.example:443 HTTP/1.")
    assert seen.asked == []


def test_a_proxy_with_tls_is_asked_as_any_other(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """By libcurl alone: for an index without TLS, requests does not check the certificate of the proxy."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with with_tls(seen) as proxy:
        assert by_libcurl("http://index.example/x", proxy=with_user(proxy)) == DATA
    assert seen.line == "GET http://index.example/x HTTP/1.1"
    assert seen.field("Proxy-Authorization") == basic("user", "se@:cret")


# SOCKS proxies


@pytest.mark.parametrize(
    ("scheme", "host", "visit"),
    [
        ("socks4", "localhost", Visit(4, "user", "", "127.0.0.1")),
        ("socks4a", "index.example", Visit(4, "user", "", "index.example")),
        ("socks5", "index.example", Visit(5, "user", "se@:cret", "index.example")),
        ("socks5h", "index.example", Visit(5, "user", "se@:cret", "index.example")),
    ],
)
def test_a_socks_proxy_is_told_host_and_password(ask: Ask, url: str, scheme: str, host: str, visit: Visit) -> None:
    port = url.rpartition(":")[2]
    with socks_proxy(url) as proxy:
        assert ask(f"http://{host}:{port}/x", proxy=with_user(f"{scheme}://{proxy.address}")) == DATA
    assert proxy.visits == [visit]


def test_a_socks_proxy_is_told_a_name_in_any_script_as_dns_has_it(ask: Ask, url: str) -> None:
    port = url.rpartition(":")[2]
    with socks_proxy(url) as proxy:
        assert ask(f"http://bücher.example:{port}/x", proxy=f"socks5://{proxy.address}") == DATA
    assert proxy.visits == [Visit(5, "", "", "xn--bcher-kva.example")]


def test_certificates_count_beyond_a_socks_proxy(ask: Ask, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    with with_tls(seen) as url, socks_proxy(url) as proxy:
        with pytest.raises(UpstreamUnavailableError, match="certificate"):
            ask(f"{url}/x", proxy=f"socks5://{proxy.address}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        assert ask(f"{url}/x", proxy=f"socks5://{proxy.address}") == DATA
    assert proxy.visits == [Visit(5, "", "", "127.0.0.1")] * 2


def test_no_proxy_counts_beside_a_socks_proxy(ask: Ask, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert ask(f"{url}/x", proxy=CLOSED_PORT.replace("http", "socks5")) == DATA


def test_a_socks_proxy_of_the_environment_needs_no_scheme(ask: Ask, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socks_proxy(url) as proxy:
        monkeypatch.setenv("SOCKS5_PROXY", proxy.address)
        assert ask("http://index.example/x") == DATA
    assert proxy.visits == [Visit(5, "", "", "index.example")]


# Certificates


def in_folder(tmp_path: Path) -> Path:
    """Return a folder of certificates, as ``c_rehash`` makes it."""
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(CERTIFICATE)]
    name = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    shutil.copy(CERTIFICATE, tmp_path / f"{name}.0")
    return tmp_path


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("place", [lambda _: CERTIFICATE, in_folder], ids=["file", "folder"])
def test_the_operators_certificates_are_trusted(
    ask: Ask, seen: Seen, variable: str, place: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place is in_folder and shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    monkeypatch.setenv(variable, str(place(tmp_path)))
    with with_tls(seen) as url:
        assert ask(f"{url}/x") == DATA


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", None])
def test_no_others_are(ask: Ask, seen: Seen, variable: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable:
        monkeypatch.setenv(variable, str(CERTIFICATE))
    with (
        with_tls(seen) as url,
        pytest.raises(UpstreamUnavailableError, match=r"its certificate is not trusted: self.signed certificate; "),
    ):
        ask(f"{url}/x")
    assert seen.asked == []


@contextmanager
def wanting_certificate(seen: Seen) -> Iterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(CERTIFICATE))
    context.load_cert_chain(CERTIFICATE)
    context.verify_mode = ssl.CERT_REQUIRED
    with scripted(seen, context) as url:
        yield url


def test_a_server_that_wants_a_certificate_gets_ours(ask: Ask, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with wanting_certificate(seen) as url:
        assert ask(f"{url}/x", client_cert=CERTIFICATE) == DATA
        with scripted(Tunnel(url)) as proxy:
            assert ask(f"{url}/x", client_cert=CERTIFICATE, proxy=proxy) == DATA


def test_without_one_it_refuses(ask: Ask, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with wanting_certificate(seen) as url, pytest.raises(UpstreamUnavailableError, match=re.escape(f"{url}/x: ")):
        ask(f"{url}/x")
    assert seen.asked == []


def test_a_file_of_certificates_that_is_missing_is_an_error(
    ask: Ask, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
    with with_tls(seen) as url, pytest.raises(UpstreamUnavailableError, match=r"/nonexistent\.pem"):
        ask(f"{url}/x")


def test_a_certificate_of_another_host_is_refused(ask: Ask, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with with_tls(seen) as url, pytest.raises(UpstreamUnavailableError, match="its certificate is not trusted"):
        ask(f"{url.replace('127.0.0.1', 'localhost')}/x")
    assert seen.asked == []


# Passwords


def test_netrc_has_the_password_of_its_host(
    ask: Ask, seen: Seen, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password se@:cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    ask(f"{url}/x")
    assert seen.field("Authorization") == basic("user", "se@:cret")
    (tmp_path / "netrc").write_text("machine other.example login user password secret\n")
    ask(f"{url}/x")
    assert seen.field("Authorization") is None


def test_the_password_of_the_index_is_sent_there_and_nowhere_else(ask: Ask, seen: Seen) -> None:
    elsewhere, places = Seen(), list[str]()

    def redirect(line: Line, asked: Asked) -> None:
        seen.asked.append(asked)
        line.send(answer(b"", f"Location: {places[-1]}/x", status="302 Found"))

    with scripted(elsewhere) as other, scripted(redirect) as index:
        for place, told in [(other, None), (with_user(other, "you:there"), basic("you", "there"))]:
            places.append(place)
            assert ask(f"{index}/x", upstream_url=with_user(index)) == DATA
            assert seen.field("Authorization") == basic("user", "se@:cret")
            assert elsewhere.field("Authorization") == told


# Names and targets


def test_a_name_in_any_script_is_asked_for_as_dns_has_it(ask: Ask, seen: Seen, url: str) -> None:
    assert ask("http://bücher.example/x", proxy=url) == DATA
    assert seen.field("Host") == "xn--bcher-kva.example"


@pytest.fixture
def ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6")


@pytest.mark.usefixtures("ipv6")
def test_a_host_may_have_an_address_of_ipv6(ask: Ask, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(seen, host="::1") as url:
        assert ask(f"{url}/x") == DATA
        assert seen.field("Host") == url.partition("://")[2]
        monkeypatch.setenv("NO_PROXY", "localhost, ::1")
        assert ask(f"{url}/x", proxy=CLOSED_PORT) == DATA


@pytest.mark.usefixtures("ipv6")
def test_a_proxy_may_have_an_address_of_ipv6(ask: Ask, seen: Seen) -> None:
    with scripted(seen, host="::1") as proxy:
        assert ask("http://index.example/x", proxy=with_user(proxy)) == DATA
    assert seen.line == "GET http://index.example/x HTTP/1.1"
    assert seen.field("Proxy-Authorization") == basic("user", "se@:cret")


TARGETS = [
    "/", "", "?a=b", "/a b", "/ü/€", "/a%2Bb+c", "/a%2fb%zz", "/%7euser/~user", "/x?y=a b&z=%2b+ü", "/x?", "/x#part",
    "/x?a#b", "/a/../b/./c", "//a//b", "/a;b=c,d:e@f!$&'()*", '/a"b<c>`{d}|^[1]\\e', "/x?a[]=1&b='\"<>", "/\ud800", "/100%", "/x?y=http://z/?w",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_written_alike(ask: Ask, seen: Seen, url: str, target: str) -> None:
    assert ask(f"{url}{target}") == DATA
    expected = _encode_target(target if target.startswith("/") else f"/{target}")
    assert seen.line == f"GET {expected} HTTP/1.1"


@unhurried
@given(st.text(st.characters(exclude_characters="\\"), max_size=20))
def test_any_target_is_written_as_urllib3_writes_it(text: str) -> None:
    route = Route(None, {}, False, "http://a.example")  # type: ignore[arg-type]  # the pool has no part in it
    written = written_url(f"/{text}", route)
    assert written == f"http://a.example{_encode_target(f'/{text}')}"
    assert re.fullmatch(r"[!-~]+", written)


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b", "\x7f"])
def test_a_field_that_would_be_two_is_not_sent(seen: Seen, url: str, value: str) -> None:
    with closing(make_transfer()) as transfer, pytest.raises(UpstreamUnavailableError, match="no value of a header"):
        fetch(transfer, Request(f"{url}/x", whole(), {"If-None-Match": value}))
    assert seen.asked == []


@pytest.mark.parametrize("value", ["", '"ü"', " x"])
def test_any_other_value_is_sent_as_it_is(seen: Seen, url: str, value: str) -> None:
    with closing(make_transfer()) as transfer:
        fetch(transfer, Request(f"{url}/x", whole(), {"X-Test": value}))
    assert seen.field("X-Test") == value.strip()
