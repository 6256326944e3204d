"""``verify``: what is wrong with the mirror is found, told and repaired."""

import json
from typing import Any

import pytest

from tests.support.fakepypi import Edit, FakePyPI, Status
from tests.support.rig import Rig
from tests.support.verifying import NAMES, damage, filled, path_of, problems, verify


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    return filled(rig, pypi)


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


@pytest.mark.parametrize("arguments", [(), ("--hash",)], ids=str)
def test_all_that_is_wrong_is_found_and_repaired(held: Rig, pypi: FakePyPI, arguments: tuple[str, ...]) -> None:
    expected = damage(held, pypi)
    document = verify(held, *arguments, status=6)
    assert problems(document) == {(path, kind, True) for path, kind in expected}
    assert (document["found"], document["repaired"], document["left"]) == (6, 6, 0)
    assert {request.path for request in pypi.file_requests()} == {pypi.files(NAMES[n])[0].url_path for n in range(3)}
    held.assert_matches()
    verify(held, *arguments, status=0)


def test_quick_compares_sizes_and_reads_no_file(held: Rig, pypi: FakePyPI) -> None:
    expected = {pair for pair in damage(held, pypi) if pair[1] != "wrong digest"}
    assert problems(verify(held, "--quick", status=6)) == {(path, kind, True) for path, kind in expected}


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
    result = held.call("verify")
    assert result.returncode == 6
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["problem", "found", "repaired", "deleted", "left"],
        ["missing", "1", "1", "0", "0"],
    ]
    assert (
        "verified 6 of 6 projects: 1 found, 1 repaired, 0 deleted, 0 left, 0 failed, 1 file fetched ("
        in result.stderr.splitlines()[-1]
    )
    quiet = held.call("--quiet", "verify")
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
    assert document["problems"]["missing"] == {"found": 3, "repaired": 3, "deleted": 0}
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
    result = held.call("verify")
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
    assert rig.call("mirror", **options).returncode == 0
    before = rig.tree()
    assert verify(rig, "--hash", status=0, **options)["found"] == 0
    for path in (rig.web / "simple").rglob("foo/*"):
        path.unlink()
    for path in (rig.web / "packages").rglob("*.whl"):
        path.write_bytes(bytes(path.stat().st_size))
    verify(rig, "--hash", status=6, **options)
    assert rig.tree() == before


def test_quick_and_hash_exclude_each_other(held: Rig) -> None:
    result = held.call("verify", "--quick", "--hash")
    assert result.returncode == 2
    assert "not allowed with argument" in result.stderr


def test_help_says_how_long_it_takes(held: Rig) -> None:
    shown = held.call_again("verify", "--help").stdout
    assert "Reading and hashing 1 TB takes as long as the disk needs for it: 1.4 hours at\n  200 MB/s" in shown
    assert "--quick that is nearly all the time: 4 minutes per TB at 100 answers a second" in shown
