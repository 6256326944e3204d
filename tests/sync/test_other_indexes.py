"""Indexes that are not PyPI: where their files lie, and what becomes of each in the stories that PyPI's projects have."""

import json
from collections.abc import Iterator

import pytest

from tests.support.rig import Rig
from tests.support.static_index import Form, StaticIndex, static_index

TORCH = "torch-2.7.0+cu126-cp311-cp311-linux_x86_64.whl"


@pytest.fixture
def index(rig: Rig, request: pytest.FixtureRequest) -> Iterator[StaticIndex]:
    """An index in place of the fake PyPI."""
    with static_index(getattr(request, "param", Form(has_serials=True))) as index:
        rig.options["master"] = index.url
        yield index


@pytest.mark.quick
def test_files_at_another_host_and_below_no_packages_are_mirrored_and_followed(rig: Rig, index: StaticIndex) -> None:
    index.add("torch", TORCH)
    index.add("foo", "foo-1!1.0.tar.gz")
    assert rig.run().failures == []
    index.assert_held(rig.directory)
    host = index.files_url.removeprefix("http://").replace(":", "+")
    (file,) = json.loads((rig.web / "simple/torch/index.v1_json").read_bytes())["files"]
    assert file["url"] == f"../../packages/{host.replace('+', '%2B')}/whl/torch/{TORCH.replace('+', '%2B')}"
    assert (rig.web / f"packages/{host}/whl/torch/{TORCH}").is_file()
    before = rig.tree()
    (rig.directory / "inventory.sqlite").unlink()
    rig.resync()
    assert rig.run().failures == []
    assert rig.tree() == before
    assert rig.command("verify", "--delete").returncode == 0
    assert rig.tree() == before
    index.remove("torch")
    index.remove("foo", "foo-1!1.0.tar.gz")
    index.add("foo", "foo-1.1.tar.gz")
    assert rig.run().failures == []
    index.assert_held(rig.directory)


def test_a_file_with_a_hostile_url_is_left_out_alone(rig: Rig, index: StaticIndex) -> None:
    index.add("foo", "foo-1.0.tar.gz", "foo-1.1.tar.gz")
    page = index.answer("/simple/foo/")
    index.in_place_of["/simple/foo/"] = type(page)(
        200, page.body.replace(b"/whl/foo/foo-1.1", b"/whl/%2e%2e/%2e%2e/foo-1.1"), page.type
    )
    assert rig.run().failures == []
    del index.projects["foo"]["foo-1.1.tar.gz"]
    index.assert_held(rig.directory)
