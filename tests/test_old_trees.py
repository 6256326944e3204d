"""Whole trees as other programs wrote them: one run of ours makes a fresh mirror of each, and says what it found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakepypi import FakePyPI
from tests.old_trees import (
    SHADOWMIRE_FILES,
    Left,
    as_bandersnatch_2,
    as_bandersnatch_5,
    as_shadowmire,
    everything,
    tell_story,
)
from tests.rig import Rig

Writes = Callable[[Path, FakePyPI], Left]
TREES: list[Writes] = [as_bandersnatch_2, as_bandersnatch_5, as_shadowmire]
OPTIONS = [
    {"json": "false"},
    {"json": "true"},
    {"hash-index": "true", "json": "true"},
    {"keep_index_versions": "2"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("write", TREES)
def test_a_tree_of_another_program_becomes_a_fresh_one(
    rig: Rig, pypi: FakePyPI, tmp_path: Path, write: Writes, options: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    tell_story(pypi)
    rig.run()
    left = write(rig.directory, pypi)
    rig.options |= options
    # Of upstream's files, the one that is wrong here is fetched, and no other.
    wheel = next((rig.web / "packages").rglob("z-1.0-*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-1])
    pypi.clear_requests()
    caplog.clear()
    with caplog.at_level("INFO"):
        assert rig.run().failures == []
    assert [request.path.rpartition("/")[2] for request in pypi.file_requests()] == [wheel.name]
    assert pypi.metadata_requests() == []
    assert f"{rig.directory} holds a mirror of another program; it is taken over" in caplog.messages
    assert (
        f"page folders that got their normalized name: {left.renamed}; leftovers deleted: {left.leftovers}"
        in caplog.messages
    )
    assert "taken over: 4 projects, whose pages list 6 files" in caplog.messages
    assert "the configuration has changed" not in caplog.text
    fresh = Rig(pypi, tmp_path / "fresh")
    fresh.folder.mkdir()
    fresh.options |= options
    fresh.run()
    kept = {f"web/{name}" for name in SHADOWMIRE_FILES} if write is as_shadowmire else set()
    found = everything(rig.directory)
    assert kept <= found.keys()
    assert {name: what for name, what in found.items() if name not in kept} == everything(fresh.directory)
    if options.keys() == {"json"}:
        rig.assert_matches()


@pytest.mark.parametrize("write", TREES)
def test_files_at_paths_that_no_page_lists_stay_until_a_verification_deletes_them(
    rig: Rig, pypi: FakePyPI, write: Writes
) -> None:
    """Before 2016 files had other paths, under which older versions left them when they fetched them anew."""
    tell_story(pypi)
    rig.run()
    write(rig.directory, pypi)
    relic = rig.web / "packages" / "2.7" / "F" / "Foo.Bar" / "Foo.Bar-0.1-py2.7.egg"
    relic.parent.mkdir(parents=True)
    relic.write_bytes(b"an egg")
    rig.run()
    assert relic.exists()
    assert rig.command("verify", "--delete").returncode in (0, 6)
    rig.assert_matches()


@pytest.mark.parametrize("write", TREES)
def test_a_second_run_finds_nothing_to_do(
    rig: Rig, pypi: FakePyPI, write: Writes, caplog: pytest.LogCaptureFixture
) -> None:
    tell_story(pypi)
    rig.run()
    write(rig.directory, pypi)
    rig.run()
    before = everything(rig.directory)
    pypi.clear_requests()
    caplog.clear()
    with caplog.at_level("INFO"):
        rig.run()
    assert "taken over" not in caplog.text
    assert pypi.page_requests() == []
    assert everything(rig.directory) == before
