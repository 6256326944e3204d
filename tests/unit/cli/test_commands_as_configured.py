"""Options of the run that hold for the other commands too: how files are written, and how upstream is asked."""

from pathlib import Path
from threading import Barrier

import pytest

from tests.support.fakepypi import Call, FakePyPI
from tests.support.rig import Rig
from tests.support.umask import umask

COMMANDS = (("sync", "foo"), ("verify",), ("delete", "--yes", "foo"))


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    """A mirror that any command has something to change in."""
    for name in ("foo", "bar"):
        pypi.add_file(name, "1.0")
    rig.run()
    pypi.add_file("foo", "2.0")
    pypi.clear_requests()
    return rig


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_what_a_command_changes_is_listed(held: Rig, command: tuple[str, ...]) -> None:
    before, changes = held.tree(), held.folder / "changes"
    result = held.call(*command, diff_file=str(changes))
    assert result.returncode == 0, result.stderr
    after = held.tree()
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert {path for path in changed if "/foo/" in path}
    deleted = changed - after.keys()
    journal = {str(path) for path in (held.web / "changes").iterdir()}
    assert set(changes.read_text().splitlines()) == {str(held.web / path) for path in changed - deleted} | journal
    gone = Path(f"{changes}.deleted")
    assert set(gone.read_text().splitlines() if gone.exists() else ()) == {str(held.web / path) for path in deleted}


def test_verification_that_writes_nothing_begins_no_list(held: Rig) -> None:
    changes = held.folder / "changes"
    changes.write_text("the last run's\n")
    assert held.call("verify", "--dry-run", diff_file=str(changes)).returncode == 0
    assert changes.read_text() == "the last run's\n"


def test_command_that_finds_the_lock_held_leaves_the_list_alone(held: Rig, pypi: FakePyPI) -> None:
    changes = held.folder / "changes"
    found = []

    def sync_too() -> None:
        changes.write_text("the first one's\n")
        found.append((held.command_again("sync", "bar").returncode, changes.read_text()))

    pypi.fault("/simple/foo/", Call(sync_too))
    assert held.command("sync", "foo", diff_file=str(changes)).returncode == 0
    assert found == [(3, "the first one's\n")]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_web_server_may_read_what_a_command_writes(held: Rig, command: tuple[str, ...]) -> None:
    with umask(0o077):
        assert held.call(*command).returncode == 0
    files = [path for path in held.web.rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o644"}


@pytest.mark.parametrize("command", COMMANDS[:2], ids=lambda command: command[0])
def test_changelog_is_not_asked_where_the_root_index_tells_of_changes(
    held: Rig, pypi: FakePyPI, command: tuple[str, ...]
) -> None:
    held.resync()  # nothing tells up to where the changelog would be read
    pypi.remove_project("bar")  # which asks for an explanation
    held.call(*command, api_method="simple")
    assert pypi.page_requests()
    assert pypi.rpc_calls() == []


def test_verifiers_is_how_much_verify_does_at_a_time(held: Rig, pypi: FakePyPI) -> None:
    both = Barrier(2)
    for name in ("foo", "bar"):
        pypi.fault(f"/simple/{name}/", Call(lambda: both.wait(30)))
    assert held.call("verify", workers="1", verifiers="2").returncode == 0


# Versions of pages


def pages_of(rig: Rig, project: str) -> list[Path]:
    return sorted((rig.web / "simple" / project).glob("index.*"))


def test_sync_and_verify_write_new_versions_of_pages(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.options["keep_index_versions"] = "2"
    rig.run()
    pypi.add_file("foo", "2.0")
    assert rig.call("sync", "foo").returncode == 0
    assert len(list((rig.web / "simple" / "foo" / "versions").iterdir())) == 2 * 3
    good = [page.read_bytes() for page in pages_of(rig, "foo")]
    for page in pages_of(rig, "foo"):
        page.write_bytes(b"bad")
    assert rig.call("verify").returncode == 6
    assert [page.read_bytes() for page in pages_of(rig, "foo")] == good
    assert all(page.is_symlink() for page in pages_of(rig, "foo"))
    assert rig.call("verify").returncode == 0


def test_versions_go_with_a_project_that_is_deleted(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.options["keep_index_versions"] = "2"
    rig.run()
    preview = rig.call("delete", "--dry-run", "foo").stdout
    assert preview.splitlines()[1].split()[:3] == ["foo", "6", "1"]
    assert rig.call("delete", "--yes", "foo").returncode == 0
    assert not (rig.web / "simple" / "foo").exists()
