"""Indexes that are not PyPI, and whose files lie anywhere: at another host, below no packages/, or at a new place."""

import json

import pytest

from tests.support.other_index import OWN, mirror_it
from tests.support.rig import Rig
from tests.support.static_index import Answer, StaticIndex

TORCH = "torch-2.7.0+cu126-cp311-cp311-linux_x86_64.whl"


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
    index.in_place_of["/simple/foo/"] = Answer(
        200, page.body.replace(b"/whl/foo/foo-1.1", b"/whl/%2e%2e/%2e%2e/foo-1.1"), page.type
    )
    assert rig.run().failures == []
    del index.projects["foo"]["foo-1.1.tar.gz"]
    index.assert_held(rig.directory)


def test_other_bytes_where_a_file_without_a_told_size_belongs_are_replaced(rig: Rig, index: StaticIndex) -> None:
    index.add("foo", "foo-1.0.tar.gz")
    path = rig.web / "packages" / index.files_url.removeprefix("http://").replace(":", "+") / "whl/foo/foo-1.0.tar.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"of another tool")
    mirror_it(rig, index)


def asked_for_files(index: StaticIndex) -> list[str]:
    return [line for line in index.asked() if "/whl/" in line]


@pytest.mark.parametrize("deleted", ["remove", "hide"])
@OWN
def test_files_that_an_index_moves_to_another_host_are_not_fetched_again(
    rig: Rig, held: StaticIndex, deleted: str
) -> None:
    rig.options["deleted"] = deleted
    mirror_it(rig, held)
    held.files_url = held.files_url.replace("127.0.0.1", "localhost")
    held.asked()
    forecast = json.loads(rig.call("mirror", "--dry-run", "--full", "--json").stdout)
    assert forecast["total"]["download"]["files"] == 0
    report = rig.run()  # no removal needs to be allowed
    assert (report.updated, report.withheld, report.failures) == (2, None, [])
    assert asked_for_files(held) == []
    held.assert_held(rig.directory)
    assert len(list((rig.web / "packages").iterdir())) == 1
    assert rig.call("verify").returncode == 0


@OWN
def test_a_file_that_is_damaged_where_it_was_is_fetched_from_its_new_place(rig: Rig, held: StaticIndex) -> None:
    (path,) = (rig.web / "packages").rglob("foo-1.0.tar.gz")
    path.write_bytes(path.read_bytes()[::-1])
    held.files_url = held.files_url.replace("127.0.0.1", "localhost")
    held.asked()
    mirror_it(rig, held)
    assert asked_for_files(held) == ["GET /whl/foo/foo-1.0.tar.gz 200"]
