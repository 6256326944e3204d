"""``mirror --dry-run``: the plan of a run, which is what the run then does, and not a byte written for it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakepypi import FakePyPI, Stall, Status
from tests.support.rig import Rig


def dry_run(rig: Rig, *arguments: str, **options: str) -> dict[str, Any]:
    result = rig.call("mirror", "--dry-run", "--json", *arguments, **options)
    assert result.returncode == 0, result.stderr
    plan: dict[str, Any] = json.loads(result.stdout)
    return plan


def tell_news(pypi: FakePyPI) -> None:
    """Some of each kind: a new file, a removed one, a new project, a removed one, an owner."""
    pypi.add_file("grows", "2.0", size=3000)
    pypi.remove_file("shrinks", pypi.files("shrinks")[0].filename)
    pypi.add_file("New_One", "1.0", size=2000)
    pypi.remove_project("goes")
    pypi.add_role("stays", "somebody")


@pytest.fixture
def changed(rig: Rig, pypi: FakePyPI) -> Rig:
    for name in ("grows", "shrinks", "goes", "stays"):
        pypi.add_file(name, "1.0", size=5000)
        pypi.add_file(name, "1.1", kind="sdist", size=4000)
    rig.run()
    tell_news(pypi)
    pypi.clear_requests()
    return rig


def test_plan_without_pages_costs_what_a_plan_costs(changed: Rig, pypi: FakePyPI) -> None:
    goes = sum(file.stat().st_size for file in changed.web.rglob("goes-*") if file.suffix != ".metadata")
    plan = dry_run(changed)
    assert [request.path for request in pypi.requests] == ["/pypi"] * 2
    assert pypi.rpc_calls() == ["changelog_since_serial", "changelog_last_serial"]
    assert [(u["project"], u["held_serial"] is None) for u in plan["update"]] == [
        ("grows", False), ("new-one", True), ("shrinks", False), ("stays", False),
    ]  # fmt: skip
    assert plan["remove"] == [{"project": "goes", "files": 2, "bytes": goes}]
    assert plan["unchanged"] == 0
    assert plan["total"] == {"download": None, "remove": None}
    assert plan["serial"] == pypi.serial
    assert any("--full fetches the pages" in unknown for unknown in plan["unknown"])


def test_full_plan_is_what_the_run_then_does(changed: Rig, pypi: FakePyPI) -> None:
    plan = dry_run(changed, "--full")
    assert pypi.file_requests() == []
    by_name = {update["project"]: update for update in plan["update"]}
    assert by_name["grows"]["download"] == {"files": 1, "bytes": pypi.files("grows")[-1].size}
    assert by_name["new-one"]["download"] == {"files": 1, "bytes": pypi.files("new-one")[0].size}
    assert by_name["shrinks"]["remove"]["files"] == 1
    assert plan["unknown"] == []
    assert plan["failed"] == {}
    before = {path for path in (changed.web / "packages").rglob("*") if path.is_file() and path.suffix != ".metadata"}
    report = changed.run()
    after = {path for path in (changed.web / "packages").rglob("*") if path.is_file() and path.suffix != ".metadata"}
    assert plan["total"]["download"] == {"files": report.files, "bytes": report.size_bytes}
    assert plan["total"]["remove"]["files"] == len(before - after)
    assert {update["project"] for update in plan["update"]} == {"grows", "new-one", "shrinks", "stays"}
    changed.assert_matches()


@pytest.mark.parametrize("full", [False, True], ids=["plan", "full"])
def test_nothing_is_written(changed: Rig, full: bool) -> None:
    before = changed.stamps()
    dry_run(changed, *["--full"] * full)
    changed.assert_same_tree(before)


@pytest.mark.parametrize("full", [False, True], ids=["plan", "full"])
def test_nothing_is_written_where_there_is_no_mirror_yet(rig: Rig, pypi: FakePyPI, full: bool) -> None:
    pypi.add_file("foo", "1.0", size=1000)
    plan = dry_run(rig, *["--full"] * full)
    assert [update["project"] for update in plan["update"]] == ["foo"]
    assert plan["from_serial"] is None
    assert not any(rig.directory.iterdir())


def test_nothing_is_written_where_the_inventory_is_missing(changed: Rig) -> None:
    (changed.directory / "inventory.sqlite").unlink()
    before = changed.stamps()
    plan = dry_run(changed, "--full")
    changed.assert_same_tree(before)
    assert {update["project"] for update in plan["update"]} == {"grows", "new-one", "shrinks", "stays"}
    assert [removal["project"] for removal in plan["remove"]] == ["goes"]


def test_plan_with_digests_reads_no_file_and_counts_all_that_a_run_reads(changed: Rig, pypi: FakePyPI) -> None:
    changed.run()
    changed.resync()
    plan = dry_run(changed, "--full", compare_method="hash")
    held = len(list(changed.web.rglob("*.whl"))) + len(list(changed.web.rglob("*.tar.gz")))
    assert any(f"how many of {held} files are bad" in unknown for unknown in plan["unknown"])


def test_nothing_is_taken_over_from_another_bandersnatch(changed: Rig) -> None:
    serial = (changed.directory / "state").read_text()
    for name in ("state", "inventory.sqlite", "fingerprint"):
        (changed.directory / name).unlink()
    (changed.directory / "status").write_text(serial)
    before = changed.stamps()
    plan = dry_run(changed)
    changed.assert_same_tree(before)
    assert plan["from_serial"] == int(serial)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small filesystem of its own."""
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", point], check=True)
    yield point
    subprocess.run(["umount", point], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a filesystem read-only")
@pytest.mark.parametrize("left_behind", ["nothing", "log"])
def test_read_only_directory_will_do(changed: Rig, pypi: FakePyPI, disk: Path, left_behind: str) -> None:
    shutil.copytree(changed.directory, disk / "mirror")
    if left_behind == "log":  # as after kill -9
        script = (
            "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('UPDATE project SET etag = NULL');"
        )
        inventory = disk / "mirror" / "inventory.sqlite"
        subprocess.run(["python3", "-c", f"{script} c.commit(); os._exit(0)", inventory], check=True)
        assert Path(f"{inventory}-wal").exists()
    changed.directory = disk / "mirror"
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    plan = dry_run(changed, "--full")
    assert len(plan["update"]) == 4
    assert [removal["project"] for removal in plan["remove"]] == ["goes"]


def test_plan_can_be_made_while_a_run_works(changed: Rig, pypi: FakePyPI) -> None:
    stall = Stall()
    pypi.fault(pypi.files("grows")[-1].url_path, stall, times=None)
    with changed.start_command("mirror", timeout="60") as process:
        assert stall.started.wait(30)
        result = changed.call_again("mirror", "--dry-run", "--json")
        process.kill()
        process.communicate()
    assert result.returncode == 0, result.stderr
    assert "grows" in [update["project"] for update in json.loads(result.stdout)["update"]]


def test_plan_says_what_the_brake_would_withhold(changed: Rig, pypi: FakePyPI) -> None:
    plan = dry_run(changed, "--full", max_removals="0")
    assert plan["withheld"] == "1 of 5 projects, and from others 1 of 10 files"
    result = changed.call("mirror", "--dry-run", "--full", max_removals="0")
    assert "a run would remove nothing" in result.stdout
    assert dry_run(changed, "--full")["withheld"] is None
    assert plan["withheld"] in str(changed.run(max_removals="0").withheld)


def test_plan_without_pages_does_not_say_how_many_files_the_brake_would_count(changed: Rig) -> None:
    plan = dry_run(changed, max_removals="0")
    assert plan["withheld"] == "1 of 5 projects, and from others it is not known how many of 8 files"
    result = changed.call("mirror", "--dry-run", max_removals="0")
    assert f"a run would remove nothing, since {plan['withheld']} are more than max-removals allows" in result.stdout


@pytest.mark.parametrize("options", [{"simple-format": "HTML"}, {"digest_name": "md5"}, {"json": "true"}], ids=str)
def test_full_plan_tells_of_pages_that_only_get_another_form(changed: Rig, options: dict[str, str]) -> None:
    changed.run()
    changed.options |= options
    plan = dry_run(changed, "--full")
    assert changed.run().updated == 4
    assert [update["project"] for update in plan["update"]] == ["grows", "new-one", "shrinks", "stays"]
    assert dry_run(changed, "--full")["update"] == []


def test_project_whose_page_cannot_be_had_is_told_of(changed: Rig, pypi: FakePyPI) -> None:
    pypi.fault("/simple/grows/", Status(404), times=None)
    result = changed.call("mirror", "--dry-run", "--full", "--json")
    assert result.returncode == 1
    assert list(json.loads(result.stdout)["failed"]) == ["grows"]
    assert "grows: it is not known what to do" in result.stderr


def test_table_has_a_line_for_each_project_and_the_totals(changed: Rig) -> None:
    lines = changed.call("mirror", "--dry-run", "--full").stdout.splitlines()
    assert lines[0].split()[:2] == ["project", "to"]
    assert [line.split()[0] for line in lines[1:6]] == ["grows", "new-one", "shrinks", "stays", "goes"]
    assert lines[6].endswith("4 projects to update, 1 to remove, 0 to look at without a change")
    assert lines[7].startswith("to download: 2 files, ")
    assert "\x1b" not in "".join(lines)


def test_with_hide_the_files_of_a_removed_project_stay(changed: Rig) -> None:
    changed.run(deleted="hide")
    before = changed.stamps()
    plan = dry_run(changed, "--full", deleted="hide")
    assert plan["total"]["remove"] == {"files": 0, "bytes": 0}
    changed.assert_same_tree(before)


@pytest.mark.parametrize(
    "arguments", [("--full",), ("--json",), ("--dry-run", "--allow-removals")], ids=["full", "json", "removals"]
)
def test_options_that_make_no_sense_are_refused(rig: Rig, pypi: FakePyPI, arguments: tuple[str, ...]) -> None:
    result = rig.call("mirror", *arguments)
    assert result.returncode == 2
    assert "--dry-run" in result.stderr
    assert pypi.requests == []
