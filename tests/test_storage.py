"""Whole files or none: the mirror's directory."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from bandersnatch.errors import IntegrityError, InterruptedRunError, PathConflictError, StorageError
from bandersnatch.layout import LAST_MODIFIED, STATE, StoredPath
from bandersnatch.model import StoredFile
from bandersnatch.sink import Partial, Sink
from bandersnatch.storage import FilesystemStorage

PATH = StoredPath("web/packages/aa/bb/sample-1.0.tar.gz")
CONTENT = b"content"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEPT = Partial(0, (ConnectionResetError,))


@pytest.fixture
def storage(tmp_path: Path) -> FilesystemStorage:
    return FilesystemStorage(tmp_path / "mirror")


def files(storage: FilesystemStorage) -> dict[str, bytes]:
    """Return all files below the root, hidden ones too, by path."""
    found = (path for path in storage.root.rglob("*") if path.is_file())
    return {str(path.relative_to(storage.root)): path.read_bytes() for path in found}


def folders(storage: FilesystemStorage) -> set[str]:
    return {str(path.relative_to(storage.root)) for path in storage.root.rglob("*") if path.is_dir()}


def write_and(
    storage: FilesystemStorage, data: bytes, then: Callable[[Sink], object], partial: Partial | None = None
) -> None:
    """Write data, and do something more before the block ends."""
    with storage.write(PATH, partial=partial) as sink:
        sink.write(data)
        then(sink)


def failing(error: BaseException) -> Callable[[Sink], object]:
    def fail(_: Sink) -> None:
        raise error

    return fail


def expecting(size: int, sha256: str) -> Callable[[Sink], object]:
    return lambda sink: sink.expect("https://x", size, sha256)


@contextmanager
def unmasked(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


# Writing


def test_a_file_is_whole_when_the_block_has_ended(storage: FilesystemStorage) -> None:
    with storage.write(PATH) as sink:
        sink.write(b"con")
        sink.write(b"tent")
        sink.expect("url", len(CONTENT), SHA256)
    assert files(storage) == {PATH: CONTENT}


def test_nothing_is_visible_before_the_block_has_ended(storage: FilesystemStorage) -> None:
    with storage.write(PATH) as sink:
        sink.write(CONTENT)
        sink.flush_to_disk(None)
        assert storage.stat(PATH) is None
        assert list(files(storage)) == ["web/packages/aa/bb/.sample-1.0.tar.gz.part"]
    assert storage.stat(PATH) is not None


def test_the_old_file_stays_until_the_new_one_is_whole(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, b"old")
    with storage.write(PATH) as sink:
        sink.write(b"new and longer")
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
    with storage.write(PATH) as sink:
        assert sink.size == 0
        sink.write(CONTENT)
        assert sink.size == len(CONTENT)


def test_a_file_gets_the_time_that_it_is_given(storage: FilesystemStorage) -> None:
    with storage.write(PATH, mtime=1_000_000_000.5) as sink:
        sink.write(CONTENT)
    assert storage.stat(PATH) == StoredFile(len(CONTENT), 1_000_000_000.5)


def test_an_unfinished_file_of_a_dead_run_is_written_over(storage: FilesystemStorage) -> None:
    part = storage.root / "web/packages/aa/bb/.sample-1.0.tar.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"a long remainder of another run")
    storage.write_bytes(PATH, CONTENT)
    assert files(storage) == {PATH: CONTENT}


def test_two_writers_of_one_path_are_an_error_and_the_first_one_wins(storage: FilesystemStorage) -> None:
    with storage.write(PATH) as sink:
        with pytest.raises(PathConflictError, match="another project of this run writes it too"), storage.write(PATH):
            pytest.fail("the block was entered")
        sink.write(CONTENT)
    assert files(storage) == {PATH: CONTENT}


def test_a_name_of_the_longest_kind_fits_with_its_metadata(storage: FilesystemStorage) -> None:
    path = StoredPath(f"web/packages/aa/{'x' * 240}.metadata")
    storage.write_bytes(path, CONTENT)
    assert storage.read(path) == CONTENT


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(storage: FilesystemStorage, umask: int, mode: int) -> None:
    with unmasked(umask):
        storage.write_bytes(PATH, CONTENT)
        storage.save(STATE, [b"1\n"])
    assert stat.S_IMODE((storage.root / PATH).stat().st_mode) == mode
    assert stat.S_IMODE((storage.root / STATE).stat().st_mode) == mode
    assert stat.S_IMODE((storage.root / PATH).parent.stat().st_mode) == 0o777 & ~umask


def test_a_path_that_is_a_folder_is_a_conflict_and_leaves_no_trace(storage: FilesystemStorage) -> None:
    (storage.root / PATH).mkdir(parents=True)
    with pytest.raises(PathConflictError, match="a folder lies where the file would be"):
        write_and(storage, CONTENT, lambda _: None)
    assert files(storage) == {}


def test_a_folder_that_is_a_file_is_a_conflict(storage: FilesystemStorage) -> None:
    storage.write_bytes(StoredPath("web/packages/aa"), b"in the way")
    with pytest.raises(PathConflictError, match="a file lies where its folder would be"), storage.write(PATH):
        pytest.fail("the block was entered")


def test_a_disk_that_is_full_is_a_storage_error() -> None:
    with open("/dev/full", "wb") as full, pytest.raises(StorageError, match="can't write: No space left"):
        Sink(PATH, full.fileno()).write(CONTENT)


# Going on with what broke off


def broken_off(storage: FilesystemStorage, data: bytes) -> None:
    """Write a part of a file, and break off with an error after which it is kept."""
    with pytest.raises(ConnectionResetError):
        write_and(storage, data, failing(ConnectionResetError()), KEPT)


def test_what_broke_off_is_kept_where_that_is_asked_for(storage: FilesystemStorage) -> None:
    broken_off(storage, b"cont")
    assert storage.partial_size(PATH) == 4
    assert storage.stat(PATH) is None
    assert not storage.is_writing()


def test_what_broke_off_is_gone_on_with(storage: FilesystemStorage) -> None:
    broken_off(storage, b"cont")
    with storage.write(PATH, partial=Partial(4)) as sink:
        assert sink.size == 4
        sink.write(b"ent")
        sink.expect("url", len(CONTENT), SHA256)
    assert files(storage) == {PATH: CONTENT}


def test_only_the_bytes_up_to_the_offset_are_taken_over(storage: FilesystemStorage) -> None:
    broken_off(storage, b"cont and something wrong")
    with storage.write(PATH, partial=Partial(4)) as sink:
        sink.write(b"ent")
        sink.expect("url", len(CONTENT), SHA256)
    assert files(storage) == {PATH: CONTENT}


def test_what_was_taken_over_counts_for_the_digest(storage: FilesystemStorage) -> None:
    broken_off(storage, b"CONT")
    with pytest.raises(IntegrityError, match="wrong SHA-256"):
        write_and(storage, b"ent", expecting(len(CONTENT), SHA256), Partial(4))
    assert files(storage) == {}


def test_a_part_shorter_than_thought_is_not_filled_up(storage: FilesystemStorage) -> None:
    broken_off(storage, b"co")
    with pytest.raises(IntegrityError, match=f"wrong size: the page says {len(CONTENT)}, got 5"):
        write_and(storage, b"ent", expecting(len(CONTENT), SHA256), Partial(4))
    assert files(storage) == {}


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), IntegrityError("u", "size", 1, 2)])
def test_after_another_error_nothing_is_kept(storage: FilesystemStorage, error: BaseException) -> None:
    with pytest.raises(type(error)):
        write_and(storage, b"cont", failing(error), KEPT)
    assert storage.partial_size(PATH) == 0
    assert files(storage) == {}


def test_where_nothing_broke_off_nothing_is_there_to_go_on_with(storage: FilesystemStorage) -> None:
    assert storage.partial_size(PATH) == 0
    with pytest.raises(StorageError, match="can't write: No such file"), storage.write(PATH, partial=Partial(4)):
        pytest.fail("the block was entered")
    assert not storage.is_writing()


def test_what_broke_off_goes_when_the_run_is_abandoned(storage: FilesystemStorage) -> None:
    def abandon(_: Sink) -> None:
        storage.abandon()
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        write_and(storage, b"cont", abandon, KEPT)
    assert files(storage) == {}


# The reserve


def test_without_a_reserve_the_disk_may_be_filled(storage: FilesystemStorage) -> None:
    with storage.room_for(PATH, 2**60, 0):
        pass


def test_a_file_that_leaves_the_reserve_may_come(storage: FilesystemStorage) -> None:
    storage.root.mkdir()
    with storage.room_for(PATH, 1, 1):
        pass


@pytest.mark.parametrize(("size", "reserve"), [(2**60, 1), (1, 2**60)])
def test_a_file_that_would_not_leave_the_reserve_is_a_storage_error(
    storage: FilesystemStorage, size: int, reserve: int
) -> None:
    storage.root.mkdir()
    problem = f"{size} more would not leave the reserve of {reserve}"
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


def test_a_large_file_is_written_piece_by_piece(storage: FilesystemStorage) -> None:
    assert storage.write_pieces(PATH, iter([b"con", b"", b"tent"]))
    assert files(storage) == {PATH: CONTENT}


def test_a_large_file_with_unchanged_bytes_is_not_rewritten(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT, mtime=1_000_000_000.0)
    before = (storage.root / PATH).stat()
    assert not storage.write_pieces(PATH, [b"cont", b"ent"])
    after = (storage.root / PATH).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert files(storage) == {PATH: CONTENT}


@pytest.mark.parametrize("pieces", [[b"CONTENT"], [b"content", b"!"], []])
def test_a_large_file_with_changed_bytes_is_rewritten(storage: FilesystemStorage, pieces: list[bytes]) -> None:
    storage.write_bytes(PATH, CONTENT)
    assert storage.write_pieces(PATH, pieces)
    assert files(storage) == {PATH: b"".join(pieces)}


def test_a_large_file_whose_pieces_fail_leaves_the_old_one(storage: FilesystemStorage) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("x")

    storage.write_bytes(PATH, CONTENT)
    with pytest.raises(ValueError, match="x"):
        storage.write_pieces(PATH, pieces())
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


# Reading


def test_what_is_not_there_is_none(storage: FilesystemStorage) -> None:
    assert storage.read(PATH) is None
    assert storage.stat(PATH) is None


def test_what_would_lie_below_a_file_is_none(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT)
    below = StoredPath(f"{PATH}/x")
    assert storage.read(below) is None
    assert storage.stat(below) is None
    assert not storage.delete(below)


def test_reading_a_folder_is_a_storage_error(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT)
    with pytest.raises(StorageError, match="can't read: Is a directory"):
        storage.read(StoredPath("web/packages"))


def test_looking_at_a_name_too_long_is_a_storage_error(storage: FilesystemStorage) -> None:
    storage.root.mkdir()
    with pytest.raises(StorageError, match="can't look at: File name too long"):
        storage.stat(StoredPath("x" * 300))


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


def test_deleting_a_folder_is_a_storage_error(storage: FilesystemStorage) -> None:
    (storage.root / PATH).mkdir(parents=True)
    with pytest.raises(StorageError, match="can't delete"):
        storage.delete(PATH)


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


# What dead and dying runs leave


def test_sweeping_deletes_what_was_left_half_written(storage: FilesystemStorage) -> None:
    storage.write_bytes(StoredPath("web/packages/aa/kept.whl"), CONTENT)
    part = storage.root / "web/packages/aa/bb/.sample-1.0.tar.gz.part"
    part.parent.mkdir()
    part.write_bytes(b"half")
    assert storage.sweep(iter([PATH, StoredPath("web/packages/aa/kept.whl"), STATE])) == 1
    assert files(storage) == {"web/packages/aa/kept.whl": CONTENT}
    assert folders(storage) == {"web", "web/packages", "web/packages/aa"}


def test_sweeping_leaves_whole_files(storage: FilesystemStorage) -> None:
    storage.write_bytes(PATH, CONTENT)
    assert storage.sweep(iter([PATH])) == 0
    assert files(storage) == {PATH: CONTENT}


def test_after_it_was_abandoned_no_file_appears_and_none_is_left_half_written(storage: FilesystemStorage) -> None:
    def abandon(sink: Sink) -> None:
        assert storage.is_writing()
        storage.abandon()
        assert files(storage) == {PATH: b"old"}
        sink.write(CONTENT)

    storage.write_bytes(PATH, b"old")
    with pytest.raises(InterruptedRunError):
        write_and(storage, CONTENT, abandon)
    assert files(storage) == {PATH: b"old"}
    assert not storage.is_writing()


def test_after_it_was_abandoned_nothing_more_is_begun(storage: FilesystemStorage) -> None:
    storage.abandon()
    with pytest.raises(InterruptedRunError), storage.write(PATH):
        pytest.fail("the block was entered")
    assert not storage.root.exists()


def test_threads_that_write_and_delete_in_one_folder_do_not_disturb_each_other(storage: FilesystemStorage) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        path = StoredPath(f"web/packages/aa/bb/{number}.whl")
        try:
            for _ in range(100):
                storage.write_bytes(path, CONTENT)
                storage.delete(path)
        except BaseException as error:  # noqa: BLE001 - the main thread shows it
            errors.append(error)

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert files(storage) == {}
