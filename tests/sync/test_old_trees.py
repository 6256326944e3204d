"""Whole trees as other programs wrote them: one run of ours makes a fresh mirror of each, and says what it found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.old_trees import (
    SHADOWMIRE_FILES,
    Left,
    as_bandersnatch_2,
    as_bandersnatch_5,
    as_shadowmire,
    everything,
    tell_story,
)
from tests.support.rig import Rig

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
    found, expected = everything(rig.directory), everything(fresh.directory)
    assert kept <= found.keys()
    foreign = kept - expected.keys()  # with json = true we write two of them ourselves
    assert {name: what for name, what in found.items() if name not in foreign} == expected
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
    assert rig.call("verify", "--delete").returncode in (0, 6)
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


def distributions(rig: Rig) -> dict[str, int]:
    """Return the sizes of all distribution files, by their paths; half-written ones are none."""
    others = (".metadata", ".tmp")
    found = [path for path in (rig.web / "packages").rglob("[!.]*") if path.is_file() and path.suffix not in others]
    return {str(path): path.stat().st_size for path in found}


def plan_of(rig: Rig, *arguments: str, **options: str) -> dict[str, Any]:
    result = rig.call("mirror", "--dry-run", "--json", *arguments, **options)
    assert result.returncode == 0, result.stderr
    assert "a run would take it over" in result.stderr
    assert "page folders" not in result.stderr
    plan: dict[str, Any] = json.loads(result.stdout)
    return plan


BLOCK_ZETA = "[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = zeta-tools\n"


def tell_of_changes(rig: Rig, pypi: FakePyPI, write: Writes) -> None:
    """Make the tree of another program, of which upstream and a filter have removed something since."""
    tell_story(pypi)
    pypi.add_file("Gone_Tools", "1.0")
    pypi.add_file("Gone_Tools", "2.0", kind="sdist")
    rig.run()
    write(rig.directory, pypi)
    pypi.remove_project("Gone_Tools")
    pypi.remove_file("old-timer", "old-timer-0.9.tar.gz")
    pypi.add_file("new", "1.0")
    rig.filters = BLOCK_ZETA


@pytest.mark.parametrize("options", [{}, {"hash-index": "true"}], ids=str)
@pytest.mark.parametrize("write", TREES)
def test_the_plan_of_a_first_run_is_what_the_run_then_does(
    rig: Rig, pypi: FakePyPI, write: Writes, options: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    tell_of_changes(rig, pypi, write)
    rig.options |= options
    before, stamps = distributions(rig), rig.stamps()
    quick, full = plan_of(rig), plan_of(rig, "--full")
    rig.assert_same_tree(stamps)
    with caplog.at_level("INFO"):
        report = rig.run()
    after = distributions(rig)
    gone = {path: size for path, size in before.items() if path not in after}

    def goes(project: str) -> dict[str, Any]:
        name = project.replace("-", "_")
        sizes = [size for path, size in gone.items() if path.lower().rpartition("/")[2].startswith(f"{name}-")]
        return {"project": project, "files": len(sizes), "bytes": sum(sizes)}

    assert full["remove"] == [goes("gone-tools"), goes("zeta-tools")]
    assert quick["remove"] == full["remove"]
    assert full["total"] == {
        "download": {"files": report.files, "bytes": report.size_bytes},
        "remove": {"files": len(gone), "bytes": sum(gone.values())},
    }
    updated = {line.partition(":")[0] for line in caplog.messages if ": updated to serial" in line}
    assert {update["project"] for update in full["update"]} == updated
    assert [update["project"] for update in full["update"] if update["held_serial"] is None] == ["new"]
    assert (full["unchanged"], full["unknown"], full["failed"]) == (0, [], {})


@pytest.mark.parametrize("write", TREES)
def test_the_plan_of_a_first_run_tells_what_the_brake_withholds(rig: Rig, pypi: FakePyPI, write: Writes) -> None:
    tell_of_changes(rig, pypi, write)
    plan = plan_of(rig, "--full", max_removals="0")
    assert plan["withheld"] == "2 of 6 projects, and from others 1 of 9 files"
    assert plan["withheld"] in str(rig.run(max_removals="0").withheld)
