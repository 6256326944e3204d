"""A chain of three mirrors, each of which follows the one before: by its static journal, once the root index was read."""

import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from bandersnatch.errors import UpstreamError
from bandersnatch.serving.site import Site
from bandersnatch.storage.layout import Layout
from bandersnatch.upstream import static_journal
from tests.support.fakepypi import FakePyPI
from tests.support.journal import read_index, read_journal, told, write_journal
from tests.support.rig import HURRIED, Rig
from tests.support.serving import needs_waitress, server_of

pytestmark = needs_waitress

NAMES = tuple(f"project-{number}" for number in range(8))
LATER = 40 * 86_400


class Chain:
    """Mirrors of which the first follows the fake PyPI, and each other one the mirror before it."""

    def __init__(self, pypi: FakePyPI, first: Rig, others: list[Rig], caplog: pytest.LogCaptureFixture) -> None:
        self.pypi, self.first, self.others, self._caplog = pypi, first, others, caplog
        for rig in (first, *others):
            rig.options["refresh"] = "0"

    def run(self) -> list[list[str]]:
        """Run all, in order; return what each follower requested."""
        assert self.first.run(allow_removals=True).failures == []
        return self.follow()

    def follow(self) -> list[list[str]]:
        """Run all but the first."""
        return [self.requests_of(rig) for rig in self.others]

    def requests_of(self, rig: Rig) -> list[str]:
        """Run one follower; return what it requested."""
        self._caplog.clear()
        assert rig.run(allow_removals=True).failures == []
        return self.requests()

    def requests(self) -> list[str]:
        """Return what was requested since the last run began."""
        lines = (re.match(r"\S+ (GET|HEAD|POST) (\S+): \d+", message) for message in self._caplog.messages)
        return [f"{line[1]} {line[2]}" for line in lines if line]

    def assert_equal(self) -> None:
        """Assert that the first is what upstream has, and that the others are what the first is."""
        self.first.assert_matches()
        expected = self.first.tree()
        for rig in self.others:
            tree = rig.tree()
            assert tree.keys() == expected.keys()
            assert [path for path in tree if tree[path] != expected[path]] == []
            assert (rig.directory / "state").read_text() == (self.first.directory / "state").read_text()
            assert not (rig.directory / "todo").exists()
            read_journal(rig.web)


@pytest.fixture
def chain(pypi: FakePyPI, rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Chain]:
    caplog.set_level(logging.DEBUG)
    for name in NAMES:
        pypi.add_file(name, "1.0")
        pypi.add_file(name, "2.0")
    others = []
    with ExitStack() as serving:
        before = rig
        for name in ("second", "third"):
            (tmp_path / name).mkdir()
            other = Rig(pypi, tmp_path / name)
            before.web.mkdir(parents=True, exist_ok=True)
            port = serving.enter_context(server_of(Site(before.web, Layout())))
            other.options["master"] = f"http://127.0.0.1:{port}"
            others.append(other)
            before = other
        chain = Chain(pypi, rig, others, caplog)
        chain.run()
        yield chain


def add(pypi: FakePyPI) -> None:
    pypi.add_file(NAMES[0], "3.0")
    pypi.add_file("new", "1.0")


def yank(pypi: FakePyPI) -> None:
    pypi.yank(NAMES[1], "1.0", "broken")


def remove_file(pypi: FakePyPI) -> None:
    pypi.remove_release(NAMES[2], "1.0")


def remove_project(pypi: FakePyPI) -> None:
    pypi.remove_project(NAMES[3])


def create_again(pypi: FakePyPI) -> None:
    pypi.remove_project(NAMES[3])
    pypi.add_file(NAMES[3], "9.0")


def quarantine(pypi: FakePyPI) -> None:
    pypi.quarantine_project(NAMES[4])


def change_owner(pypi: FakePyPI) -> None:
    pypi.add_role(NAMES[5])


STORIES = (add, yank, remove_file, remove_project, create_again, quarantine, change_owner)


@pytest.mark.parametrize("story", STORIES)
def test_change_goes_down_the_chain_by_small_requests(chain: Chain, story: Callable[[FakePyPI], None]) -> None:
    chain.assert_equal()
    story(chain.pypi)
    for requests in chain.run():
        assert requests[0] == "GET /changes/index.json"
        assert "GET /simple/" not in requests
        assert not [request for request in requests if request.startswith("POST")]
    chain.assert_equal()


@pytest.mark.quick
def test_run_without_news_is_one_request(chain: Chain) -> None:
    assert chain.run() == [["GET /changes/index.json"]] * 2
    chain.assert_equal()


def test_run_after_a_removal_is_one_request_again(chain: Chain) -> None:
    remove_project(chain.pypi)
    chain.run()
    assert chain.run() == [["GET /changes/index.json"]] * 2
    chain.pypi.add_file(NAMES[3], "9.0")
    chain.run()
    chain.assert_equal()


def test_api_method_simple_follows_the_journal_too_and_xmlrpc_does_not(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    second, third = chain.others
    second.options["api-method"] = "simple"
    assert chain.run() == [["GET /changes/index.json"]] * 2
    third.options["api-method"] = "xmlrpc"
    caplog.clear()
    with pytest.raises(UpstreamError):
        third.run()
    assert "changes" not in " ".join(chain.requests())


def test_end_of_a_quarantine_goes_down_the_chain(chain: Chain) -> None:
    quarantine(chain.pypi)
    chain.run()
    chain.assert_equal()
    chain.pypi.clear_quarantine(NAMES[4])
    chain.run()
    chain.assert_equal()


def test_what_refresh_finds_goes_down_the_chain_without_a_serial(chain: Chain) -> None:
    name = NAMES[6]
    chain.pypi.add_provenance(name, chain.pypi.files(name)[0].filename)
    later = replace(HURRIED, wall_clock=lambda: time.time() + LATER)
    chain.first.run(refresh="30 days")
    chain.first.run(refresh="30 days", tuning=later)
    serial = chain.pypi.project_serial(name)
    for requests in chain.follow():
        assert f"GET /simple/{name}/" in requests
        assert "GET /simple/" not in requests
    assert told(chain.others[1].web) == [(name, "page", serial)]
    chain.assert_equal()


@pytest.mark.quick
def test_follower_that_was_away_gets_all_at_once(chain: Chain) -> None:
    for story in STORIES:
        if story is not remove_project:  # it is created again here
            story(chain.pypi)
        chain.first.run(allow_removals=True)
    (requests, _) = chain.follow()
    assert requests[0] == "GET /changes/index.json"
    assert "GET /simple/" not in requests
    chain.assert_equal()


def lose_journal(rig: Rig) -> None:
    for path in (rig.web / "changes").iterdir():
        path.unlink()


def begin_anew(rig: Rig) -> None:
    lose_journal(rig)
    rig.run()


def tear_file(rig: Rig) -> None:
    for path in (rig.web / "changes").glob("*.jsonl"):
        path.write_bytes(path.read_bytes()[:-4])


def stop_writing(rig: Rig) -> None:
    rig.run(static_journal="false")


@pytest.mark.parametrize("loss", [lose_journal, begin_anew, tear_file, stop_writing])
def test_follower_reads_the_root_index_where_the_journal_does_not_tell(
    chain: Chain, loss: Callable[[Rig], None]
) -> None:
    add(chain.pypi)
    remove_project(chain.pypi)
    chain.first.run(allow_removals=True)
    loss(chain.first)
    requests = chain.requests_of(chain.others[0])
    assert "GET /simple/" in requests
    chain.requests_of(chain.others[1])
    yank(chain.pypi)
    (requests, _) = chain.run()
    assert ("GET /simple/" in requests) == (loss is not begin_anew)
    chain.assert_equal()


def go_back(web: Path) -> None:
    write_journal(web, read_journal(web)[:-1])


def lose_old_files(web: Path) -> None:
    index = read_index(web)
    end = {"begin": index["end"], "digest": index["files"][-1]["digest"], "files": []}
    (web / "changes" / "index.json").write_text(json.dumps({**index, **end}))


def write_html(web: Path) -> None:
    (web / "changes" / "index.json").write_text("<!DOCTYPE html><title>Log in</title>")


def write_large_index(web: Path) -> None:
    write_journal(web, read_journal(web), padding="x" * 100_000)


def announce_large_file(web: Path) -> None:
    index = read_index(web)
    files = [{**file, "size": 10**9} for file in index["files"]]
    (web / "changes" / "index.json").write_text(json.dumps({**index, "files": files}))


def leap(web: Path) -> None:
    lines = read_journal(web)
    write_journal(web, [*lines[:-1], {**lines[-1], "serial": 10**9}], newest=10**9, serial=10**9)


def tell_serial_beyond_newest(web: Path) -> None:
    lines = read_journal(web)
    write_journal(web, [*lines[:-1], {**lines[-1], "serial": lines[-1]["serial"] + 1}])


def have_older_serial(web: Path) -> None:
    write_journal(web, read_journal(web), serial=1)


def have_another_id(web: Path) -> None:
    write_journal(web, read_journal(web), id="0" * 16)


@pytest.mark.parametrize(
    ("damage", "told_reason"),
    [
        (go_back, "it ends at number"),
        (lose_old_files, "it begins after number"),
        (write_html, "no index of changes"),
        (write_large_index, "65536"),
        (announce_large_file, "no index of changes"),
        (leap, "it has serial 1000000000"),
        (tell_serial_beyond_newest, "is beyond the newest"),
        (have_older_serial, "its serial is 1"),
        (have_another_id, "it was begun anew"),
    ],
)
def test_journal_that_is_wrong_changes_nothing_and_is_told_once(
    chain: Chain, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], told_reason: str
) -> None:
    follower = chain.others[0]
    # It has read the first line or none, and the journal has two.
    for story in (yank, remove_project) if damage is go_back else (remove_project,):
        story(chain.pypi)
        chain.run()
    add(chain.pypi)
    chain.first.run()
    if damage is go_back:
        chain.follow()
    damage(chain.first.web)
    assert "GET /simple/" in chain.requests_of(follower)
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert "the static journal does not tell what has changed" in warning
    assert told_reason in warning
    assert int((follower.directory / "state").read_text()) == chain.pypi.serial
    assert follower.tree() == chain.first.tree()


def test_journal_with_more_news_than_a_run_reads_is_not_read(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_journal, "MOST_BYTES", 100)
    add(chain.pypi)
    chain.first.run()
    requests = chain.requests_of(chain.others[0])
    assert "GET /simple/" in requests
    assert ".jsonl" not in " ".join(requests)
    chain.requests_of(chain.others[1])
    chain.assert_equal()


def test_serial_that_no_line_bears_out_is_not_believed(chain: Chain) -> None:
    write_journal(chain.first.web, [], serial=10**9, newest=10**9)
    assert chain.requests_of(chain.others[0]) == ["GET /changes/index.json"]
    assert int((chain.others[0].directory / "state").read_text()) == chain.pypi.serial


def test_mirror_restored_from_a_backup_does_not_hide_what_it_then_tells(chain: Chain) -> None:
    first, backup = chain.first.directory, chain.first.directory.with_name("backup")
    shutil.copytree(first, backup, symlinks=True)
    yank(chain.pypi)
    chain.run()
    shutil.copytree(backup, first, symlinks=True, dirs_exist_ok=True)
    remove_project(chain.pypi)  # told with the number that the yank had before
    add(chain.pypi)
    (requests, _) = chain.run()
    assert "GET /simple/" in requests  # the journal no longer tells what has changed since
    chain.assert_equal()


def test_root_index_from_a_cache_is_not_taken_for_the_journal(chain: Chain) -> None:
    pages = {path: path.read_bytes() for path in (chain.first.web / "simple").glob("index.*")}
    add(chain.pypi)
    chain.first.run()
    current = {path: path.read_bytes() for path in pages}
    follower = chain.others[0]
    (follower.directory / "followed").unlink()
    for path, body in pages.items():
        path.write_bytes(body)
    chain.requests_of(follower)
    assert not (follower.directory / "followed").exists()
    for path, body in current.items():
        path.write_bytes(body)
    chain.follow()
    chain.assert_equal()


def test_dry_run_reads_the_journal_and_writes_nothing(chain: Chain) -> None:
    add(chain.pypi)
    remove_project(chain.pypi)
    chain.first.run(allow_removals=True)
    follower = chain.others[0]
    records = {path: path.read_bytes() for path in follower.directory.iterdir() if path.is_file()}
    before = read_index(follower.web)
    result = follower.command("mirror", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert NAMES[3] in result.stdout + result.stderr
    assert read_index(follower.web) == before
    assert {path: path.read_bytes() for path in records if "inventory" not in path.name} == {
        path: body for path, body in records.items() if "inventory" not in path.name
    }
    chain.follow()
    chain.assert_equal()


def test_follower_with_filters_asks_only_for_what_they_keep(chain: Chain) -> None:
    follower = chain.others[0]
    follower.filters = f"[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = {NAMES[1]}\n"
    chain.run()
    yank(chain.pypi)
    change_owner(chain.pypi)
    chain.first.run()
    requests = chain.requests_of(follower)
    assert "GET /simple/" not in requests
    assert f"GET /simple/{NAMES[5]}/" in requests
    assert f"GET /simple/{NAMES[1]}/" not in requests
    assert {*chain.first.tree()} - {*follower.tree()} == {
        path for path in chain.first.tree() if NAMES[1] in path or NAMES[1].replace("-", "_") in path
    }


def test_project_that_fails_is_left_to_the_next_run(chain: Chain) -> None:
    add(chain.pypi)
    chain.first.run()
    page = chain.first.web / "simple" / "new" / "index.v1_json"
    body = page.read_bytes()
    page.write_bytes(b"<html>")
    follower = chain.others[0]
    assert [failure.project for failure in follower.run().failures] == ["new"]
    assert int((follower.directory / "state").read_text()) < chain.pypi.serial
    page.write_bytes(body)
    chain.follow()
    chain.assert_equal()


def test_second_mirror_that_is_rebuilt_is_followed_on(chain: Chain) -> None:
    add(chain.pypi)
    chain.first.run()
    second = chain.others[0]
    before = read_index(second.web)["id"]
    (second.directory / "inventory.sqlite").unlink()
    chain.follow()
    assert read_index(second.web)["id"] != before
    chain.assert_equal()
    remove_project(chain.pypi)
    chain.run()
    chain.assert_equal()
