"""What broke off, and what dead and dying runs leave in the mirror's directory."""

from threading import Thread

import pytest

from bandersnatch.errors import IntegrityError, InterruptedRunError, StorageError
from bandersnatch.model import Checksum
from bandersnatch.storage.file_writer import FileWriter, Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import STATE, StoredPath
from tests.support.sample_file import CONTENT, PATH, SHA256, expecting, failing, files, folders, write_and

KEPT = Partial(0, (ConnectionResetError,))


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
    with storage.write(PATH, partial=Partial(4)) as writer:
        assert writer.size == 4
        writer.write(b"ent")
        writer.expect("url", len(CONTENT), Checksum("sha256", SHA256))
    assert files(storage) == {PATH: CONTENT}


def test_only_the_bytes_up_to_the_offset_are_taken_over(storage: FilesystemStorage) -> None:
    broken_off(storage, b"cont and something wrong")
    with storage.write(PATH, partial=Partial(4)) as writer:
        writer.write(b"ent")
        writer.expect("url", len(CONTENT), Checksum("sha256", SHA256))
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
    def abandon(_: FileWriter) -> None:
        storage.abandon()
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        write_and(storage, b"cont", abandon, KEPT)
    assert files(storage) == {}


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
    def abandon(writer: FileWriter) -> None:
        assert storage.is_writing()
        storage.abandon()
        assert files(storage) == {PATH: b"old"}
        writer.write(CONTENT)

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


def test_after_it_was_abandoned_what_can_be_resumed_is_kept(storage: FilesystemStorage) -> None:
    def abandon(_: FileWriter) -> None:
        storage.abandon()
        assert storage.partial_size(PATH) == len(CONTENT)

    with pytest.raises(InterruptedRunError):
        write_and(storage, CONTENT, abandon, Partial(0, (InterruptedRunError,)))
    assert storage.partial_size(PATH) == len(CONTENT)
