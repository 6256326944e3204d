"""``verify``: what is wrong with the mirror is found, told and repaired; what could not be read deletes nothing."""

import json
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bandersnatch.commands.verify import read_duration
from bandersnatch.config import Config
from bandersnatch.errors import HostDownError
from bandersnatch.findings import VerifyReport, VerifySettings
from bandersnatch.verification import Verification
from tests.fakepypi import Edit, FakePyPI, Stall, Status
from tests.rig import HURRIED, Rig

NAMES = tuple(f"project-{number}" for number in range(6))


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    for name in NAMES:
        pypi.add_file(name, "1.0")
        pypi.add_file(name, "2.0", size=3000)
    rig.run()
    pypi.clear_requests()
    return rig


def verify(rig: Rig, *arguments: str, status: int, **options: str) -> dict[str, Any]:
    result = rig.command("verify", "--json", *arguments, **options)
    assert result.returncode == status, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def problems(document: dict[str, Any]) -> set[tuple[str, str, bool]]:
    return {(finding["path"], finding["problem"], finding["repaired"]) for finding in document["findings"]}


def path_of(rig: Rig, pypi: FakePyPI, number: int, suffix: str = "") -> Path:
    return rig.web / (pypi.files(NAMES[number])[0].url_path[1:] + suffix)


def damage(rig: Rig, pypi: FakePyPI) -> set[tuple[str, str]]:
    """Damage one thing of each kind; return the paths with the names of the problems."""
    missing, short, wrong = (path_of(rig, pypi, number) for number in range(3))
    metadata = path_of(rig, pypi, 3, ".metadata")
    no_page, other_page = (rig.web / "simple" / NAMES[number] / "index.html" for number in (4, 5))
    missing.unlink()
    short.write_bytes(b"short")
    wrong.write_bytes(bytes(wrong.stat().st_size))
    metadata.write_bytes(bytes(metadata.stat().st_size))
    no_page.unlink()
    other_page.write_text(other_page.read_text().replace("project", "brodject"))
    kinds = ["missing", "wrong size", "wrong digest", "wrong digest", "missing", "differs from upstream"]
    paths = [missing, short, wrong, metadata, no_page, other_page]
    return {(str(path.relative_to(rig.directory)), kind) for path, kind in zip(paths, kinds, strict=True)}


def test_mirror_without_a_fault_is_status_0(held: Rig, pypi: FakePyPI) -> None:
    before = held.tree()
    mtimes = held.mtimes()
    document = verify(held, "--hash", "--delete", status=0)
    assert document["projects"] == {"held": 6, "verified": 6, "failed": 0}
    assert (document["found"], document["left"], document["complete"], document["findings"]) == (0, 0, True, [])
    assert pypi.file_requests() == []
    assert len(pypi.page_requests()) == 6
    assert (held.tree(), held.mtimes()) == (before, mtimes)
    held.assert_matches()


def test_all_that_is_wrong_is_found_and_repaired(held: Rig, pypi: FakePyPI) -> None:
    expected = damage(held, pypi)
    document = verify(held, "--hash", status=6)
    assert problems(document) == {(path, kind, True) for path, kind in expected}
    assert (document["found"], document["repaired"], document["left"]) == (6, 6, 0)
    assert {request.path for request in pypi.file_requests()} == {pypi.files(NAMES[n])[0].url_path for n in range(3)}
    held.assert_matches()
    verify(held, "--hash", status=0)


def test_by_size_only_nothing_is_read(held: Rig, pypi: FakePyPI) -> None:
    expected = {pair for pair in damage(held, pypi) if pair[1] != "wrong digest"}
    assert problems(verify(held, status=6)) == {(path, kind, True) for path, kind in expected}


def test_dry_run_tells_and_writes_nothing(held: Rig, pypi: FakePyPI) -> None:
    expected = damage(held, pypi)
    orphan = held.web / "packages" / "orphan.whl"
    orphan.write_bytes(b"x")
    before = held.stamps()
    document = verify(held, "--hash", "--delete", "--dry-run", status=1)
    held.assert_same_tree(before)
    expected |= {("web/packages/orphan.whl", "listed by no page")}
    assert problems(document) == {(path, kind, False) for path, kind in expected}
    assert document["left"] == 7
    assert pypi.file_requests() == []


def test_report_for_people(held: Rig, pypi: FakePyPI) -> None:
    path_of(held, pypi, 0).unlink()
    result = held.command("verify")
    assert result.returncode == 6
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["problem", "found", "repaired", "left"],
        ["missing", "1", "1", "0"],
    ]
    assert "verified 6 of 6 projects: 1 found, 1 repaired, 0 left, 0 projects failed" in result.stderr.splitlines()[-1]
    quiet = held.command("--quiet", "verify")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_what_cannot_be_repaired_is_left(held: Rig, pypi: FakePyPI) -> None:
    path = path_of(held, pypi, 0)
    path.unlink()
    path_of(held, pypi, 1).unlink()
    pypi.fault(pypi.files(NAMES[0])[0].url_path, Status(404), times=None)
    document = verify(held, status=1)
    assert (document["found"], document["repaired"], document["left"]) == (2, 1, 1)
    assert problems(document) >= {(str(path.relative_to(held.directory)), "missing", False)}
    pypi.clear_faults()
    verify(held, status=6)
    held.assert_matches()


def test_lost_project_folder_is_written_anew(held: Rig, pypi: FakePyPI) -> None:
    for page in (held.web / "simple" / NAMES[0]).iterdir():
        page.unlink()
    (held.web / "simple" / NAMES[0]).rmdir()
    document = verify(held, "--delete", status=6)
    assert document["problems"]["missing"] == {"found": 3, "repaired": 3}
    assert pypi.file_requests() == []
    held.assert_matches()


@pytest.mark.parametrize("page", ["index.v1_json", "index.html"])
def test_page_that_lies_about_a_digest_is_written_anew(held: Rig, pypi: FakePyPI, page: str) -> None:
    path = held.web / "simple" / NAMES[0] / page
    path.write_text(path.read_text().replace(pypi.files(NAMES[0])[0].sha256, "0" * 64))
    verify(held, status=6)
    held.assert_matches()


def test_page_that_lists_too_much_is_written_anew(held: Rig, pypi: FakePyPI) -> None:
    path = held.web / "simple" / NAMES[0] / "index.v1_json"
    document = json.loads(path.read_bytes())
    extra = dict(document["files"][0])
    extra["filename"] = "project_0-9.0-py3-none-any.whl"
    extra["url"] = "../../packages/aa/bb/cc/project_0-9.0-py3-none-any.whl"
    document["files"].append(extra)
    path.write_text(json.dumps(document))
    before = held.tree()
    assert verify(held, status=5, max_removals="0")["withheld"] is not None
    assert held.tree() == before
    verify(held, status=6)
    held.assert_matches()


def test_upstream_that_tells_another_digest_is_not_believed(held: Rig, pypi: FakePyPI) -> None:
    def lie(page: dict[str, Any]) -> None:
        page["files"][0]["hashes"]["sha256"] = "0" * 64

    pypi.fault(f"/simple/{NAMES[0]}/", Edit(lie), times=None)
    before = held.tree()
    document = verify(held, "--delete", status=1)
    assert document["projects"]["failed"] == 1
    assert held.tree() == before


def test_page_without_files_deletes_nothing(held: Rig, pypi: FakePyPI) -> None:
    def empty(page: dict[str, Any]) -> None:
        page["files"], page["versions"] = [], []

    pypi.fault(f"/simple/{NAMES[0]}/", Edit(empty), times=None)
    before = held.tree()
    verify(held, "--delete", status=1)
    assert held.tree() == before


def test_page_that_upstream_does_not_give_deletes_nothing(held: Rig, pypi: FakePyPI) -> None:
    pypi.fault(f"/simple/{NAMES[0]}/", Status(404), times=None)
    pypi.fault(f"/simple/{NAMES[1]}/", Status(500), times=None)
    before = held.tree()
    document = verify(held, "--delete", status=1)
    assert document["projects"] == {"held": 6, "verified": 4, "failed": 2}
    assert held.tree() == before


def test_project_removed_a_moment_ago_is_left_to_the_next_run(held: Rig, pypi: FakePyPI) -> None:
    pypi.remove_project(NAMES[0])
    before = held.tree()
    result = held.command("verify")
    assert result.returncode == 0, result.stderr
    assert "project-0: upstream has changed it meanwhile" in result.stderr
    assert held.tree() == before
    held.run()
    held.assert_matches()


def test_news_are_no_faults(held: Rig, pypi: FakePyPI) -> None:
    pypi.add_file(NAMES[0], "3.0")
    document = verify(held, "--hash", status=0)
    assert document["found"] == 0
    assert (held.directory / "state").read_text() != f"{pypi.serial}\n"
    held.run()
    held.assert_matches()


def test_archived_project_is_mended_although_no_serial_tells(held: Rig, pypi: FakePyPI) -> None:
    pypi.archive(NAMES[0])
    document = verify(held, status=6)
    assert document["problems"]["differs from upstream"]["repaired"] == 3
    held.assert_matches()


def test_legacy_json_is_verified_too(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.options["json"] = "true"
    rig.run()
    (rig.web / "json" / "foo").write_text("{}")
    assert problems(verify(rig, status=6)) == {("web/json/foo", "differs from upstream", True)}
    verify(rig, status=0)


@pytest.mark.parametrize(
    "options",
    [
        {"simple_format": "HTML"},
        {"simple_format": "JSON"},
        {"hash_index": "true"},
        {"digest_name": "md5"},
        {"core_metadata": "false"},
        {"release_files": "false"},
        {"deleted": "keep"},
        {"root_uri": "https://files.example.org"},
    ],
    ids="-".join,
)
def test_every_form_of_mirror_verifies(rig: Rig, pypi: FakePyPI, options: dict[str, str]) -> None:
    for number in range(3):
        pypi.add_file("foo", f"{number}.0")
    assert rig.command("mirror", **options).returncode == 0
    before = rig.tree()
    assert verify(rig, "--hash", status=0, **options)["found"] == 0
    for path in (rig.web / "simple").rglob("foo/*"):
        path.unlink()
    for path in (rig.web / "packages").rglob("*.whl"):
        path.write_bytes(bytes(path.stat().st_size))
    verify(rig, "--hash", status=6, **options)
    assert rig.tree() == before


# Files that no page lists


def orphans(rig: Rig) -> list[Path]:
    """Files that no page lists, of all kinds: in known folders and new ones, old layouts, odd names, leftovers."""
    packages = rig.web / "packages"
    some = next(path for path in packages.rglob("*.whl"))
    made = [
        packages / "top.whl",
        packages / "source" / "f" / "foo" / "foo-1.0.tar.gz",
        packages / "aa" / "bb" / ("c" * 60) / "foo-1.0-py3-none-any.whl",
        some.with_name("second.whl"),
        some.with_name("second.whl.metadata"),
        some.with_name(f".{some.name}.part"),
        packages / "aa" / os.fsdecode(b"caf\xe9.whl"),
    ]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"orphan")
    return made


def test_files_that_no_page_lists_are_deleted(held: Rig, pypi: FakePyPI) -> None:
    made = orphans(held)
    held.command("verify")
    assert all(path.exists() for path in made)
    document = verify(held, "--delete", status=6)
    assert document["problems"]["listed by no page"] == {"found": 6, "repaired": 6}
    assert not any(path.exists() for path in made)
    held.assert_matches()


def test_too_many_unlisted_files_need_leave(held: Rig) -> None:
    made = orphans(held)
    document = verify(held, "--delete", status=5, max_removals="5")
    assert "6 of 12 files" in document["withheld"]
    assert all(path.exists() for path in made)
    assert len((held.directory / "removals").read_bytes().splitlines()) == 7
    verify(held, "--delete", "--allow-removals", status=6, max_removals="5")
    held.run()
    assert not any(path.exists() for path in made)


@pytest.mark.parametrize("damage", ["broken", "missing", "unreadable"])
def test_page_that_cannot_be_read_and_not_be_mended_forbids_the_deletion(
    held: Rig, pypi: FakePyPI, damage: str
) -> None:
    made = orphans(held)
    page = held.web / "simple" / NAMES[0] / "index.v1_json"
    for path in page.parent.iterdir():
        path.unlink()
    if damage == "broken":
        page.write_text('{"files": [')
    elif damage == "unreadable":
        page.mkdir()
    pypi.fault(f"/simple/{NAMES[0]}/", Status(500), times=None)
    result = held.command("verify", "--delete")
    assert result.returncode == 1
    assert "files that no page lists are not deleted" in result.stderr
    assert all(path.exists() for path in made)
    assert path_of(held, pypi, 0).exists()


def test_broken_page_is_mended_and_then_the_deletion_is_allowed(held: Rig, pypi: FakePyPI) -> None:
    made = orphans(held)
    (held.web / "simple" / NAMES[0] / "index.v1_json").write_text('{"files": [')
    verify(held, "--delete", status=6)
    assert not any(path.exists() for path in made)
    held.assert_matches()


def test_files_of_an_unfinished_run_stay(held: Rig, pypi: FakePyPI) -> None:
    for version in ("3.0", "4.0"):
        pypi.add_file(NAMES[0], version, size=5000)
    first, second = pypi.files(NAMES[0])[-2:]
    stall = Stall()
    pypi.fault(second.url_path, stall, times=None)
    with held.start_command("mirror", timeout="60", workers="1") as process:
        assert stall.started.wait(30)
        process.kill()
        process.communicate()
    assert (held.web / first.url_path[1:]).exists()
    pypi.clear_faults()
    pypi.fault(f"/simple/{NAMES[0]}/", Status(500), times=None)
    verify(held, "--delete", status=1)
    assert (held.web / first.url_path[1:]).exists()


@pytest.mark.parametrize("deleted", ["hide", "keep"])
def test_deletion_is_refused_where_files_are_kept_on_purpose(held: Rig, pypi: FakePyPI, deleted: str) -> None:
    held.run(deleted=deleted)
    result = held.command("verify", "--delete", deleted=deleted)
    assert result.returncode == 2
    assert f"[mirror] deleted = {deleted}" in result.stderr


# How far it goes


def verified(rig: Rig) -> set[str]:
    with sqlite3.connect(f"{(rig.directory / 'inventory.sqlite').as_uri()}?mode=ro", uri=True) as connection:
        names = {name for (name,) in connection.execute("SELECT project FROM verified")}
    connection.close()
    return names


def test_interrupted_verification_goes_on_with_the_others(held: Rig, pypi: FakePyPI) -> None:
    stall = Stall()
    pypi.fault(f"/simple/{NAMES[3]}/", stall, times=None)
    with held.start_command("verify", timeout="60", verifiers="1") as process:
        assert stall.started.wait(30)
        process.terminate()
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "stopped by SIGTERM" in stderr
    done = verified(held)
    others = sorted({*NAMES} - done)
    assert done
    assert NAMES[3] in others
    pypi.clear_faults()
    pypi.clear_requests()
    assert verify_here(held, VerifySettings(), threads=1).verified == len(NAMES)
    asked = [request.path.split("/")[2] for request in pypi.page_requests()]
    assert asked[: len(others)] == others
    assert set(asked[len(others) :]) == done


def test_killed_verification_leaves_a_right_mirror(held: Rig, pypi: FakePyPI) -> None:
    damage(held, pypi)
    stall = Stall(after_bytes=100)
    pypi.fault(pypi.files(NAMES[0])[0].url_path, stall, times=None)
    with held.start_command("verify", "--hash", timeout="60") as process:
        assert stall.started.wait(30)
        process.kill()
        process.communicate()
    pypi.clear_faults()
    assert verify(held, "--hash", "--delete", status=6)["left"] == 0
    held.assert_matches()


def test_budget_stops_what_is_under_way(held: Rig, pypi: FakePyPI) -> None:
    path_of(held, pypi, 0).unlink()
    pypi.fault("/simple/*", Status(503, headers={"Retry-After": "100"}), times=None)
    document = verify(held, "--budget", "1s", "--workers", "1", status=0)
    assert document["complete"] is False
    assert document["projects"] == {"held": 6, "verified": 0, "failed": 0}
    pypi.clear_faults()
    verify(held, "--budget", "1h", status=6)
    held.assert_matches()


def test_with_a_budget_the_deletion_comes_first(held: Rig, pypi: FakePyPI) -> None:
    made = orphans(held)
    verify(held, "--delete", "--budget", "1h", status=6)
    assert not any(path.exists() for path in made)
    held.assert_matches()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "h", "2x", "-1", "1h30", "2 h", "1.5h"])
def test_wrong_durations_are_refused(rig: Rig, text: str) -> None:
    result = rig.command("verify", f"--budget={text}")
    assert result.returncode == 2
    assert "expected a time" in result.stderr


# When it does not come to work


def test_changed_configuration_is_left_to_a_run(held: Rig, pypi: FakePyPI) -> None:
    before = held.tree()
    result = held.command("verify", hash_index="true")
    assert result.returncode == 4
    assert "run bandersnatch mirror first" in result.stderr
    assert held.tree() == before


def test_directory_without_a_mirror(rig: Rig, pypi: FakePyPI) -> None:
    result = rig.command("verify", "--dry-run")
    assert result.returncode == 4
    assert "there is no mirror yet" in result.stderr
    assert not rig.directory.exists()


def test_lock_is_honoured_but_by_dry_runs(held: Rig, pypi: FakePyPI) -> None:
    stall = Stall()
    pypi.fault(pypi.add_file(NAMES[0], "3.0").url_path, stall, times=None)
    with held.start_command("mirror", timeout="60") as process:
        assert stall.started.wait(30)
        assert held.command_again("verify").returncode == 3
        assert held.command_again("verify", "--dry-run").returncode == 0
        process.kill()
        process.communicate()


def verify_here(rig: Rig, settings: VerifySettings, threads: int = 4) -> VerifyReport:
    """Verify in this process, without the waits between attempts; with one thread, in a fixed order."""
    config = Config.load(rig.write_config())
    with rig.equipment(config) as equipment, ThreadPoolExecutor(threads) as executor:
        return Verification(config, replace(equipment, executor=executor), settings, lambda *_: None, HURRIED).run()


def test_index_that_is_down_ends_the_verification(held: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(60):
        pypi.add_file(f"more-{number}", "1.0")
    held.run()
    pypi.fault("/simple/*", Status(500), times=None)
    pypi.clear_requests()
    before = held.tree()
    report = verify_here(held, VerifySettings(delete_unlisted=True))
    assert (report.held, report.verified, report.is_complete) == (66, 0, False)
    assert isinstance(report.outage, HostDownError)
    assert held.tree() == before
    assert len(pypi.page_requests()) < 66
    assert sum("requests in a row" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("number", ["0", "-1"])
def test_number_of_workers_is_checked(held: Rig, number: str) -> None:
    assert held.command("verify", f"--workers={number}").returncode == 2
