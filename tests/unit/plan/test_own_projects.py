"""Projects that the operator put into the tree, and that upstream never had, are kept."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import Rig
from tests.support.verifying import verify

PAGE = '<!DOCTYPE html><html><body><a href="../../packages/own/tool-1.0.tar.gz">tool-1.0.tar.gz</a></body></html>'
WARNING = "upstream never had tool"

pytestmark = pytest.mark.usefixtures("either_kind_of_folder")


@pytest.fixture(params=["false", "true"], ids=["plain folders", "hash-index"])
def either_kind_of_folder(rig: Rig, request: pytest.FixtureRequest) -> None:
    rig.options["hash-index"] = request.param


def folder_of(rig: Rig, project: str) -> Path:
    is_hashed = rig.options["hash-index"] == "true"
    return rig.web / "simple" / project[0] / project if is_hashed else rig.web / "simple" / project


def own_page(rig: Rig, end: str = "") -> str:
    depth = "../" if rig.options["hash-index"] == "true" else ""
    return PAGE.replace("../../packages", f"{depth}../../packages") + end


@pytest.fixture
def mirror(rig: Rig, pypi: FakePyPI) -> Rig:
    """A mirror of four projects, with one of the operator's own."""
    for name in ("foo", "bar", "dead", "baz"):
        pypi.add_file(name, "1.0")
    rig.run()
    put_own(rig)
    return rig


def put_own(rig: Rig, end: str = "") -> None:
    folder = folder_of(rig, "tool")
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(own_page(rig, end))
    (rig.web / "packages/own").mkdir()
    (rig.web / "packages/own/tool-1.0.tar.gz").write_bytes(b"own")


def lose(rig: Rig, *names: str) -> None:
    for name in names:
        (rig.directory / name).unlink(missing_ok=True)


def lose_all_records(rig: Rig) -> None:
    """Leave what another program would have left."""
    lose(rig, "state", "todo", "fingerprint", "inventory.sqlite", "own-projects")


def assert_kept(rig: Rig) -> None:
    assert (folder_of(rig, "tool") / "index.html").exists()
    assert (rig.web / "packages/own/tool-1.0.tar.gz").read_bytes() == b"own"


def assert_matches(rig: Rig) -> None:
    """Assert that the mirror is what upstream publishes, in plain folders, as the check of a mirror knows them."""
    if rig.options["hash-index"] == "true":
        assert not folder_of(rig, "tool").exists()
        rig.options["hash-index"] = "false"
        assert rig.run().failures == []
    rig.assert_matches()


def listed(rig: Rig) -> list[str]:
    return [each["name"] for each in json.loads((rig.web / "simple/index.v1_json").read_bytes())["projects"]]


@pytest.mark.parametrize("api_method", ["auto", "xmlrpc", "simple"])
def test_own_project_survives_taking_a_tree_over(mirror: Rig, pypi: FakePyPI, api_method: str) -> None:
    lose_all_records(mirror)
    pypi.remove_project("dead")
    result = mirror.call("mirror", api_method=api_method)
    assert result.returncode == 0
    assert result.stderr.count(WARNING) == 1
    assert ", 1 removed," in result.stderr
    assert "the root index lists your own projects too, which upstream never had: 1" in result.stderr
    assert_kept(mirror)
    assert sorted(listed(mirror)) == ["bar", "baz", "foo", "tool"]
    pypi.clear_requests()
    for arguments in ((), ("--force-check",), ()):
        pypi.add_file("foo", f"2.{len(pypi.requests)}")
        result = mirror.call("mirror", *arguments, api_method=api_method)
        assert result.returncode == 0
        assert WARNING not in result.stderr
    assert pypi.requests_for("/simple/tool/") == []
    assert_kept(mirror)
    assert "tool" in listed(mirror)


@pytest.mark.parametrize("lost", [("inventory.sqlite",), ("inventory.sqlite", "state", "own-projects")])
def test_own_project_survives_the_loss_of_the_inventory(mirror: Rig, pypi: FakePyPI, lost: tuple[str, ...]) -> None:
    for _ in range(2):
        lose(mirror, *lost)
        assert mirror.run().failures == []
        mirror.resync()
        assert mirror.run().removed == 0
    assert_kept(mirror)
    assert "tool" in listed(mirror)


def test_page_with_the_serial_of_another_project_is_no_upstreams(mirror: Rig, pypi: FakePyPI) -> None:
    shutil.rmtree(folder_of(mirror, "tool"))
    shutil.rmtree(mirror.web / "packages/own")
    put_own(mirror, f"\n<!--SERIAL {pypi.project_serial('foo')}-->")
    lose_all_records(mirror)
    assert mirror.run().removed == 0
    assert_kept(mirror)


def test_page_with_a_serial_that_the_journal_has_not_reached_is_no_upstreams(mirror: Rig, pypi: FakePyPI) -> None:
    (folder_of(mirror, "tool") / "index.html").write_text(own_page(mirror, "\n<!--SERIAL 999999-->"))
    lose_all_records(mirror)
    assert mirror.run().removed == 0
    assert_kept(mirror)


def test_where_no_journal_can_be_asked_a_page_with_a_serial_is_upstreams(mirror: Rig, pypi: FakePyPI) -> None:
    (folder_of(mirror, "tool") / "index.html").write_text(own_page(mirror, f"\n<!--SERIAL {pypi.serial}-->"))
    lose_all_records(mirror)
    pypi.fault("rpc:*", Status(404), times=None)
    assert mirror.run().removed == 1
    assert not folder_of(mirror, "tool").exists()


@pytest.mark.parametrize("lost", [("inventory.sqlite", "state"), ("inventory.sqlite", "state", "fingerprint")])
def test_what_upstream_removed_while_the_inventory_was_lost_goes(
    mirror: Rig, pypi: FakePyPI, lost: tuple[str, ...]
) -> None:
    pypi.remove_project("dead")
    lose(mirror, *lost)
    assert mirror.run().removed == 1
    assert not folder_of(mirror, "dead").exists()
    assert_kept(mirror)


def test_allowed_removals_take_it(mirror: Rig, pypi: FakePyPI) -> None:
    lose_all_records(mirror)
    mirror.run()
    assert mirror.run(allow_removals=True).removed == 1
    assert not (mirror.web / "packages/own").exists()
    assert_matches(mirror)


def test_delete_takes_it(mirror: Rig, pypi: FakePyPI) -> None:
    lose_all_records(mirror)
    mirror.run()
    assert mirror.call("delete", "--yes", "tool").returncode == 0
    assert mirror.run().failures == []
    assert_matches(mirror)


def test_filters_do_not_take_it(mirror: Rig, pypi: FakePyPI) -> None:
    lose_all_records(mirror)
    mirror.filters = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n    foo\n    bar\n    baz\n"
    assert mirror.run().removed == 1
    mirror.resync()
    assert mirror.run().removed == 0
    assert_kept(mirror)


def test_a_dry_run_does_not_count_it_as_removed(mirror: Rig, pypi: FakePyPI) -> None:
    lose_all_records(mirror)
    for arguments in ((), ("--full",)):
        result = mirror.call("mirror", "--dry-run", "--json", *arguments)
        assert json.loads(result.stdout)["remove"] == []
        assert WARNING in result.stderr


@pytest.mark.parametrize("is_known", [False, True], ids=["not in the inventory", "known"])
@pytest.mark.parametrize("ending", ["", "<br>\n"], ids=["whole", "odd"])
def test_verify_deletes_beside_it(mirror: Rig, pypi: FakePyPI, is_known: bool, ending: str) -> None:
    (folder_of(mirror, "tool") / "index.html").write_text(own_page(mirror, ending))
    if is_known:
        lose_all_records(mirror)
        mirror.run()
    (mirror.web / "packages/stray-1.0.tar.gz").write_bytes(b"stray")
    document = verify(mirror, "--delete", status=6)
    assert [finding["path"] for finding in document["findings"]] == ["web/packages/stray-1.0.tar.gz"]
    assert_kept(mirror)


def test_verify_after_the_loss_of_the_inventory_keeps_it(mirror: Rig, pypi: FakePyPI) -> None:
    lose(mirror, "inventory.sqlite")
    document = verify(mirror, "--delete", status=6)  # the root index gets it
    assert (document["projects"]["failed"], document["projects"]["verified"]) == (0, 5)
    assert_kept(mirror)


def test_upstreams_project_of_that_name_takes_its_place(mirror: Rig, pypi: FakePyPI) -> None:
    lose_all_records(mirror)
    mirror.run()
    pypi.add_file("tool", "2.0")
    assert mirror.run().failures == []
    pypi.remove_project("tool")
    assert mirror.run().removed == 1
    assert_matches(mirror)
