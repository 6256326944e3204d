"""Whole files or none: writing to the mirror's directory."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from bandersnatch.errors import IntegrityError, PathConflictError, StorageError
from bandersnatch.model import Checksum, StoredFile
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import STATE, StoredPath
from bandersnatch.storage.shortcomings import Shortcomings
from tests.support.sample_file import CONTENT, PATH, SHA256, expecting, failing, files, half_written, write_and
from tests.support.umask import umask

KEPT = Partial(0, (ConnectionResetError,))

# Writing


def test_a_file_is_whole_when_the_block_has_ended(storage: FilesystemStorage) -> None:
    with storage.write(PATH) as writer:
        writer.write(b"con")
        writer.write(b"tent")
        writer.expect("url", len(CONTENT), Checksum("sha256", SHA256))
    assert files(storage) == {PATH: CONTENT}


def test_nothing_is_visible_before_the_block_has_ended(storage: FilesystemStorage) -> None:
    with storage.write(PATH) as writer:
        writer.write(CONTENT)
        writer.flush_to_disk(None)
        assert storage.stat(PATH) is None
        assert half_written(storage.root) != []
        assert not (storage.root / "web").exists()
    assert storage.stat(PATH) is not None


def test_the_old_file_stays_until_the_new_one_is_whole(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, b"old")
    with storage.write(PATH) as writer:
        writer.write(b"new and longer")
        assert storage.read(PATH) == b"old"
    assert storage.read(PATH) == b"new and longer"


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_any_exception_leaves_no_trace(storage: FilesystemStorage, error: BaseException) -> None:
    storage.write_bytes(PATH, b"old")
    with pytest.raises(type(error)):
        write_and(storage, CONTENT, failing(error))
    assert files(storage) == {PATH: b"old"}
    assert not storage.is_writing()


def test_an_error_of_the_block_keeps_its_kind(storage: FilesystemStorage) -> None:
    with pytest.raises(ConnectionResetError), storage.write(PATH):
        raise ConnectionResetError


@pytest.mark.parametrize(
    ("size", "sha256", "what"), [(6, SHA256, "size"), (8, SHA256, "size"), (7, "0" * 64, "SHA-256")]
)
def test_wrong_bytes_never_appear(storage: FilesystemStorage, size: int, sha256: str, what: str) -> None:
    with pytest.raises(IntegrityError, match=f"https://x: wrong {what}: the page says "):
        write_and(storage, CONTENT, expecting(size, sha256))
    assert files(storage) == {}


def test_a_sink_counts_what_passes(storage: FilesystemStorage) -> None:
    with storage.write(PATH) as writer:
        assert writer.size == 0
        writer.write(CONTENT)
        assert writer.size == len(CONTENT)


def test_a_file_gets_the_time_that_it_is_given(storage: FilesystemStorage) -> None:
    with storage.write(PATH, mtime=1_000_000_000.5) as writer:
        writer.write(CONTENT)
    assert storage.stat(PATH) == StoredFile(len(CONTENT), 1_000_000_000.5)


def test_an_unfinished_file_of_a_dead_run_is_written_over(storage: FilesystemStorage) -> None:
    with pytest.raises(ConnectionResetError):
        write_and(storage, b"a long remainder of another run", failing(ConnectionResetError()), KEPT)
    assert half_written(storage.root) != []
    FilesystemStorage(storage.root).write_bytes(PATH, CONTENT)
    assert files(storage) == {PATH: CONTENT}


def test_two_writers_of_one_path_are_an_error_and_the_first_one_wins(storage: FilesystemStorage) -> None:
    with storage.write(PATH) as writer:
        with pytest.raises(PathConflictError, match="another project of this run writes it too"), storage.write(PATH):
            pytest.fail("the block was entered")
        writer.write(CONTENT)
    assert files(storage) == {PATH: CONTENT}


def test_a_name_of_the_longest_kind_fits_with_its_metadata(storage: FilesystemStorage) -> None:
    path = StoredPath(f"web/packages/aa/{'x' * 240}.metadata")
    storage.write_bytes(path, CONTENT)
    assert storage.read(path) == CONTENT


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(storage: FilesystemStorage, mask: int, mode: int) -> None:
    with umask(mask):
        storage.write_bytes(PATH, CONTENT)
        storage.save(STATE, [b"1\n"])
    assert stat.S_IMODE((storage.root / PATH).stat().st_mode) == mode
    assert stat.S_IMODE((storage.root / STATE).stat().st_mode) == mode
    assert stat.S_IMODE((storage.root / PATH).parent.stat().st_mode) == 0o777 & ~mask


def test_a_path_that_is_a_folder_is_a_conflict_and_leaves_no_trace(storage: FilesystemStorage) -> None:
    (storage.root / PATH).mkdir(parents=True)
    with pytest.raises(PathConflictError, match="a folder is where the file would be"):
        write_and(storage, CONTENT, lambda _: None)
    assert files(storage) == {}


def test_a_folder_is_no_stored_file(storage: FilesystemStorage) -> None:
    (storage.root / PATH).mkdir(parents=True)
    assert (storage.stat(PATH), storage.read(PATH), storage.delete(PATH)) == (None, None, False)
    assert (storage.root / PATH).is_dir()


@pytest.mark.parametrize("path", [f"web/packages/{'x' * 256}", f"web/packages/{'x/' * 2100}x"])
def test_a_name_that_the_filesystem_does_not_take_is_a_conflict(storage: FilesystemStorage, path: str) -> None:
    storage.root.mkdir()
    assert storage.stat(StoredPath(path)) is None
    with pytest.raises(PathConflictError, match="the filesystem does not allow this name: File name too long"):
        storage.write_bytes(StoredPath(path), CONTENT)
    assert half_written(storage.root) == []


def test_a_file_may_lie_very_deep(storage: FilesystemStorage) -> None:
    path = StoredPath(f"web/packages/{'x/' * 1500}x")
    assert storage.write_bytes(path, CONTENT)
    assert storage.read(path) == CONTENT
    assert storage.delete(path)
    assert not (storage.root / "web/packages/x").exists()


def test_a_folder_that_is_a_file_is_a_conflict(storage: FilesystemStorage) -> None:
    storage.write_bytes(StoredPath("web/packages/aa"), b"in the way")
    with pytest.raises(PathConflictError, match="a file is where its folder would be"):
        storage.write_bytes(PATH, CONTENT)
    assert half_written(storage.root) == []


def test_a_disk_that_is_full_is_a_storage_error() -> None:
    with open("/dev/full", "wb") as full, pytest.raises(StorageError, match="can't write: No space left"):
        FileWriter(PATH, full.fileno(), Shortcomings("/")).write(CONTENT)


# The reserve


def test_without_a_reserve_the_disk_may_be_filled(storage: FilesystemStorage) -> None:
    with storage.room_for(PATH, 2**60, 0):
        pass


def test_a_file_that_leaves_the_reserve_may_come(storage: FilesystemStorage) -> None:
    storage.root.mkdir()
    with storage.room_for(PATH, 1, 1):
        pass


@pytest.mark.parametrize(
    ("size", "reserve", "problem"),
    [
        (2**60, 1, "1152.9 PB more would not leave the reserve of 1 byte"),
        (1, 2**60, "1 byte more would not leave the reserve of 1152.9 PB"),
    ],
)
def test_a_file_that_would_not_leave_the_reserve_is_a_storage_error(
    storage: FilesystemStorage, size: int, reserve: int, problem: str
) -> None:
    storage.root.mkdir()
    with pytest.raises(StorageError, match=problem), storage.room_for(PATH, size, reserve):
        pytest.fail("the block was entered")


def test_reserve_counts_the_downloads_under_way(storage: FilesystemStorage) -> None:
    storage.root.mkdir()
    found = os.statvfs(storage.root)
    free = found.f_bavail * found.f_frsize
    with (
        storage.room_for(PATH, free // 3, free // 2),
        pytest.raises(StorageError, match="would not leave the reserve"),
        storage.room_for(PATH, free // 3, free // 2),
    ):
        pytest.fail("the block was entered")
    with storage.room_for(PATH, free // 3, free // 2):
        pass


# Small files


def test_a_small_file_is_written_and_read(storage: FilesystemStorage) -> None:
    assert storage.write_bytes(PATH, CONTENT)
    assert storage.read(PATH) == CONTENT


def test_unchanged_bytes_are_not_rewritten(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT, mtime=1_000_000_000.0)
    before = (storage.root / PATH).stat()
    assert not storage.write_bytes(PATH, CONTENT)
    after = (storage.root / PATH).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize("changed", [b"another", b"content and more", b"", b"cont"])
def test_changed_bytes_are_rewritten(storage: FilesystemStorage, changed: bytes) -> None:
    storage.write_bytes(PATH, CONTENT)
    assert storage.write_bytes(PATH, changed)
    assert storage.read(PATH) == changed


def test_an_empty_file_is_written_once(storage: FilesystemStorage) -> None:
    assert storage.write_bytes(PATH, b"")
    assert not storage.write_bytes(PATH, b"")


def rewrite(storage: FilesystemStorage, pieces: Iterable[bytes]) -> None:
    with storage.rewrite(PATH) as writer:
        for piece in pieces:
            writer.write(piece)


def test_a_large_file_is_written_piece_by_piece(storage: FilesystemStorage) -> None:
    rewrite(storage, [b"con", b"", b"tent"])
    assert files(storage) == {PATH: CONTENT}


def test_a_large_file_with_unchanged_bytes_is_not_rewritten(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT, mtime=1_000_000_000.0)
    before = (storage.root / PATH).stat()
    rewrite(storage, [b"cont", b"ent"])
    after = (storage.root / PATH).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert files(storage) == {PATH: CONTENT}


@pytest.mark.parametrize("pieces", [[b"CONTENT"], [b"content", b"!"], []])
def test_a_large_file_with_changed_bytes_is_rewritten(storage: FilesystemStorage, pieces: list[bytes]) -> None:
    storage.write_bytes(PATH, CONTENT)
    rewrite(storage, pieces)
    assert files(storage) == {PATH: b"".join(pieces)}


def test_a_large_file_whose_pieces_fail_leaves_the_old_one(storage: FilesystemStorage) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("x")

    storage.write_bytes(PATH, CONTENT)
    with pytest.raises(ValueError, match="x"):
        rewrite(storage, pieces())
    assert files(storage) == {PATH: CONTENT}


def test_a_record_is_saved_and_replaced(storage: FilesystemStorage) -> None:
    storage.save(STATE, [b"1\n"])
    storage.save(STATE, [b"2", b"", b"3\n"])
    assert files(storage) == {STATE: b"23\n"}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_record_that_is_replaced_keeps_its_permissions(storage: FilesystemStorage, mode: int) -> None:
    storage.save(STATE, [b"1\n"])
    (storage.root / STATE).chmod(mode)
    storage.save(STATE, [b"2\n"])
    assert stat.S_IMODE((storage.root / STATE).stat().st_mode) == mode


def test_flushing_an_empty_or_a_full_directory_works(storage: FilesystemStorage) -> None:
    storage.root.mkdir()
    storage.flush()
    storage.write_bytes(PATH, CONTENT)
    storage.flush()


def test_flushing_a_directory_that_is_not_there_is_a_storage_error(storage: FilesystemStorage) -> None:
    with pytest.raises(StorageError, match="can't flush: No such file or directory"):
        storage.flush()


def test_errors_name_the_whole_path(tmp_path: Path) -> None:
    storage = FilesystemStorage(tmp_path)
    (tmp_path / "web").mkdir()
    (tmp_path / "web/loop").symlink_to("loop")
    failing: list[Callable[[], object]] = [
        lambda: storage.write_bytes(StoredPath("web/loop/foo"), b""),
        lambda: storage.set_mtime(StoredPath("web/none"), 1.0),
        lambda: storage.digest(StoredPath("web/none"), "sha256", lambda: False),
    ]
    for fail in failing:
        with pytest.raises(StorageError, match=f"^{tmp_path}/web/"):
            fail()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no posix_fadvise")
def test_disk_is_given_a_large_file_while_it_is_written(
    storage: FilesystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []

    def give(_descriptor: int, offset: int, size: int, _advice: int) -> None:
        given.append((offset, size))
        raise OSError(errno.EINVAL, "not on this filesystem")  # which is no hindrance

    monkeypatch.setattr(os, "posix_fadvise", give)
    piece = b"x" * 3_000_000
    with storage.write(PATH) as writer:
        for _ in range(7):
            writer.write(piece)
    assert storage.read(PATH) == 7 * piece
    assert given == [(0, 9_000_000), (9_000_000, 9_000_000)]


def test_where_folders_can_not_be_made_files_are_written_to_those_that_are_there(
    storage: FilesystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, mode: int = 0o777) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    old, new = StoredPath("web/packages/aa/old"), StoredPath("web/packages/bb/new")
    storage.write_bytes(old, b"old")
    storage.write_bytes(new, b"new")  # so that the next folder is expected to be missing, too
    monkeypatch.setattr(os, "mkdir", refuse)
    storage.write_bytes(old, CONTENT)
    with pytest.raises(StorageError, match="Permission denied"):
        storage.write_bytes(StoredPath("web/packages/cc/third"), CONTENT)
    assert files(storage) == {old: CONTENT, new: b"new"}


def test_in_a_new_mirror_a_folder_is_made_before_its_file_is_put_there(
    storage: FilesystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, replace = [], os.replace

    def note(source: str, target: str, **options: int) -> None:
        try:
            replace(source, target, **options)
        except FileNotFoundError:
            failed.append(target)
            raise

    monkeypatch.setattr(os, "replace", note)
    for number in range(5):
        storage.write_bytes(StoredPath(f"web/packages/aa/{number}/file"), CONTENT)
        storage.write_bytes(StoredPath(f"web/packages/aa/{number}/file.metadata"), CONTENT)
    assert failed == [f"{storage.root}/web/packages/aa/0/file"]


def test_what_can_not_have_been_kept_is_not_looked_for(
    storage: FilesystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write_bytes(PATH, b"old")
    deleted: list[str] = []
    monkeypatch.setattr(os, "unlink", lambda name, **_: deleted.append(name))
    with storage.write(PATH, partial=Partial(may_be_kept=False)) as writer:
        writer.write(CONTENT)
    assert (files(storage), deleted) == ({PATH: CONTENT}, [])
