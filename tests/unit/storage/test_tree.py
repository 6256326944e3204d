"""Reading, listing and deleting in the mirror's directory."""

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.errors import InterruptedRunError, StorageError
from bandersnatch.model import StoredFile
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import LAST_MODIFIED, STATE, StoredPath
from bandersnatch.storage.tree import SearchedFile
from tests.support.sample_file import CONTENT, PATH, files, folders

# Reading


def test_what_is_not_there_is_none(storage: FilesystemStorage) -> None:
    assert storage.read(PATH) is None
    assert storage.stat(PATH) is None


def test_a_folder_is_none_without_a_word(storage: FilesystemStorage, caplog: pytest.LogCaptureFixture) -> None:
    (storage.root / PATH).mkdir(parents=True)
    assert storage.read(PATH) is None
    assert caplog.messages == []


def test_a_folder_behind_a_link_is_told_and_not_read(
    storage: FilesystemStorage, caplog: pytest.LogCaptureFixture
) -> None:
    (storage.root / "folder").mkdir(parents=True)
    (storage.root / "link").symlink_to("folder")
    assert storage.read(StoredPath("link")) is None
    assert caplog.messages == [f"{storage.root}/link is not a plain file of at most {1024**3} bytes; it is not read"]


def test_what_would_lie_below_a_file_is_none(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT)
    below = StoredPath(f"{PATH}/x")
    assert storage.read(below) is None
    assert storage.stat(below) is None
    assert not storage.delete(below)


def test_a_link_that_leads_to_itself_is_no_file(storage: FilesystemStorage) -> None:
    storage.root.mkdir()
    (storage.root / "loop").symlink_to("loop")
    assert storage.stat(StoredPath("loop")) is None


def test_a_stored_file_can_be_opened(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT)
    with storage.open(PATH) as stream:
        assert stream.read() == CONTENT


def test_opening_what_is_not_there_is_a_storage_error(storage: FilesystemStorage) -> None:
    with pytest.raises(StorageError, match="can't read: No such file"), storage.open(PATH):
        pytest.fail("the block was entered")


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "sha3_256"])
def test_a_digest_is_the_one_of_hashlib(storage: FilesystemStorage, algorithm: str) -> None:
    data = CONTENT * 300_000
    storage.write_bytes(PATH, data)
    assert storage.digest(PATH, algorithm, lambda: False) == hashlib.new(algorithm, data).hexdigest()


def test_blake2b_256_is_the_digest_that_pypi_means(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT)
    expected = hashlib.blake2b(CONTENT, digest_size=32).hexdigest()
    assert storage.digest(PATH, "blake2b_256", lambda: False) == expected


def test_a_digest_can_be_given_up(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT)
    with pytest.raises(InterruptedRunError):
        storage.digest(PATH, "sha256", lambda: True)


def test_the_time_of_a_file_can_be_set(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT)
    storage.set_mtime(PATH, 5.0)
    assert storage.stat(PATH) == StoredFile(len(CONTENT), 5.0)


def test_the_time_of_a_missing_file_can_not_be_set(storage: FilesystemStorage) -> None:
    with pytest.raises(StorageError, match="can't set the time of: No such file"):
        storage.set_mtime(PATH, 5.0)


def test_folders_are_listed_without_files(storage: FilesystemStorage) -> None:
    storage.write_bytes(StoredPath("web/simple/a/index.html"), b"")
    storage.write_bytes(StoredPath("web/simple/b/index.html"), b"")
    storage.write_bytes(StoredPath("web/simple/index.html"), b"")
    assert sorted(storage.folders(StoredPath("web/simple"))) == ["a", "b"]


def test_a_folder_that_is_not_there_has_none(storage: FilesystemStorage) -> None:
    assert list(storage.folders(StoredPath("web/simple"))) == []


def test_listing_a_file_is_a_storage_error(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT)
    with pytest.raises(StorageError, match="can't list: Not a directory"):
        list(storage.folders(PATH))


# Deleting


def test_deleting_takes_the_folders_that_become_empty(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT)
    assert storage.delete(PATH)
    assert folders(storage) == {"web", "web/packages"}


def test_deleting_leaves_folders_that_are_in_use(storage: FilesystemStorage) -> None:
    other = StoredPath("web/packages/aa/other.whl")
    storage.write_bytes(PATH, CONTENT)
    storage.write_bytes(other, CONTENT)
    storage.delete(PATH)
    assert files(storage) == {other: CONTENT}
    assert folders(storage) == {"web", "web/packages", "web/packages/aa"}


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("web/packages/x", {"web", "web/packages"}),
        ("web/simple/sample/index.html", {"web", "web/simple"}),
        ("web/simple/index.html", {"web", "web/simple"}),
        ("web/json/sample", {"web"}),
        (LAST_MODIFIED, {"web"}),
        (STATE, set()),
    ],
)
def test_the_folders_that_a_web_server_needs_stay(storage: FilesystemStorage, path: str, kept: set[str]) -> None:
    storage.write_bytes(StoredPath(path), CONTENT)
    assert storage.delete(StoredPath(path))
    assert folders(storage) == kept
    assert storage.root.is_dir()


def test_deleting_what_is_not_there_is_no_error(storage: FilesystemStorage) -> None:
    assert not storage.delete(PATH)


def test_deleting_a_link_leaves_what_it_leads_to(storage: FilesystemStorage, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(CONTENT)
    link = storage.root / PATH
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    assert storage.delete(PATH)
    assert (tmp_path / "elsewhere").read_bytes() == CONTENT


def test_a_folder_that_is_a_link_of_the_operator_stays(storage: FilesystemStorage, tmp_path: Path) -> None:
    (tmp_path / "other disk").mkdir()
    (storage.root / "web/packages").mkdir(parents=True)
    (storage.root / "web/packages/aa").symlink_to(tmp_path / "other disk")
    storage.write_bytes(PATH, CONTENT)
    assert storage.delete(PATH)
    assert (storage.root / "web/packages/aa").is_symlink()


@given(
    st.binary(min_size=1, max_size=3000), st.binary(min_size=1, max_size=3), st.integers(0, 700), st.integers(0, 3000)
)
def test_file_is_searched_as_bytes_are(content: bytes, sub: bytes, begin: int, end: int) -> None:
    with tempfile.TemporaryFile() as stream:
        stream.write(content * 3)
        stream.flush()
        file = SearchedFile(stream.fileno())
        assert file.find(sub, begin, min(end, len(file))) == (content * 3).find(sub, begin, end)
        assert (len(file), file[begin:end]) == (3 * len(content), (content * 3)[begin:end])
