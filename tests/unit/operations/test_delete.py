"""``delete NAME...``: a project leaves the mirror because the operator says so."""

import json
import os
import pty
import subprocess
import sys

import pytest

from tests.support.fakepypi import FakePyPI, Stall
from tests.support.rig import Rig


@pytest.fixture
def full(rig: Rig, pypi: FakePyPI) -> Rig:
    for name in ("keep", "doomed"):
        pypi.add_file(name, "1.0")
        pypi.add_file(name, "1.0", kind="sdist")
    rig.options["json"] = "true"
    rig.run()
    pypi.clear_requests()
    return rig


def traces(rig: Rig, name: str) -> list[str]:
    """Return what there is of a project: its files, pages and JSON, and its lines in the root index."""
    found = [path for path in rig.tree() if name in path]
    return found + [page for page in ("index.html", "index.v1_json") if name in (rig.web / "simple" / page).read_text()]


def test_project_goes_with_all_it_has(full: Rig, pypi: FakePyPI) -> None:
    others = {path: data for path, data in full.tree().items() if "keep" in path}
    result = full.call("delete", "--yes", "Doomed")
    assert result.returncode == 0, result.stderr
    assert "doomed: deleted, with 2 files" in result.stderr
    assert "comes back when it changes upstream, or with a full resync" in result.stderr
    assert traces(full, "doomed") == []
    assert {path: data for path, data in full.tree().items() if "keep" in path} == others
    assert not [path for path in full.web.rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert pypi.requests == []


def test_deleted_project_comes_back_when_it_changes(full: Rig, pypi: FakePyPI) -> None:
    full.call("delete", "--yes", "doomed")
    pypi.add_file("keep", "2.0")
    full.run()
    assert traces(full, "doomed") == []
    pypi.add_file("doomed", "2.0")
    full.run()
    full.assert_matches()


def test_deleted_project_comes_back_with_a_resync(full: Rig, pypi: FakePyPI) -> None:
    full.call("delete", "--yes", "doomed")
    full.resync()
    full.run()
    full.assert_matches()


def test_deleted_project_is_not_on_the_todo_list_any_more(full: Rig, pypi: FakePyPI) -> None:
    stall = Stall()
    for name in ("keep", "doomed"):
        pypi.fault(pypi.add_file(name, "2.0").url_path, stall, times=None)
    with full.start_command("mirror", timeout="60") as process:
        assert stall.started.wait(30)
        process.terminate()
        process.communicate(timeout=10)
    pypi.clear_faults()
    assert "doomed" in (full.directory / "todo").read_text()
    assert full.call("delete", "--yes", "doomed").returncode == 0
    assert "doomed" not in (full.directory / "todo").read_text()
    assert "keep" in (full.directory / "todo").read_text()
    full.run()
    assert traces(full, "doomed") == []
    assert not list(full.directory.rglob("*.part"))


def test_file_that_another_page_lists_stays(rig: Rig, pypi: FakePyPI) -> None:
    shared = pypi.add_file("foo-bar", "1.0")
    pypi.add_file("foo", "1.0")
    rig.run()
    page = rig.web / "simple" / "foo" / "index.v1_json"
    document = json.loads(page.read_bytes())
    other = json.loads((rig.web / "simple" / "foo-bar" / "index.v1_json").read_bytes())
    document["files"] += other["files"]
    page.write_text(json.dumps(document))
    assert rig.call("delete", "--yes", "foo-bar").returncode == 0
    assert (rig.web / shared.url_path[1:]).is_file()
    assert rig.call("delete", "--yes", "foo").returncode == 0
    assert not (rig.web / shared.url_path[1:]).exists()


def test_dry_run_says_it_and_writes_nothing(full: Rig, pypi: FakePyPI) -> None:
    before = full.stamps()
    result = full.call("delete", "--dry-run", "doomed")
    full.assert_same_tree(before)
    assert result.returncode == 0
    header, row, total = result.stdout.splitlines()
    assert header.split() == ["project", "pages", "files", "bytes"]
    assert row.split()[:3] == ["doomed", "5", "2"]
    assert total.startswith("to delete: 1 project, 2 files, 1.")


def test_without_terminal_and_without_yes_nothing_is_deleted(full: Rig) -> None:
    before = full.stamps()
    result = full.call("delete", "doomed")
    full.assert_same_tree(before)
    assert result.returncode == 2
    assert "nothing was deleted; scripts need --yes: bandersnatch delete --yes NAME..." in result.stderr


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("yes", 0), ("n", 1), ("", 1), ("\x04", 1)])
def test_on_a_terminal_it_asks(full: Rig, answer: str, status: int) -> None:
    command = [sys.executable, "-m", "bandersnatch", "-c", str(full.write_config()), "delete", "doomed"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        os.write(ours, answer.encode() if answer == "\x04" else f"{answer}\n".encode())
        stdout, _ = process.communicate(timeout=60)
    os.close(ours)
    assert b"Delete 1 project, 2 files, 1.4 kB? [y/N]" in stdout
    assert process.returncode == status
    assert (traces(full, "doomed") == []) == (status == 0)


def test_project_that_is_not_there_is_said_and_the_others_go(full: Rig) -> None:
    result = full.call("delete", "--yes", "nowhere", "doomed")
    assert result.returncode == 1
    assert "nowhere: the mirror has no project of that name" in result.stderr
    assert traces(full, "doomed") == []


@pytest.mark.parametrize("name", ["..", "../keep", "keep/..", "", "-"])
def test_names_that_are_none_are_refused(full: Rig, name: str) -> None:
    before = full.stamps()
    assert full.call("delete", "--yes", "--", name).returncode == 2
    full.assert_same_tree(before)


def test_lock_is_honoured(full: Rig, pypi: FakePyPI) -> None:
    stall = Stall()
    pypi.fault(pypi.add_file("keep", "2.0").url_path, stall, times=None)
    with full.start_command("mirror", timeout="60") as process:
        assert stall.started.wait(30)
        assert full.call_again("delete", "--yes", "doomed").returncode == 3
        process.kill()
        process.communicate()
    assert traces(full, "doomed")
