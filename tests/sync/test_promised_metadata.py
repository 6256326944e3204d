"""Core metadata that an index promises without its digest is taken from the wheel, which was checked."""

import json
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.support.builders import make_wheel
from tests.support.rig import Rig
from tests.support.static_index import HTML, JSON, Form, StaticIndex, static_index

METADATA = b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n"
WHEEL, SDIST = "sample-1.0-py3-none-any.whl", "sample-1.0.tar.gz"
DIGEST = {"sha256": sha256(METADATA).hexdigest()}


@pytest.fixture(params=[JSON, HTML])
def index(rig: Rig, request: pytest.FixtureRequest) -> Iterator[StaticIndex]:
    with static_index(Form(root=request.param, pages=request.param, promises_metadata=True)) as index:
        rig.options |= {"master": index.url, "refresh": "0"}
        yield index


def told(rig: Rig) -> dict[str, object]:
    page = json.loads((rig.web / "simple/sample/index.v1_json").read_bytes())
    assert all(file["core-metadata"] == file["data-dist-info-metadata"] for file in page["files"])
    return {file["filename"]: file["core-metadata"] for file in page["files"]}


def kept(rig: Rig) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in rig.web.rglob("*.metadata")}


def assert_settled(rig: Rig) -> None:
    """Assert that nothing is left to do, whoever looks."""
    before = rig.mtimes()
    assert rig.run().failures == []
    rig.resync()
    assert rig.run().failures == []
    assert rig.call("verify", "--delete").returncode == 0
    assert rig.mtimes() == before


@pytest.mark.parametrize("simple_format", ["ALL", "HTML"])
def test_it_is_that_of_the_wheel_with_a_digest_of_ours(rig: Rig, index: StaticIndex, simple_format: str) -> None:
    rig.options["simple-format"] = simple_format
    index.add("sample", WHEEL, content=make_wheel(METADATA))
    index.add("sample", SDIST)
    assert rig.run().failures == []
    html = (rig.web / "simple/sample/index.html").read_text()
    assert html.count(f'data-core-metadata="sha256={DIGEST["sha256"]}"') == html.count("data-core-metadata") == 1
    assert kept(rig) == {f"{WHEEL}.metadata": METADATA}
    assert_settled(rig)
    index.yank("sample", WHEEL)
    rig.resync()
    assert rig.run().failures == []
    assert (rig.web / "simple/sample/index.html").read_text().count("data-core-metadata") == 1
    assert kept(rig) == {f"{WHEEL}.metadata": METADATA}
    if simple_format == "ALL":
        assert told(rig) == {WHEEL: DIGEST, SDIST: False}
    assert not any(".metadata" in line for line in index.asked())


@pytest.mark.parametrize("is_there", [True, False])
def test_a_repair_takes_it_from_the_wheel_again(rig: Rig, index: StaticIndex, *, is_there: bool) -> None:
    index.add("sample", WHEEL, content=make_wheel(METADATA))
    assert rig.run().failures == []
    (path,) = rig.web.rglob("*.metadata")
    path.write_bytes(b"rot" if is_there else b"")
    if not is_there:
        path.unlink()
    assert rig.call("verify").returncode == 6
    assert (told(rig), kept(rig)) == ({WHEEL: DIGEST}, {f"{WHEEL}.metadata": METADATA})
    assert not any(".metadata" in line for line in index.asked())
    assert_settled(rig)


@pytest.mark.parametrize("content", [make_wheel(None), b"no zip file"])
def test_a_wheel_without_it_is_kept_and_nothing_is_promised(rig: Rig, index: StaticIndex, content: bytes) -> None:
    index.add("sample", WHEEL, content=content)
    assert rig.run().failures == []
    assert (told(rig), kept(rig)) == ({WHEEL: False}, {})
    assert_settled(rig)


def test_it_can_be_left_out(rig: Rig, index: StaticIndex) -> None:
    rig.options["core-metadata"] = "false"
    index.add("sample", WHEEL, content=make_wheel(METADATA))
    assert rig.run().failures == []
    assert (told(rig), kept(rig)) == ({WHEEL: False}, {})
    assert_settled(rig)
