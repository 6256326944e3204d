"""The mirror's directory is made only where that is meant, and a disk that is not mounted is no new mirror."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bandersnatch.errors import MissingDirectoryError, StorageError
from bandersnatch.storage.mirror_folder import begin_directory, record_mirror, require_directory
from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import Rig

COMMANDS = [
    ("mirror",),
    ("mirror", "--dry-run"),
    ("sync", "foo"),
    ("verify",),
    ("verify", "--dry-run"),
    ("delete", "foo"),
]


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    """A mirror that a run has made."""
    pypi.add_file("foo", "1.0")
    rig.run()
    return rig


def empty(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.mkdir()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_directory_that_is_missing_is_status_4_and_not_made(rig: Rig, command: tuple[str, ...]) -> None:
    path = rig.write_config()
    rig.directory.rmdir()
    result = rig.call_again(*command)
    assert result.returncode == 4
    assert result.stderr.endswith(
        f"ERROR: the run has ended: {rig.directory}: there is no such directory; mount its disk, "
        f"or, if a new mirror is to begin there, run: bandersnatch -c {path} mirror --init\n"
    )
    assert not rig.directory.exists()
    assert rig.pypi.requests == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_empty_directory_whose_mirror_is_gone_is_status_4_and_stays_empty(
    held: Rig, pypi: FakePyPI, command: tuple[str, ...]
) -> None:
    empty(held.directory)
    pypi.clear_requests()
    result = held.call_again(*command)
    assert result.returncode == 4
    assert f"{held.directory}: the mirror that was here in the last run is gone; mount its disk" in result.stderr
    assert "mirror --init" in result.stderr
    assert not any(held.directory.iterdir())
    assert pypi.requests == []


def test_a_missing_directory_is_refused_where_its_parent_is_a_mount_point(rig: Rig) -> None:
    parent = Path("/dev/shm")  # the mount point that every Linux has; nothing is made there
    if not os.path.ismount(parent):
        pytest.skip("no mount point at hand")
    directory = parent / f"bandersnatch-{os.getpid()}"
    result = rig.call("mirror", directory=str(directory))
    assert result.returncode == 4
    assert f"{directory}: there is no such directory" in result.stderr
    assert not directory.exists()


def test_config_check_says_what_would_stop_a_run(rig: Rig) -> None:
    rig.write_config()
    rig.directory.rmdir()
    result = rig.call_again("config", "check")
    assert result.returncode == 0
    assert f"WARNING: a run would end at once: {rig.directory}: there is no such directory; mount" in result.stderr


def test_an_empty_directory_is_a_new_mirror(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    assert rig.call("mirror").returncode == 0
    rig.assert_matches()


def test_init_makes_the_directory_and_later_runs_go_on(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.write_config()
    rig.directory.rmdir()
    assert rig.call_again("mirror", "--init").returncode == 0
    assert rig.call_again("mirror").returncode == 0
    rig.assert_matches()


def test_init_makes_only_the_last_folder(rig: Rig) -> None:
    directory = rig.folder / "disk" / "mirror"
    result = rig.call("mirror", "--init", directory=str(directory))
    assert result.returncode == 4
    assert f"{directory}: can't make the directory: {directory.parent} does not exist" in result.stderr
    assert not directory.parent.exists()


def test_init_begins_anew_where_the_mirror_is_gone_also_if_its_first_run_fails(held: Rig, pypi: FakePyPI) -> None:
    empty(held.directory)
    assert held.call("mirror", "--init", master="http://127.0.0.1:9").returncode == 4
    assert held.call("mirror").returncode == 0
    held.assert_matches()


def test_init_changes_nothing_about_a_mirror_that_is_there(held: Rig, pypi: FakePyPI) -> None:
    before = held.tree()
    pypi.clear_requests()
    assert held.call("mirror", "--init").returncode == 0
    assert held.tree() == before
    assert all(request.method == "POST" for request in pypi.requests)  # the journal was asked, and no page


def test_dry_run_with_init_plans_a_new_mirror_and_makes_nothing(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.write_config()
    rig.directory.rmdir()
    result = rig.call_again("mirror", "--dry-run", "--init")
    assert (result.returncode, "1 project to update" in result.stdout) == (0, True)
    assert not rig.directory.exists()


@pytest.mark.parametrize("left", ["lost+found", ".lock", "NOT-MOUNTED"])
def test_what_lies_in_a_mount_point_is_no_mirror(held: Rig, left: str) -> None:
    empty(held.directory)
    (held.directory / left).mkdir()
    with pytest.raises(MissingDirectoryError, match="is gone"):
        require_directory(held.directory)


def test_a_fresh_filesystem_is_a_new_mirror(rig: Rig, pypi: FakePyPI) -> None:
    rig.write_config()
    (rig.directory / "lost+found").mkdir()
    assert rig.call("mirror").returncode == 0


@pytest.mark.parametrize(
    "delete", [("state", "todo"), ("inventory.sqlite",), ("state", "todo", "inventory.sqlite", "fingerprint")]
)
def test_documented_recoveries_are_no_missing_mirror(held: Rig, delete: tuple[str, ...]) -> None:
    for name in delete:
        (held.directory / name).unlink(missing_ok=True)
    require_directory(held.directory)


def test_a_first_run_that_is_cut_off_has_left_its_record(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.fault(file.url_path, Status(404), times=None)
    assert rig.run().failures
    empty(rig.directory)
    with pytest.raises(MissingDirectoryError):
        require_directory(rig.directory)


def test_a_run_that_never_began_leaves_no_record(rig: Rig, state_home: Path) -> None:
    assert rig.call("mirror", master="http://127.0.0.1:9").returncode == 4
    assert not list(state_home.rglob("*.mirror"))


def test_a_folder_that_was_a_disk_of_its_own_must_not_be_empty(
    held: Rig, state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = held.web / "packages"
    monkeypatch.setattr(os.path, "ismount", lambda path: path == packages)  # a test can't mount
    record_mirror(held.directory)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(state_home))
    require_directory(held.directory)  # the files were moved to the disk of the mirror
    empty(packages)
    with pytest.raises(MissingDirectoryError, match="packages: this was a disk of its own in the last run"):
        require_directory(held.directory)


def garble(record: Path) -> None:
    record.write_bytes(b"\xff\x00../../etc")


def fill(record: Path) -> None:
    with record.open("wb") as stream:
        stream.truncate(3 << 30)


def pipe(record: Path) -> None:
    record.unlink()
    os.mkfifo(record)


def name_others(record: Path) -> None:
    record.write_text(record.read_text() + "../../etc\n")


@pytest.mark.parametrize("spoil", [garble, fill, pipe, name_others])
def test_a_record_that_can_be_none_is_not_believed(held: Rig, state_home: Path, spoil: Callable[[Path], None]) -> None:
    spoil(next(state_home.rglob("*.mirror")))
    empty(held.directory)
    require_directory(held.directory)


def test_where_no_record_can_be_written_runs_do_without(
    rig: Rig, pypi: FakePyPI, state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state_home / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(state_home / "file"))
    assert rig.call("mirror").returncode == 0
    empty(rig.directory)
    assert rig.call("mirror").returncode == 0


def test_systemd_says_where_the_record_is(held: Rig, state_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(state_home / "of-the-unit"))
    record_mirror(held.directory)
    record = next((state_home / "of-the-unit").iterdir())
    assert record.stat().st_mode & 0o777 == 0o644
    assert record.read_text() == f"mirror 1\n{held.directory}\n"


def test_the_record_is_never_in_the_mirror_itself(held: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(held.directory))
    record_mirror(held.directory)
    assert not list(held.directory.rglob("*.mirror"))


@pytest.mark.parametrize("kind", ["a file", "a link to nowhere, which is not there"])
def test_what_is_no_directory_is_told_of(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mirror"
    if kind == "a file":
        path.touch()
    else:
        path.symlink_to("nowhere")
    for act in (require_directory, begin_directory):
        with pytest.raises(StorageError, match=f"it is not a directory, but {kind}"):
            act(path)
