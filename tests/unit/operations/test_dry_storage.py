"""The storage and the inventory of dry runs: everything can be asked of them, and the disk never hears of it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.errors import StorageError
from bandersnatch.names import NormalizedName
from bandersnatch.operations.dry_storage import DryStorage, InventoryCopy
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.storage.layout import StoredPath

PATHS = [StoredPath("state"), StoredPath("todo"), StoredPath("web/simple/foo/index.html")]
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["save", "write", "write_bytes", "rewrite", "delete", "sweep", "set_mtime"]),
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
                with storage.write(path) as writer:
                    writer.write(data)
                expected[path] = data
            case "rewrite":
                with storage.rewrite(path) as writer:
                    writer.write(data)
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


def test_links_and_moved_folders_are_told_of_and_not_made(tmp_path: Path) -> None:
    old, new = StoredPath("web/simple/F/Foo"), StoredPath("web/simple/f/foo")
    (tmp_path / old / "versions").mkdir(parents=True)
    (tmp_path / old / "versions" / "1").write_bytes(b"page")
    (tmp_path / old / ".index.html.abcdefgh").write_bytes(b"half")
    before = sorted(tmp_path.rglob("*"))
    storage = DryStorage(tmp_path)
    storage.link(StoredPath(f"{old}/index.html"), "versions/1")
    assert storage.link_target(StoredPath(f"{old}/index.html")) == "versions/1"
    assert storage.move_folder(old, new)
    for page in (StoredPath(f"{new}/index.html"), StoredPath(f"{new}/versions/1")):
        assert storage.read(page) == b"page"
        assert storage.stat(page) is not None
    assert storage.stat(StoredPath(f"{old}/index.html")) is None
    assert storage.read(StoredPath(f"{old}/versions/1")) is None
    assert set(storage.files(new)) == {"index.html", ".index.html.abcdefgh"}
    assert set(storage.files(old)) == set()
    assert set(storage.folders(StoredPath("web/simple"))) == {"F", "f"}
    assert set(storage.folders(StoredPath("web/simple/f"))) == {"foo"}
    assert set(storage.folders(StoredPath("web/simple/F"))) == set()
    hidden = StoredPath(f"{new}/.index.html.abcdefgh")
    assert list(storage.files_below(StoredPath("web"), lambda name: name.startswith("."))) == [hidden]
    assert storage.delete(hidden)
    assert list(storage.files_below(StoredPath("web"), lambda name: name.startswith("."))) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_folder_is_not_moved_to_where_something_is(tmp_path: Path) -> None:
    for name in ("Foo", "foo"):
        (tmp_path / "web" / "simple" / name).mkdir(parents=True)
    (tmp_path / "web/simple/foo/index.html").write_bytes(b"page")
    storage = DryStorage(tmp_path)
    old, new = StoredPath("web/simple/Foo"), StoredPath("web/simple/foo")
    assert not storage.move_folder(old, new)
    storage.delete(StoredPath(f"{new}/index.html"))
    assert storage.move_folder(old, new)


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
