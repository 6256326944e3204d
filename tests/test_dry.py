"""The storage and the inventory of dry runs: everything can be asked of them, and the disk never hears of it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from bandersnatch.dry import DryStorage, InventoryCopy
from bandersnatch.errors import StorageError
from bandersnatch.inventory import HeldProject, Inventory
from bandersnatch.layout import StoredPath

PATHS = [StoredPath("state"), StoredPath("todo"), StoredPath("web/simple/foo/index.html")]
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["save", "write", "write_bytes", "write_pieces", "delete", "sweep", "set_mtime"]),
        st.sampled_from(PATHS),
        st.binary(),
    )
)


def held(name: str, serial: int = 1) -> HeldProject:
    return HeldProject(NormalizedName(name), name.title(), serial, "etag", 2, 300)


@given(operations=OPERATIONS)
def test_storage_answers_as_if_it_had_written(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, StoredPath, bytes]]
) -> None:
    root = tmp_path_factory.mktemp("mirror")
    (root / "state").write_bytes(b"1")
    storage = DryStorage(root)
    expected: dict[StoredPath, bytes] = {PATHS[0]: b"1"}
    for operation, path, data in operations:
        match operation:
            case "save":
                storage.save(path, [data[:1], data[1:]])
                expected[path] = data
            case "write":
                with storage.write(path) as sink:
                    sink.write(data)
                expected[path] = data
            case "write_pieces":
                assert storage.write_pieces(path, [data[:1], data[1:]]) == (expected.get(path) != data)
                expected[path] = data
            case "write_bytes":
                assert storage.write_bytes(path, data) == (expected.get(path) != data)
                expected[path] = data
            case "delete":
                assert storage.delete(path) == (expected.pop(path, None) is not None)
            case "sweep":
                assert storage.sweep([path]) == 0
            case _:
                storage.set_mtime(path, 1.0)
    storage.flush()
    for path in PATHS:
        stat = storage.stat(path)
        assert storage.read(path) == expected.get(path)
        assert (None if stat is None else stat.size) == (None if path not in expected else len(expected[path]))
    assert [(path.name, path.read_bytes()) for path in root.iterdir()] == [("state", b"1")]


def test_storage_makes_no_links_and_moves_no_folders(tmp_path: Path) -> None:
    folder = tmp_path / "web" / "simple" / "Foo"
    folder.mkdir(parents=True)
    (folder / "new").write_bytes(b"new")
    storage = DryStorage(tmp_path)
    page = StoredPath("web/simple/Foo/index.html")
    storage.link(page, "new")
    storage.move_folder(StoredPath("web/simple/Foo"), StoredPath("web/simple/foo"))
    assert storage.read(page) == b"new"
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "web",
        "web/simple",
        "web/simple/Foo",
        "web/simple/Foo/new",
    ]


def filled(path: Path) -> None:
    with closing(Inventory(path)) as inventory:
        inventory.open()
        inventory.put_all([held("foo"), held("bar")])


def test_copy_has_what_the_original_has_and_changes_stay_in_it(tmp_path: Path) -> None:
    path = tmp_path / "inventory.sqlite"
    filled(path)
    before = path.read_bytes()
    with closing(InventoryCopy(path)) as copy:
        assert copy.open()
        assert copy.serials() == {"foo": 1, "bar": 1}
        copy.put(held("foo", 9))
        copy.forget_etags()
        assert copy.get(NormalizedName("foo")) == HeldProject(NormalizedName("foo"), "Foo", 9, None, 2, 300)
        assert [each.name for each in tmp_path.iterdir()] == ["inventory.sqlite"]
    assert path.read_bytes() == before


def test_copy_of_an_inventory_that_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "inventory.sqlite"
    filled(path)
    with closing(Inventory(path)) as original, closing(InventoryCopy(path)) as copy:
        original.open()
        original.put(held("baz"))
        assert copy.open()
        assert set(copy.serials()) == {"foo", "bar", "baz"}
        original.put(held("later"))
        assert set(copy.serials()) == {"foo", "bar", "baz"}


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 1000], ids=["missing", "empty", "garbage"])
def test_without_a_usable_original_the_copy_is_empty(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "inventory.sqlite"
    if content is not None:
        path.write_bytes(content)
    with closing(InventoryCopy(path)) as copy:
        assert not copy.open()
        copy.put_all([held("foo")])
        assert copy.serials() == {"foo": 1}
    assert (path.read_bytes() if path.exists() else None) == content


def test_error_in_the_copy_leaves_the_original(tmp_path: Path) -> None:
    path = tmp_path / "inventory.sqlite"
    filled(path)
    with closing(InventoryCopy(path)) as copy:
        copy.open()
        with pytest.raises(StorageError):
            copy.put(HeldProject(NormalizedName("foo"), None, 1, None, 0, 0))  # type: ignore[arg-type]
    assert path.exists()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM project").fetchone() == (2,)
