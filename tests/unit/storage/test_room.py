"""The free space of a filesystem, and what files in progress have of it."""

import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from bandersnatch.errors import StorageError
from bandersnatch.storage.room import Room


def free_bytes(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def test_a_file_that_would_eat_into_the_reserve_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"web/x: .* more would not leave the reserve of"),
        Room(tmp_path).hold("web/x", 1, 10 * free_bytes(tmp_path)),
    ):
        pytest.fail("there was no room")


def test_all_files_in_progress_count_and_only_these(tmp_path: Path) -> None:
    room, half = Room(tmp_path), free_bytes(tmp_path) // 2
    size, reserve = half * 3 // 2, 1
    for _ in range(2):  # what was held is free again behind the block
        with (
            room.hold("one", size, reserve),
            pytest.raises(StorageError, match="two"),
            room.hold("two", size, reserve),
        ):
            pytest.fail("there was no room")


def test_what_was_refused_holds_nothing(tmp_path: Path) -> None:
    room, all_bytes = Room(tmp_path), free_bytes(tmp_path)
    with pytest.raises(StorageError), room.hold("too large", 10 * all_bytes, 1):
        pytest.fail("there was no room")
    with room.hold("small", 1, 1):
        pass


def test_without_a_reserve_nothing_is_looked_at(tmp_path: Path) -> None:
    with Room(tmp_path / "missing").hold("x", 10**18, 0):
        pass


def test_a_filesystem_that_can_not_be_looked_at_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="look at the filesystem"), Room(tmp_path / "missing").hold("x", 1, 1):
        pytest.fail("nobody knows whether there was room")


def test_two_processes_never_promise_the_same_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither goes on before both have read what is promised."""
    room, all_bytes = Room(tmp_path), 1000
    size = all_bytes * 3 // 4
    room.share(2)
    forking = multiprocessing.get_context("fork")
    have_read, have_held, ours = forking.Barrier(2), forking.Barrier(2), forking.SimpleQueue()

    class Free(int):
        """The sum of what is promised is read before it is subtracted."""

        def __mul__(self, size: int) -> "Free":
            return Free(int(self) * size)

        def __sub__(self, promised: int) -> int:
            have_read.wait(30)
            return int(self) - promised

    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=Free(all_bytes), f_frsize=1))

    def hold(place: int) -> None:
        room.take_place(place)
        try:
            with room.hold("theirs", size, 1):
                ours.put(True)
                have_held.wait(30)
        except StorageError:
            ours.put(False)
            have_held.wait(30)

    processes = [forking.Process(target=hold, args=(place,), daemon=True) for place in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [ours.get(), ours.get()].count(True) < 2


def test_what_processes_promise_counts_until_they_have_ended(tmp_path: Path) -> None:
    room, size = Room(tmp_path), free_bytes(tmp_path) * 3 // 4
    room.share(1)
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe()

    def hold_for_ever() -> None:
        room.take_place(1)
        with room.hold("theirs", size, 1):
            theirs.send(None)
            theirs.recv()

    process = forking.Process(target=hold_for_ever, daemon=True)
    process.start()
    ours.recv()
    with pytest.raises(StorageError, match="ours"), room.hold("ours", size, 1):
        pytest.fail("there was no room")
    process.kill()
    process.join()
    room.give_back(1)
    with room.hold("ours", size, 1):
        pass
