"""The static journal has each change that a follower would see once, whatever a killed run has left."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from bandersnatch.errors import StorageError
from bandersnatch.logs import TOLD_ONCE
from bandersnatch.names import NormalizedName
from bandersnatch.pages.change_journal import ChangeJournal
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import StoredPath
from tests.support.fakepypi import FakePyPI
from tests.support.journal import read_index, read_journal, told
from tests.support.rig import HURRIED, Rig
from tests.support.verifying import NAMES, filled


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    rig.options["refresh"] = "0"
    return filled(rig, pypi)


def edit(rig: Rig, *statements: str) -> None:
    with closing(sqlite3.connect(rig.directory / "inventory.sqlite")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def stamps_of_files(rig: Rig) -> dict[str, tuple[int, ...]]:
    """Return size, inode and times of all files but the two that each run writes."""
    stamps = {path: stamp for path, stamp in rig.stamps().items() if Path(path).is_file()}
    return {path: stamp for path, stamp in stamps.items() if Path(path).name not in (".lock", "last-modified")}


def test_first_run_begins_a_journal_without_lines(held: Rig, pypi: FakePyPI) -> None:
    index = read_index(held.web)
    assert (index["serial"], index["begin"], index["end"], index["files"]) == (
        pypi.serial,
        pypi.serial,
        pypi.serial,
        [],
    )


@pytest.mark.parametrize(
    ("change", "kind"),
    [("update", "page"), ("yank", "page"), ("new", "page"), ("removed", "removed"), ("quarantined", "quarantined")],
)
def test_each_kind_of_change_is_a_line(held: Rig, pypi: FakePyPI, change: str, kind: str) -> None:
    name = NAMES[0]
    match change:
        case "update":
            pypi.add_file(name, "3.0")
        case "yank":
            pypi.yank(name, "1.0")
        case "new":
            name = "new"
            pypi.add_file(name, "1.0")
        case "removed":
            pypi.remove_project(name)
        case _:
            pypi.quarantine_project(name)
    held.run()
    assert told(held.web) == [(name, kind, 0 if kind == "removed" else pypi.serial)]
    assert read_index(held.web)["serial"] == pypi.serial


def test_end_of_a_quarantine_is_a_line(held: Rig, pypi: FakePyPI) -> None:
    pypi.quarantine_project(NAMES[0])
    held.run()
    pypi.clear_quarantine(NAMES[0])
    held.run()
    assert [change for _, change, _ in told(held.web)] == ["quarantined", "page"]


def test_what_upstream_changes_without_a_serial_is_a_line(held: Rig, pypi: FakePyPI) -> None:
    pypi.add_provenance(NAMES[0], pypi.files(NAMES[0])[0].filename)
    later = replace(HURRIED, wall_clock=lambda: time.time() + 40 * 86_400)
    held.run(refresh="30 days")
    held.run(refresh="30 days", tuning=later)
    assert told(held.web) == [(NAMES[0], "page", pypi.project_serial(NAMES[0]))]


def test_run_without_news_writes_nothing_and_asks_nothing_more(held: Rig, pypi: FakePyPI) -> None:
    pypi.add_file(NAMES[0], "3.0")
    held.run()
    before = stamps_of_files(held)
    pypi.clear_requests()
    held.run()
    assert [request.path for request in pypi.requests] == ["/pypi"]
    assert stamps_of_files(held) == before


def test_existing_mirror_begins_a_journal_in_a_run_without_news(held: Rig, pypi: FakePyPI) -> None:
    held.run(static_journal="false")
    held.run()
    assert read_journal(held.web) == []
    assert read_index(held.web)["begin"] == pypi.serial


@pytest.mark.slow
def test_verify_writes_a_line_about_a_page_that_has_changed_and_none_about_one_it_restores(
    held: Rig, pypi: FakePyPI
) -> None:
    (held.web / "simple" / NAMES[1] / "index.html").write_text("torn")
    pypi.add_provenance(NAMES[0], pypi.files(NAMES[0])[0].filename)
    result = held.command("verify")
    assert "4 repaired" in result.stderr
    assert told(held.web) == [(NAMES[0], "page", pypi.project_serial(NAMES[0]))]


def test_pages_that_come_again_as_they_were_are_no_lines(held: Rig, pypi: FakePyPI) -> None:
    before = read_index(held.web)
    held.resync()
    held.run(compare_method="hash")
    assert read_index(held.web) == before


def test_pages_in_other_folders_are_no_lines_and_pages_of_other_forms_are(held: Rig, pypi: FakePyPI) -> None:
    before = read_index(held.web)
    held.options["hash-index"] = "true"
    held.run()
    assert read_index(held.web) == before
    held.run(simple_format="JSON")
    assert sorted(told(held.web)) == sorted((name, "page", pypi.project_serial(name)) for name in NAMES)
    assert read_index(held.web)["id"] == before["id"]


def test_project_that_a_filter_drops_is_a_line(held: Rig) -> None:
    held.filters = f"[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = {NAMES[2]}\n"
    held.run(allow_removals=True)
    assert told(held.web) == [(NAMES[2], "removed", 0)]


def test_serial_without_changes_goes_on(held: Rig, pypi: FakePyPI) -> None:
    pypi.write_journal(None, None, "something")
    held.run()
    assert read_index(held.web)["serial"] == pypi.serial
    assert read_journal(held.web) == []


def test_deletion_by_the_operator_is_a_line(held: Rig) -> None:
    assert held.command("delete", NAMES[3], "--yes").returncode == 0
    assert told(held.web) == [(NAMES[3], "removed", 0)]


def test_killed_run_that_had_written_but_not_recorded_writes_no_line_twice(held: Rig, pypi: FakePyPI) -> None:
    before = read_index(held.web)["end"]
    pypi.add_file(NAMES[0], "3.0")
    pypi.remove_project(NAMES[1])
    held.run()
    lines = told(held.web)
    assert len(lines) == 2
    edit(
        held,
        f"UPDATE journal SET number = {before}",
        *(f"INSERT INTO unjournaled VALUES ('{name}')" for name in NAMES[:2]),
    )
    pypi.add_file(NAMES[0], "4.0")
    pypi.add_file(NAMES[2], "4.0")
    held.run()
    more = [(name, "page", pypi.project_serial(name)) for name in (NAMES[0], NAMES[2])]
    assert told(held.web) == lines + more


class DyingStorage(FilesystemStorage):
    """Refuses to write one path, as if the run were killed there."""

    dies_at = ""

    def save(self, path: StoredPath, pieces: Iterable[bytes]) -> None:
        if path.startswith("web/changes/") and path.endswith(self.dies_at):
            raise StorageError(path, "write", "killed")
        super().save(path, pieces)


@pytest.mark.parametrize("dies_at", [".jsonl", "index.json"])
def test_killed_run_that_had_not_written_loses_no_line(held: Rig, pypi: FakePyPI, dies_at: str) -> None:
    identity = read_index(held.web)["id"]
    pypi.add_file(NAMES[0], "3.0")
    serial = pypi.serial

    def dying(root: Path) -> FilesystemStorage:
        storage = DyingStorage(root)
        storage.dies_at = dies_at
        return storage

    held.make_storage = dying
    with pytest.raises(StorageError):
        held.run()
    assert read_journal(held.web) == []
    held.make_storage = FilesystemStorage
    held.run()  # upstream has nothing new
    assert told(held.web) == [(NAMES[0], "page", serial)]
    assert read_index(held.web)["id"] == identity


def lose_index(rig: Rig) -> None:
    (rig.web / "changes" / "index.json").unlink()


def lose_inventory(rig: Rig) -> None:
    (rig.directory / "inventory.sqlite").unlink()


def go_back(rig: Rig) -> None:
    index = read_index(rig.web)
    (rig.web / "changes" / "index.json").write_text(json.dumps({**index, "end": index["begin"], "files": []}))


def tear_file(rig: Rig) -> None:
    (path,) = (rig.web / "changes").glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-10])


def lose_table(rig: Rig) -> None:
    edit(rig, "DROP TABLE unjournaled")


@pytest.mark.parametrize(
    "loss",
    [
        lose_index,
        *(pytest.param(loss, marks=pytest.mark.slow) for loss in (lose_inventory, lose_table, go_back, tear_file)),
    ],
)
def test_journal_that_can_not_go_on_is_begun_anew(held: Rig, pypi: FakePyPI, loss: Callable[[Rig], None]) -> None:
    pypi.add_file(NAMES[0], "3.0")
    held.run()
    before = read_index(held.web)
    loss(held)
    pypi.add_file(NAMES[1], "3.0")
    held.run()
    after = read_index(held.web)
    assert after["id"] != before["id"]
    assert after["begin"] >= pypi.serial
    pypi.add_file(NAMES[2], "3.0")
    held.run()
    assert told(held.web) == [(NAMES[2], "page", pypi.serial)]
    held.assert_matches()


def test_journal_that_is_turned_off_goes_and_is_begun_anew_later(held: Rig, pypi: FakePyPI) -> None:
    pypi.add_file(NAMES[0], "3.0")
    held.run()
    before = read_index(held.web)["id"]
    pypi.add_file(NAMES[0], "4.0")
    held.run(static_journal="false")
    assert not (held.web / "changes").exists()
    pypi.add_file(NAMES[0], "5.0")
    held.run(static_journal="false")
    held.run()
    assert read_index(held.web)["id"] != before
    assert read_journal(held.web) == []


# Without runs, many changes


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[ChangeJournal]:
    storage, inventory = FilesystemStorage(tmp_path), Inventory(tmp_path / "inventory.sqlite")
    inventory.open()
    inventory.put_all([])
    with closing(inventory):
        yield ChangeJournal(storage, inventory)


def put(journal: ChangeJournal, serial: int, number: int = 1) -> None:
    names = [f"project-{serial}-{each}" for each in range(number)]
    assert isinstance(journal.inventory, Inventory)
    journal.inventory.put(*(HeldProject(NormalizedName(name), name, serial, None, 1, 1) for name in names))


def test_journal_of_many_small_runs_is_few_files_and_the_newest_are_small(
    journal: ChangeJournal, tmp_path: Path
) -> None:
    web = tmp_path / "web"
    journal.write(0, 0)
    for serial in range(1, 300):
        put(journal, serial)
        before = {f"{file['first']}-{file['last']}.jsonl" for file in read_index(web)["files"]}
        journal.write(serial, serial)
        names = {path.name for path in (web / "changes").glob("*.jsonl")}
        assert before <= names, "whoever has just read the index finds its files"
    assert [line["serial"] for line in read_journal(web)] == [*range(1, 300)]
    assert len(read_index(web)["files"]) < 10
    assert len(list((web / "changes").iterdir())) < 20


def test_files_are_at_most_a_megabyte(journal: ChangeJournal, tmp_path: Path) -> None:
    web = tmp_path / "web"
    journal.write(0, 0)
    for serial, number in enumerate((8_000, 14_000), 1):
        put(journal, serial, number)
        journal.write(serial, serial)
    assert len(read_journal(web)) == 22_000
    assert len(read_index(web)["files"]) == 3


def test_oldest_files_go(journal: ChangeJournal, tmp_path: Path) -> None:
    web = tmp_path / "web"
    journal = replace(journal, most_files=3)
    journal.write(0, 0)
    for serial, number in enumerate((243, 81, 27, 9, 3), 1):
        put(journal, serial, number)
        journal.write(serial, serial)
    index = read_index(web)
    assert (index["begin"], index["end"]) == (243 + 81, 363)
    assert len(read_journal(web)) == 27 + 9 + 3
    put(journal, 6)
    journal.write(6, 6)
    assert len(list((web / "changes").glob("*.jsonl"))) <= 4


OWN = [b"[]", b'{"news": []}', b"# my notes", b"x" * 100_000]


@pytest.mark.parametrize("own", OWN, ids=["list", "object", "text", "large"])
def test_an_operators_own_file_stays(
    journal: ChangeJournal, tmp_path: Path, own: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    TOLD_ONCE.clear()
    folder = tmp_path / "web" / "changes"
    folder.mkdir(parents=True)
    for name in ("index.json", "1-2.jsonl"):
        (folder / name).write_bytes(own)
    for serial in range(2):
        put(journal, serial)
        journal.reconcile()
        journal.write(serial, serial)
    journal.delete()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == dict.fromkeys(
        ("index.json", "1-2.jsonl"), own
    )
    assert sum("web/changes/index.json is not ours" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("left", [b"", bytes(80), b'{"ver', b'{"version":1,"id":"ab', b'{"version":2}'])
def test_what_is_left_of_an_index_is_replaced(journal: ChangeJournal, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "web" / "changes").mkdir(parents=True)
    (tmp_path / "web" / "changes" / "index.json").write_bytes(left)
    journal.write(1, 1)
    assert read_index(tmp_path / "web")["serial"] == 1


def test_a_damaged_index_is_replaced_where_ours_was(journal: ChangeJournal, tmp_path: Path) -> None:
    journal.write(1, 1)
    (tmp_path / "web" / "changes" / "index.json").write_bytes(b"garbage")
    journal.reconcile()
    journal.write(2, 2)
    assert read_index(tmp_path / "web")["serial"] == 2


def test_too_many_changes_begin_another_journal(journal: ChangeJournal, tmp_path: Path) -> None:
    journal = replace(journal, most_changes=100)
    journal.write(0, 0)
    before = read_index(tmp_path / "web")["id"]
    put(journal, 1, 101)
    journal.write(1, 1)
    assert read_index(tmp_path / "web")["id"] != before
    put(journal, 2)
    journal.write(2, 2)
    assert len(read_journal(tmp_path / "web")) == 1


def test_mirror_that_has_gone_back_begins_another_journal(journal: ChangeJournal, tmp_path: Path) -> None:
    put(journal, 7)
    journal.write(7, 0)
    before = read_index(tmp_path / "web")
    put(journal, 5)
    journal.write(5, 1)
    after = read_index(tmp_path / "web")
    assert after["id"] != before["id"]
    assert (after["serial"], after["begin"]) == (5, 7)
