"""The tree of another bandersnatch is taken over in place, and is what a fresh mirror would be afterwards."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import Rig

Age = Callable[[Path], None]
"""Makes an older tree of a fresh mirror, whose directory it gets."""


def age_pages(directory: Path) -> None:
    """Let the pages say less, as api-version 1.1 does, with the serial as text, and without the metadata of wheels."""
    for path in (directory / "web" / "simple").glob("*/index.v1_json"):
        page = json.loads(path.read_text())
        serial = page["meta"]["_last-serial"]
        for file in page["files"]:
            file.pop("provenance", None)
            file.pop("core-metadata")
            file.pop("data-dist-info-metadata")
        page["meta"] = {"api-version": "1.1", "_last-serial": str(serial)}
        path.write_text(json.dumps(page, indent=4))
        for name in ("index.html", "index.v1_html"):
            html = path.with_name(name)
            html.write_text(html.read_text().replace("1.4", "1.0"))
    for path in (directory / "web" / "packages").rglob("*.metadata"):
        path.unlink()
    for name in ("index.html", "index.v1_html"):
        (directory / "web" / "simple" / name).write_text("<!DOCTYPE html>\n<html>\n  <head>\n    <title>Simple Index")


def age_state(directory: Path) -> None:
    """Leave the state files of another bandersnatch in place of ours."""
    serial = (directory / "state").read_text().strip()
    for name in ("state", "inventory.sqlite", "fingerprint"):
        (directory / name).unlink()
    for name, text in (("status", serial), ("generation", "5")):
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)
    (directory / "web" / "last-modified").chmod(0o600)


def leave_rubbish(directory: Path) -> None:
    web = directory / "web"
    wheel = next((web / "packages").rglob("*.whl"))
    (wheel.parent / f".{wheel.name}.k2_x9abc").write_bytes(b"half of it")
    lonely = web / "packages" / "aa" / "bb" / "cc"
    lonely.mkdir(parents=True)
    (lonely / ".gone-1.0.tar.gz.abcdefgh").write_bytes(b"half of it")
    (web / "simple" / "foo-bar" / ".index.html.abcdefgh").write_bytes(b"half of it")
    (web / "local-stats" / "days").mkdir(parents=True)
    (web / "serversig").mkdir()
    (web / "serversig" / "foo-bar").write_bytes(b"signature")


def begin_todo_with_none(directory: Path) -> None:
    (directory / "todo").write_text("None\nFoo.Bar 12")


def fail_before_the_end(directory: Path) -> None:
    """Leave what an initial sync of another bandersnatch leaves that never came to its end."""
    (directory / "status").unlink()
    (directory / "todo").write_text("99\nFoo.Bar 12\nzeta 3")
    shutil.rmtree(directory / "web" / "simple" / "zeta")


def force_a_check(directory: Path) -> None:
    (directory / "status").write_text("0")


def use_raw_names(directory: Path) -> None:
    """Let a page lie under its display name alone, and another under both names."""
    simple = directory / "web" / "simple"
    (simple / "foo-bar").rename(simple / "Foo.Bar")
    (simple / "ZETA").mkdir()
    shutil.copy(simple / "zeta" / "index.html", simple / "ZETA" / "index.html")


def use_raw_names_beside_other_files(directory: Path) -> None:
    """Let a page lie under its display name, and what a killed run left under the right one."""
    simple = directory / "web" / "simple"
    (simple / "foo-bar").rename(simple / "Foo.Bar")
    (simple / "foo-bar").mkdir()
    (simple / "foo-bar" / ".index.html.abcdefgh").write_bytes(b"half of it")


def link_to_versions(directory: Path) -> None:
    """Let the pages be absolute links, as with keep_index_versions."""
    for folder in (directory / "web" / "simple").glob("*/"):
        versions = folder / "versions"
        versions.mkdir()
        for page in list(folder.glob("index.*")):
            version = versions / f"index_7_2020-01-01T000000.000000Z{page.name.removeprefix('index')}"
            page.rename(version)
            page.symlink_to(version.absolute())


def move_the_tree_after_linking(directory: Path) -> None:
    """Let the links lead to where the mirror was before it was moved."""
    link_to_versions(directory)
    for page in (directory / "web" / "simple").glob("*/index.*"):
        version = os.readlink(page).replace(str(directory), "/old/place")
        page.unlink()
        page.symlink_to(version)


def split_by_first_letter(directory: Path) -> None:
    simple = directory / "web" / "simple"
    for folder in list(simple.glob("*/")):
        letter = simple / folder.name[0]
        if folder.name != letter.name:
            letter.mkdir(exist_ok=True)
            folder.rename(letter / folder.name)


def keep_legacy_json(directory: Path) -> None:
    """Have JSON under normalized, raw and unfinished names, copied and linked."""
    web = directory / "web"
    (web / "json").mkdir()
    for name in ("foo-bar", "Foo.Bar", "zeta", "zeta.new", "removed-long-ago"):
        (web / "json" / name).write_text("{}")
        (web / "pypi" / name).mkdir(parents=True)
    (web / "json" / ".zeta.abcdefgh").write_text("half of it")
    (web / "pypi" / "foo-bar" / "json").symlink_to("../../json/foo-bar")
    (web / "pypi" / "Foo.Bar" / "json").symlink_to(web / "json" / "Foo.Bar")
    for name in ("zeta", "zeta.new", "removed-long-ago"):
        (web / "pypi" / name / "json").write_text("{}")


def link_as_shadowmire(directory: Path) -> None:
    web = directory / "web"
    for page in web.glob("simple/**/index.html"):
        page.unlink()
        page.symlink_to("index.v1_html")
    (web / "json").mkdir()
    (web / "json" / "zeta").write_text("{}")
    (directory / "status").unlink()
    (directory / "generation").unlink()


LAYOUTS: list[Age] = [
    leave_rubbish, begin_todo_with_none, fail_before_the_end, force_a_check, use_raw_names,
    use_raw_names_beside_other_files, link_to_versions, move_the_tree_after_linking, split_by_first_letter,
    keep_legacy_json, link_as_shadowmire,
]  # fmt: skip


def tell_story(pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0")
    pypi.add_file("Foo.Bar", "2.0", kind="sdist", core_metadata=False)
    pypi.add_file("zeta", "1.0")
    pypi.add_file("z", "1.0")
    pypi.yank("zeta", "1.0", "broken")


def everything(directory: Path) -> dict[str, bytes | str]:
    """Return all that is below the directory, but for the times of runs, our cache, and the static journal."""
    found: dict[str, bytes | str] = {}
    for path in directory.rglob("*"):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink():
            found[name] = f"a link to {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "a folder"
        elif name not in (".lock", "web/last-modified") and not name.startswith(("inventory.", "web/changes/")):
            found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize("legacy_json", ["false", "true"])
@pytest.mark.parametrize("age", LAYOUTS)
def test_an_old_tree_becomes_a_fresh_one(
    rig: Rig, pypi: FakePyPI, tmp_path: Path, age: Age, legacy_json: str, caplog: pytest.LogCaptureFixture
) -> None:
    tell_story(pypi)
    rig.run()
    age_pages(rig.directory)
    age_state(rig.directory)
    age(rig.directory)
    pypi.clear_requests()
    with caplog.at_level("INFO"):
        assert rig.run(json=legacy_json).failures == []
    assert pypi.file_requests() == []
    assert pypi.metadata_requests() == []
    assert "it is taken over" in caplog.text
    rig.assert_matches()
    fresh = Rig(pypi, tmp_path / "fresh")
    fresh.folder.mkdir()
    fresh.run(json=legacy_json)
    assert everything(rig.directory) == everything(fresh.directory)


def test_last_modified_can_be_read_by_the_web_server(rig: Rig, pypi: FakePyPI) -> None:
    tell_story(pypi)
    rig.run()
    age_state(rig.directory)
    rig.run()
    assert (rig.web / "last-modified").stat().st_mode & 0o044 == 0o044


def test_what_upstream_removed_goes_when_an_old_tree_is_taken_over(rig: Rig, pypi: FakePyPI) -> None:
    tell_story(pypi)
    file = pypi.add_file("Doomed", "1.0")
    rig.run()
    age_pages(rig.directory)
    age_state(rig.directory)
    (rig.web / "simple" / "doomed").rename(rig.web / "simple" / "Doomed")
    pypi.remove_project("Doomed")
    assert rig.run().removed == 1
    assert not (rig.web / file.url_path.lstrip("/")).exists()
    rig.assert_matches()


def test_a_wrong_file_is_fetched_again(rig: Rig, pypi: FakePyPI) -> None:
    tell_story(pypi)
    rig.run()
    age_state(rig.directory)
    wheel = next((rig.web / "packages").rglob("zeta*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-1])
    pypi.clear_requests()
    rig.run()
    assert len(pypi.file_requests()) == 1
    rig.assert_matches()


@pytest.mark.parametrize(("method", "fetched"), [("stat", 0), ("hash", 1)])
def test_a_file_of_the_right_size_is_read_where_hash_is_wanted(
    rig: Rig, pypi: FakePyPI, method: str, fetched: int
) -> None:
    tell_story(pypi)
    rig.run()
    age_state(rig.directory)
    wheel = next((rig.web / "packages").rglob("zeta*.whl"))
    wheel.write_bytes(bytes(wheel.stat().st_size))
    pypi.clear_requests()
    rig.run(compare_method=method)
    assert len(pypi.file_requests()) == fetched


def test_hash_is_wanted_by_the_runs_after_a_stopped_one_too(rig: Rig, pypi: FakePyPI) -> None:
    tell_story(pypi)
    rig.run()
    age_state(rig.directory)
    wheel = next((rig.web / "packages").rglob("zeta*.whl"))
    wheel.write_bytes(bytes(wheel.stat().st_size))
    pypi.fault("/simple/zeta/", Status(503), times=None)
    assert len(rig.run(compare_method="hash").failures) == 1
    pypi.clear_faults()
    assert rig.run(compare_method="hash").failures == []
    rig.assert_matches()


def test_unknown_files_stay(rig: Rig, pypi: FakePyPI) -> None:
    tell_story(pypi)
    rig.run()
    age_state(rig.directory)
    strange = [
        rig.web / ".well-known",
        rig.web / "packages" / ".htaccess.disabled",
        rig.web / "simple" / "README",
        rig.web / "simple" / "Not A Project!" / "index.html",
        rig.web / "simple" / "Theme" / "style.css",
        rig.web / "local.db",
        rig.web / "index.html.part.tmp",
        rig.web / "simple" / "zeta" / ".htaccess.tmp",
        rig.directory / "mirrored-files",
    ]
    for path in strange:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    rig.run()
    assert [path for path in strange if not path.exists()] == []


def test_our_own_mirror_without_its_inventory_is_not_taken_for_another_ones(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    tell_story(pypi)
    rig.run()
    (rig.directory / "inventory.sqlite").unlink()
    with caplog.at_level("INFO"):
        rig.run()
    assert "taken over" not in caplog.text


def lose_records(rig: Rig) -> None:
    """Delete all that stands beside the pages."""
    for path in rig.directory.iterdir():
        if path.name != "web":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


OURS = [{}, {"simple-format": "HTML"}, {"simple-format": "JSON"}, {"hash-index": "true"}, {"keep_index_versions": "2"}]


@pytest.mark.parametrize("has_root_index", [True, False])
@pytest.mark.parametrize("options", OURS, ids=str)
def test_our_own_mirror_without_any_records_is_not_taken_for_another_ones(
    rig: Rig, pypi: FakePyPI, options: dict[str, str], has_root_index: bool, caplog: pytest.LogCaptureFixture
) -> None:
    tell_story(pypi)
    rig.options |= options
    rig.run()
    lose_records(rig)
    if not has_root_index:
        for page in (rig.web / "simple").glob("index.*"):
            page.unlink()
    before = everything(rig.directory)
    pypi.clear_requests()
    with caplog.at_level("INFO"):
        assert rig.run().failures == []
    told = f"{rig.directory}: the records of earlier runs are gone; the mirror is read and checked as a whole"
    assert told in caplog.messages
    assert "another program" not in caplog.text
    assert "taken over" not in caplog.text
    assert pypi.file_requests() == []
    assert {name: what for name, what in everything(rig.directory).items() if name in before} == before


def test_verify_says_that_the_records_of_our_own_mirror_are_gone(rig: Rig, pypi: FakePyPI) -> None:
    tell_story(pypi)
    rig.run()
    lose_records(rig)
    result = rig.call("verify")
    assert result.returncode == 4
    assert "there is no mirror yet, or its records were deleted; run bandersnatch mirror first" in result.stderr
    assert "another bandersnatch" not in result.stderr


def test_a_tree_whose_root_index_another_program_wrote_last_is_taken_over(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    tell_story(pypi)
    rig.run()
    lose_records(rig)
    age_pages(rig.directory)
    with caplog.at_level("INFO"):
        rig.run()
    assert f"{rig.directory} holds a mirror of another program; it is taken over" in caplog.messages
    rig.assert_matches()


def test_cleanup_deletes_the_pages_under_the_display_name(rig: Rig, pypi: FakePyPI) -> None:
    tell_story(pypi)
    rig.run()
    raw = rig.web / "simple" / "Foo.Bar"
    shutil.copytree(rig.web / "simple" / "foo-bar", raw)
    rig.run()
    assert raw.exists()
    rig.run(cleanup="true")
    assert not raw.exists()
    rig.assert_matches()


def test_cleanup_spares_the_folder_that_has_both_names(rig: Rig, pypi: FakePyPI) -> None:
    """On a filesystem that ignores case, both names lead to one folder; a link does here too."""
    tell_story(pypi)
    rig.run()
    (rig.web / "simple" / "Foo.Bar").symlink_to("foo-bar")
    rig.run(cleanup="true")
    assert (rig.web / "simple" / "foo-bar" / "index.html").exists()
