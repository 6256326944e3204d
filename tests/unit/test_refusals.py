"""What the system refuses is told with its owner and with our user; on machines where tests are root, and where not."""

import os
import pwd
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bandersnatch.errors import ConfigError, StorageError
from bandersnatch.filters.requirement_files import RequirementFileError, RequirementFiles
from bandersnatch.inifile.ini import read_ini
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from tests.support.other_user import as_nobody, folder_for_others


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that others may enter, which those of pytest are not."""
    with folder_for_others() as folder:
        yield folder


@contextmanager
def refused(path: Path) -> Iterator[str]:
    """Have a path refused to us in the block: as another user where we are root, and else by its mode; tell who we are."""
    if os.geteuid() != 0:
        path.chmod(0)
        yield pwd.getpwuid(os.geteuid()).pw_name
        path.chmod(0o700)
        return
    path.chmod(0o700 if path.is_dir() else 0o600)
    with as_nobody():
        yield "(nobody|user 65534)"


def said(path: Path, user: str) -> str:
    owner = pwd.getpwuid(path.stat().st_uid).pw_name
    return rf"Permission denied: {path} belongs to {owner} \(mode 0[0-7]00\), this runs as {user}$"


def test_an_inventory_of_another_user_is_told_as_such(directory: Path) -> None:
    path = directory / "inventory.sqlite"
    with closing(Inventory(path)) as inventory:
        inventory.open()
        inventory.put_all([])
    with (
        refused(path) as user,
        closing(Inventory(path)) as inventory,
        pytest.raises(StorageError, match=said(path, user)),
    ):
        inventory.open()
    assert path.stat().st_size > 0


def test_a_record_of_another_user_is_told_as_such(directory: Path) -> None:
    path = directory / "state"
    path.write_text("5\n")
    with refused(path) as user, pytest.raises(StorageError, match=said(path, user)):
        FilesystemStorage(directory).read(StoredPath("state"))


def test_what_lies_in_a_folder_of_another_user_names_the_folder(directory: Path) -> None:
    folder = directory / "web" / "simple"
    folder.mkdir(parents=True)
    with refused(folder) as user, pytest.raises(StorageError, match=said(folder, user)):
        FilesystemStorage(directory).read(StoredPath("web/simple/foo/index.html"))


def test_a_configuration_of_another_user_is_told_as_such(directory: Path) -> None:
    path = directory / "bandersnatch.conf"
    path.write_text("[mirror]\n")
    with refused(path) as user, pytest.raises(ConfigError, match=f"^{path}: can't be read: {said(path, user)}"):
        read_ini(path, [])


def test_a_requirement_file_of_another_user_is_told_as_such(directory: Path) -> None:
    path = directory / "requirements.txt"
    path.write_text("six\n")
    with (
        refused(path) as user,
        pytest.raises(RequirementFileError, match=f"^{path}: can't be read: {said(path, user)}"),
    ):
        RequirementFiles().add(path)
