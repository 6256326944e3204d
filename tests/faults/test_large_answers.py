"""What is compressed counts as large as it is decompressed, while it comes: no answer takes more memory than is promised."""

import gzip
import json
import subprocess
import sys
import zlib
from contextlib import closing
from functools import cache

import pytest

from bandersnatch.errors import MalformedResponseError
from tests.support.builders import make_conversation
from tests.support.fakepypi import Body, FakePyPI
from tests.support.fetching import ok
from tests.support.rig import Rig
from tests.support.scripted import Asked, Line, Relay, answer, scripted

MEASURED = """
import sys
from pathlib import Path
from bandersnatch.main import main
status = main(sys.argv[1:])
print(status, *(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
"""
"""Runs the command; prints its status, and its peak of memory in KB, which does not count what this process had."""
PROMISED_KB = 400 * 1024
MIB = 1024 * 1024
JSON = "Content-Type: application/vnd.pypi.simple.v1+json"
ENCODINGS = {"gzip": 31, "deflate": 15}


@cache
def packed(begin: bytes, filling: bytes, mib: int, encoding: str) -> bytes:
    """Return so much, compressed to a thousandth."""
    stream = zlib.compressobj(1, wbits=ENCODINGS[encoding])
    block = filling * (MIB // len(filling))
    return b"".join([stream.compress(begin), *(stream.compress(block) for _ in range(mib)), stream.flush()])


def in_members(data: bytes, number: int) -> bytes:
    return gzip.compress(data, 1) * number


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("mib", [2, 300])
def test_a_document_that_decompresses_to_more_than_it_may_be_is_refused(
    pypi: FakePyPI, encoding: str, mib: int
) -> None:
    pypi.fault("/x", ok(packed(b"", b" ", mib, encoding), Content_Encoding=encoding))
    with (
        closing(make_conversation()) as conversation,
        pytest.raises(MalformedResponseError, match="larger than 1000000 bytes"),
    ):
        conversation.get(f"{pypi.url}/x", {}, 1_000_000)


def test_members_of_gzip_count_together(pypi: FakePyPI) -> None:
    pypi.fault("/x", ok(in_members(b"0123456789", 10), Content_Encoding="gzip"), times=None)
    with closing(make_conversation()) as conversation:
        assert conversation.get(f"{pypi.url}/x", {}, 100).body == b"0123456789" * 10
        with pytest.raises(MalformedResponseError, match="larger than 99 bytes"):
            conversation.get(f"{pypi.url}/x", {}, 99)


@pytest.mark.parametrize("encoding", ["lzma", "gzip, gzip", "compress"])
def test_what_was_not_asked_for_is_not_decompressed(pypi: FakePyPI, encoding: str) -> None:
    pypi.fault("/x", ok(b"x", Content_Encoding=encoding))
    with (
        closing(make_conversation()) as conversation,
        pytest.raises(Exception, match="compressed in a way that was not asked for"),
    ):
        conversation.get(f"{pypi.url}/x", {})


def peak_kb_of_run(rig: Rig, **options: str) -> int:
    """Run the command to its end, whichever that is; return its peak of memory."""
    command = [sys.executable, "-c", MEASURED, "--quiet", "-c", str(rig.write_config(**options)), "mirror"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=300)
    status, peak = map(int, result.stdout.split())
    assert status in {0, 1, 4}
    return peak


def files_json(mib: int) -> list[dict[str, object]]:
    """Return as many files as a page of that size lists, as PyPI describes them."""
    files: list[dict[str, object]] = []
    for number in range(mib * MIB // 600):
        digest, name = f"{number:064x}", f"foo-{number}.0-py3-none-any.whl"
        url = f"https://files.example/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{name}"
        files.append(
            {"filename": name, "url": url, "hashes": {"sha256": digest}, "size": 1234567, "requires-python": ">=3.8"}
            | {"upload-time": "2024-01-01T00:00:00.000000Z", "core-metadata": {"sha256": digest}, "provenance": None}
            | {"data-dist-info-metadata": {"sha256": digest}, "yanked": False}
        )
    return files


@pytest.mark.parametrize(("mib", "is_taken"), [(30, True), (60, False)])
def test_the_largest_page_that_is_taken_takes_no_more_memory_than_is_promised(
    rig: Rig, mib: int, is_taken: bool
) -> None:
    rig.pypi.add_file("foo", "1.0")
    meta = {"api-version": "1.4", "_last-serial": rig.pypi.serial}
    page = json.dumps({"meta": meta, "name": "foo", "versions": [], "files": files_json(mib)}).encode()
    rig.pypi.fault("/simple/foo/", Body(page, content_type="application/vnd.pypi.simple.v1+json"), times=None)
    rig.options |= {"release-files": "false", "timeout": "60"}  # a busy machine takes long to read the answer
    assert peak_kb_of_run(rig) < PROMISED_KB
    assert (rig.web / "simple/foo/index.html").exists() == is_taken
    if not is_taken:
        assert "the answer is larger than 33554432 bytes" in rig.call("mirror").stderr


XML = b"<?xml version='1.0'?>\n<methodResponse><params><param><value>"
PAGE = b'{"meta": {"api-version": "1.1", "_last-serial": 1}, "name": "p0", "versions": [], "files": [], "x": "'


@pytest.mark.parametrize(
    ("what", "begin", "filling"),
    [
        ("/pypi", b"", b" "),
        ("/pypi", XML + b"<string>", b"x"),
        ("/pypi", XML + b"<array><data>", b"<value><array><data></data></array></value> "),
        ("/pypi", XML + b"<struct>", b"<member><name>x</name><value><int>1</int></value></member>"),
        ("/simple/", b"", b" "),
        ("/simple/", b'{"meta": {"api-version": "1.1", "_last-serial": 1}, "projects": [', b'{"name": "x"}, '),
        ("/simple/p", b"", b" "),
        ("/simple/p", PAGE, b"x"),
    ],
    ids=["rpc", "rpc text", "rpc arrays", "rpc members", "root index", "projects", "pages", "page with text"],
)
def test_no_answer_takes_more_memory_than_is_promised(rig: Rig, what: str, begin: bytes, filling: bytes) -> None:
    for number in range(12):
        rig.pypi.add_file(f"p{number}", "1.0", kind="sdist")
    bomb = answer(packed(begin, filling, 200, "gzip"), "Content-Encoding: gzip", JSON)
    relay = Relay(rig.pypi.url)

    def serve(line: Line, asked: Asked) -> None:
        is_meant = asked.target == what if what == "/simple/" else asked.target.startswith(what)
        line.send(bomb if is_meant else relay.answer(asked))

    with scripted(serve) as relay.url:
        api = "simple" if what == "/simple/" else "auto"
        assert peak_kb_of_run(rig, master=relay.url, workers="10", api_method=api) < PROMISED_KB
