"""A root index that tells only a serial of its own: it says that something has changed, and not what."""

from collections.abc import Iterable, Iterator

import pytest

from bandersnatch.errors import StorageError
from bandersnatch.plan import own_serials, refresh
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import TODO, StoredPath
from tests.support.rig import Rig
from tests.support.static_index import Form, StaticIndex, static_index

NAMES = ("bar", "baz", "foo")


@pytest.fixture
def index(rig: Rig) -> Iterator[StaticIndex]:
    """An index of three projects, which a mirror has."""
    with static_index(Form(has_whole_serial=True)) as index:
        rig.options["master"] = index.url
        for name in NAMES:
            index.add(name, f"{name}-1.0.tar.gz")
        assert rig.run().failures == []
        yield index


def test_of_many_projects_each_has_its_turn_although_the_serial_stays(
    rig: Rig, index: StaticIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_serials, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(refresh, "LEAST_OWN", 1)
    for name in NAMES:
        index.add(name, f"{name}-1.1.tar.gz")
    for _ in NAMES:
        assert rig.run().failures == []
    index.assert_held(rig.directory)


class NoRoomForTodo(FilesystemStorage):
    """Refuses to write the todo list, as if the run were killed there."""

    def save(self, path: StoredPath, pieces: Iterable[bytes]) -> None:
        if path == TODO:
            raise StorageError(path, "write", "killed")
        super().save(path, pieces)


def test_a_run_that_was_killed_before_its_todo_list_was_written_loses_no_change(rig: Rig, index: StaticIndex) -> None:
    index.add("foo", "foo-1.1.tar.gz")
    rig.make_storage = NoRoomForTodo
    with pytest.raises(StorageError):
        rig.run()
    rig.make_storage = FilesystemStorage
    assert rig.run().failures == []
    index.assert_held(rig.directory)
