"""The fake index is told the story of a recorded PyPI server and must answer alike.

Digests, paths, sizes and times of the made-up files differ, so these are masked. All
else is compared: statuses, headers, bodies, and where nothing differs, every byte.
"""

import gzip
import http.client
import re
import xmlrpc.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser

import pytest

from tests.support.fakepypi import FakePyPI, RateLimited
from tests.support.recorded import RECORDED

END_OF_STORY = 236
WHEN_EDGES_WERE_RECORDED = 231
JSON = "application/vnd.pypi.simple.v1+json"
V1_HTML = "application/vnd.pypi.simple.v1+html"
REQUIRES_PYTHON = {"six": "!=3.0.*,!=3.1.*,!=3.2.*,>=2.7", "no-requires-python": None}
YANK_REASONS = {("yanky", "1.1"): 'bad "quotes" & <html> ☃ reason', ("archived-proj", "1.0"): "all gone"}

# What differs by nature, and headers that only the website's own pages need.
UNCOMPARED_HEADERS = {"date", "etag", "content-length", "ratelimit", "content-security-policy", "connection"}
# These need an entity tag of the fake's own; tests further down ask for them.
CONDITIONAL = {"json-304", "simple-304", "simple-304-weak", "simple-index-304"}


@dataclass(frozen=True)
class Reply:
    """An answer as a client sees it."""

    status: int
    headers: Message
    body: bytes

    def masked(self) -> bytes:
        """Return the body, decompressed, without what differs from one server to the next."""
        body = gzip.decompress(self.body) if self.headers["Content-Encoding"] == "gzip" else self.body
        for pattern, mask in (
            (rb"http://127\.0\.0\.1:\d+", b"http://HOST"),
            (rb"/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/", b"/packages/PATH/"),
            (rb"\b[0-9a-f]{64}\b", b"DIGEST"),
            (rb"\b[0-9a-f]{32}\b", b"MD5"),
            (rb'"size":\d+', b'"size":0'),
            (rb"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?(?=Z?\")", b"TIME"),
        ):
            body = re.sub(pattern, mask, body)
        return body

    def compared_headers(self) -> dict[str, object]:
        """Return the headers that must agree; lists of names in any order."""
        kept = {name.lower(): value for name, value in self.headers.items() if name.lower() not in UNCOMPARED_HEADERS}
        compared: dict[str, object] = {
            name: re.sub(r"^http://127\.0\.0\.1:\d+", "http://HOST", value) for name, value in kept.items()
        }
        compared["vary"] = set(re.split(r",\s*", kept.get("vary", "")))
        compared["has etag"] = re.fullmatch(r'"[A-Za-z0-9+/]{22}"', self.headers["ETag"] or "") is not None
        return compared


def recorded_reply(name: str) -> Reply:
    head = (RECORDED / f"{name}.hdr").read_bytes()
    status_line, _, fields = head.partition(b"\n")
    body = (RECORDED / f"{name}.body").read_bytes()
    return Reply(int(status_line.split()[1]), BytesParser().parsebytes(fields), body)


def send(pypi: FakePyPI, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Reply:
    connection = http.client.HTTPConnection(pypi.url.removeprefix("http://"))
    try:
        connection.request(method, path, body or None, headers or {})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def send_recorded(pypi: FakePyPI, name: str) -> Reply:
    """Send the request that was recorded, byte for byte but for the host."""
    raw = (RECORDED / f"{name}.req").read_bytes().replace(b"\r\n", b"\n")
    head, _, body = raw.partition(b"\n\n")
    request_line, _, fields = head.partition(b"\n")
    method, path, _ = request_line.decode().split()
    headers = {key: value for key, value in BytesParser().parsebytes(fields).items() if key != "Host"}
    return send(pypi, method, path, headers, body)


def recorded_rows() -> list[tuple[str, str | None, int, str, int]]:
    body = (RECORDED / "06-final" / "xmlrpc-changelog_since_serial-0.body").read_bytes()
    (rows,), _ = xmlrpc.client.loads(body)
    return rows  # type: ignore[return-value]  # loads() promises less than it gives


def tell(pypi: FakePyPI, until: int) -> None:
    """Tell the fake the recorded story: each row becomes the event that wrote it."""
    pypi.skip_serials(2)
    for name, version, _, action, serial in recorded_rows():
        if serial <= until:
            tell_event(pypi, name, version or "", action)


def tell_event(pypi: FakePyPI, name: str, version: str, action: str) -> None:
    if uploaded := re.fullmatch(r"add (\S+) file (\S+)", action):
        pypi.add_file(
            name,
            version,
            kind="sdist" if uploaded[1] == "source" else "wheel",
            filename=uploaded[2],
            python_tag=uploaded[1],
            requires_python=REQUIRES_PYTHON.get(name, ">=3.8"),
        )
        return
    if action in ("new release", "add Owner alice"):
        return  # written by the event that follows or came before
    events: dict[str, Callable[[], None]] = {
        "create": lambda: pypi.create_project(name),
        "add Maintainer bob": lambda: pypi.add_role(name, "Maintainer", "bob"),
        "invite Maintainer carol": lambda: pypi.invite_role(name, "Maintainer", "carol"),
        "yank release": lambda: pypi.yank(name, version, YANK_REASONS.get((name, version), "")),
        "unyank release": lambda: pypi.unyank(name, version),
        "remove release": lambda: pypi.remove_release(name, version),
        "remove project": lambda: pypi.remove_project(name),
        "remove file fileless_release-2.0.tar.gz": lambda: pypi.remove_file(name, "fileless_release-2.0.tar.gz"),
        "project quarantined": lambda: pypi.quarantine_project(name),
        "project quarantine cleared": lambda: pypi.clear_quarantine(name),
        "release quarantined": lambda: pypi.quarantine_release(name, version),
    }
    events[action]()


@pytest.fixture(scope="module")
def empty() -> Iterator[FakePyPI]:
    with FakePyPI() as pypi:
        yield pypi


@pytest.fixture(scope="module")
def at_edges() -> Iterator[FakePyPI]:
    with FakePyPI() as pypi:
        tell(pypi, WHEN_EDGES_WERE_RECORDED)
        yield pypi


@pytest.fixture(scope="module")
def at_end() -> Iterator[FakePyPI]:
    with FakePyPI() as pypi:
        tell(pypi, END_OF_STORY)
        pypi.archive("archived-proj")
        pypi.add_provenance("six", "six-1.17.0-py2.py3-none-any.whl")
        pypi.skip_serials(3)
        yield pypi


def assert_alike(got: Reply, wanted: Reply) -> None:
    assert got.status == wanted.status
    assert got.compared_headers() == wanted.compared_headers()
    assert got.masked().decode().splitlines() == wanted.masked().decode().splitlines()


def page_cases(stage: str) -> list[tuple[str, str, str]]:
    """Return (recording, path, Accept) of every page that was recorded without its request."""
    cases = []
    for path in sorted((RECORDED / stage).glob("*.hdr")):
        name = path.name.removesuffix(".hdr")
        project = re.fullmatch(r"simple-(.+?)(?:-legacy|-provenance|-yanked)?\.(html|json)", name)
        legacy = re.fullmatch(r"pypi-(.+?)(?:-(\d\S*))?\.json", name)
        if name.startswith("simple-index"):
            accept = {"html": V1_HTML, "json": JSON, "default": "*/*"}[name.rpartition(".")[2]]
            cases.append((f"{stage}/{name}", "/simple/", accept))
        elif project:
            page = {"archived": "archived-proj"}.get(project[1], project[1])
            html = V1_HTML if stage == "06-final" else "*/*"
            accept = {"html": html, "json": JSON}[project[2]]
            cases.append((f"{stage}/{name}", f"/simple/{page}/", accept))
        elif legacy:
            version = f"/{legacy[2]}" if legacy[2] else ""
            cases.append((f"{stage}/{name}", f"/pypi/{legacy[1]}{version}/json", "*/*"))
    return cases


@pytest.mark.parametrize(("name", "path", "accept"), page_cases("06-final"))
def test_pages_are_those_of_the_recorded_server(at_end: FakePyPI, name: str, path: str, accept: str) -> None:
    assert_alike(send(at_end, "GET", path, {"Accept": accept}), recorded_reply(name))


@pytest.mark.parametrize(("name", "path", "accept"), page_cases("04-extras"))
def test_pages_with_extras_are_those_of_the_recorded_server(
    at_end: FakePyPI, name: str, path: str, accept: str
) -> None:
    assert_alike(send(at_end, "GET", path, {"Accept": accept}), recorded_reply(name))


@pytest.mark.parametrize("name", sorted({path.stem for path in (RECORDED / "03-edge").glob("*.req")} - CONDITIONAL))
def test_recorded_requests_get_the_recorded_answers(at_edges: FakePyPI, name: str) -> None:
    assert_alike(send_recorded(at_edges, f"03-edge/{name}"), recorded_reply(f"03-edge/{name}"))


@pytest.mark.parametrize("name", ["changelog_last_serial", "changelog_since_serial", "list_packages_with_serial"])
def test_an_empty_index_answers_xml_rpc_like_the_recorded_server(empty: FakePyPI, name: str) -> None:
    got, wanted = send_recorded(empty, f"00-empty/{name}"), recorded_reply(f"00-empty/{name}")

    assert_alike(got, wanted)
    assert got.body == wanted.body


@pytest.mark.parametrize(("name", "accept"), [("simple.html", "*/*"), ("simple.json", JSON)])
def test_an_empty_root_index_is_the_recorded_one_to_the_byte(empty: FakePyPI, name: str, accept: str) -> None:
    got, wanted = send(empty, "GET", "/simple/", {"Accept": accept}), recorded_reply(f"00-empty/{name}")

    assert_alike(got, wanted)
    assert (got.body, got.headers["ETag"]) == (wanted.body, wanted.headers["ETag"])


@pytest.mark.parametrize(("name", "accept"), [("default", "*/*"), ("html", V1_HTML), ("json", JSON)])
def test_root_index_is_the_recorded_one_to_the_byte(at_end: FakePyPI, name: str, accept: str) -> None:
    got, wanted = send(at_end, "GET", "/simple/", {"Accept": accept}), recorded_reply(f"06-final/simple-index.{name}")

    assert (got.body, got.headers["ETag"]) == (wanted.body, wanted.headers["ETag"])


@pytest.mark.parametrize("name", ["changelog_last_serial", "changelog_since_serial-last", "list_packages_with_serial"])
def test_xml_rpc_answers_are_the_recorded_ones_to_the_byte(at_end: FakePyPI, name: str) -> None:
    got, wanted = send_recorded(at_end, f"06-final/xmlrpc-{name}"), recorded_reply(f"06-final/xmlrpc-{name}")

    assert_alike(got, wanted)
    assert got.body == wanted.body


def test_the_journal_is_the_recorded_one_but_for_its_times(at_end: FakePyPI) -> None:
    got = send_recorded(at_end, "06-final/xmlrpc-changelog_since_serial-0")
    wanted = recorded_reply("06-final/xmlrpc-changelog_since_serial-0")

    def without_times(reply: Reply) -> list[str]:
        return re.sub(r"<int>1[67]\d{8}</int>", "<int>TIME</int>", reply.body.decode()).splitlines()

    assert without_times(got) == without_times(wanted)


@pytest.mark.parametrize("name", sorted(CONDITIONAL))
def test_a_known_entity_tag_gets_the_recorded_304(at_edges: FakePyPI, name: str) -> None:
    wanted = recorded_reply(f"03-edge/{name}")
    path = {"json-304": "/pypi/six/json", "simple-index-304": "/simple/"}.get(name, "/simple/six/")
    etag = send(at_edges, "GET", path, {"Accept": JSON}).headers["ETag"]
    weak = "W/" if name.endswith("weak") else ""

    got = send(at_edges, "GET", path, {"Accept": JSON, "If-None-Match": f"{weak}{etag}"})

    assert_alike(got, wanted)
    assert got.headers["ETag"] == etag
    assert "Content-Length" not in got.headers


def test_a_client_that_calls_too_often_gets_the_recorded_fault(empty: FakePyPI) -> None:
    wanted = recorded_reply("05-ratelimit/ratelimit-4")
    empty.fault("rpc:*", RateLimited(57))

    got = send_recorded(empty, "05-ratelimit/ratelimit-4")

    assert (got.status, got.body) == (wanted.status, wanted.body)
    assert got.headers["RateLimit"] == wanted.headers["RateLimit"]
