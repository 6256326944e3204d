"""The check of a mirror's tree: what is right passes, and each difference is found."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.fakepypi.pages import render_json, render_project_html, render_root_html
from tests.support.mirror_check import assert_mirror_matches


def write_mirror(pypi: FakePyPI, directory: Path) -> None:
    """Write the tree of a perfect mirror."""
    simple = directory / "web" / "simple"
    simple.mkdir(parents=True)
    listed = [name for name in pypi.project_names() if pypi.page(name)["project-status"]["status"] != "quarantined"]
    rows = [{"_last-serial": pypi.project_serial(n), "name": pypi.display_name(n)} for n in listed]
    write_pages(simple, {"meta": {"_last-serial": pypi.serial, "api-version": "1.4"}, "projects": rows})
    for name in pypi.project_names():
        local = pypi.page(name)
        for entry, file in zip(local["files"], pypi.files(name), strict=True):
            entry["url"] = f"../..{file.url_path}"
            path = directory / "web" / file.url_path.lstrip("/")
            path.parent.mkdir(parents=True)
            path.write_bytes(file.content)
            os.utime(path, (file.upload_time.timestamp(),) * 2)
            if file.metadata is not None:
                path.with_name(f"{path.name}.metadata").write_bytes(file.metadata)
        (simple / name).mkdir()
        write_pages(simple / name, local)
    (directory / "state").write_text(f"{pypi.serial}\n")
    (directory / "web" / "last-modified").write_text(datetime.now(UTC).strftime("%Y%m%dT%H:%M:%S"))
    (directory / ".lock").touch()


def write_pages(folder: Path, value: dict[str, Any]) -> None:
    html = render_root_html(value) if "projects" in value else render_project_html(value)
    (folder / "index.html").write_bytes(html)
    (folder / "index.v1_html").write_bytes(html)
    (folder / "index.v1_json").write_bytes(render_json(value))


@pytest.fixture
def mirrored(pypi: FakePyPI, tmp_path: Path) -> Path:
    pypi.add_file("Foo.Bar", "1.0", requires_python=">=3.8", upload_time=datetime(2009, 5, 1, tzinfo=UTC))
    pypi.add_file("Foo.Bar", "1.10", kind="sdist")
    pypi.yank("foo-bar", "1.10", 'bad "quotes" & <html> ☃')
    pypi.add_provenance("foo-bar", "foo_bar-1.0-py3-none-any.whl")
    pypi.add_file("zope", "1.0")
    pypi.quarantine_project("zope")
    pypi.create_project("empty")
    write_mirror(pypi, tmp_path)
    return tmp_path


def test_a_perfect_mirror_matches(pypi: FakePyPI, mirrored: Path) -> None:
    assert_mirror_matches(pypi, mirrored)


def replace_in(pattern: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (path,) = root.glob(pattern)
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    return damage


def damage_file(root: Path) -> None:
    (path,) = root.glob("web/packages/*/*/*/*.whl")
    stamp = path.stat().st_mtime
    path.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(path, (stamp, stamp))


def touch_file(root: Path) -> None:
    (path,) = root.glob("web/packages/*/*/*/*.whl")
    os.utime(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "todo").touch(), "todo: there is still work"),
        (lambda root: (root / "state").write_text("1"), "state: the mirror has '1'"),
        (lambda root: (root / "web/last-modified").write_text("2026-01-01"), "last-modified: '2026-01-01'"),
        (lambda root: shutil.rmtree(root / "web/simple/empty"), r"web/simple: \['empty'\] missing"),
        (lambda root: (root / "web/simple/other").mkdir(), r"web/simple: \['other'\] should not be there"),
        (lambda root: (root / "web/simple/empty/index.v1_html").unlink(), r"empty: \['index.v1_html'\] missing"),
        (lambda root: (root / "web/packages/ff/ee").mkdir(parents=True), "empty folder"),
        (lambda root: (root / "web/packages/extra.whl").touch(), "extra.whl: no page of upstream lists"),
        (lambda root: (root / "web/.hidden").touch(), "hidden file"),
        (lambda root: (root / "web/simple-new.tmp").touch(), "temporary file"),
        (lambda root: next(root.glob("web/packages/*/*/*/*.metadata")).unlink(), ".metadata: no such file"),
        (lambda root: next(root.glob("web/packages/*/*/*/*.metadata")).write_text(""), ".metadata: sha256"),
        (lambda root: next(root.glob("web/packages/*/*/*/*.tar.gz")).write_text(""), "size: the mirror has 0"),
        (damage_file, "none-any.whl: sha256"),
        (touch_file, "time of upload"),
        (replace_in("web/simple/foo-bar/index.v1_json", "☃", ""), "yanked: the mirror"),
        (replace_in("web/simple/foo-bar/index.v1_json", "1.10", "1.9"), "index.v1_json: .*filename"),
        (replace_in("web/simple/foo-bar/index.v1_json", "../../", "/"), "not relative"),
        (replace_in("web/simple/foo-bar/index.v1_json", '"api-version":"1.4"', '"api-version":"1.0"'), "meta"),
        (replace_in("web/simple/foo-bar/index.html", "☃", ""), "index.html: .*data-yanked"),
        (replace_in("web/simple/foo-bar/index.html", "data-core-metadata", "data-core"), "data-core"),
        (replace_in("web/simple/foo-bar/index.html", "data-provenance", "data-p"), "data-p"),
        (replace_in("web/simple/foo-bar/index.html", "&gt;=3.8", "&gt;=3.9"), "data-requires-python"),
        (replace_in("web/simple/foo-bar/index.html", "#sha256=", "#sha256=0"), "index.html: .*href"),
        (replace_in("web/simple/foo-bar/index.v1_html", "../../packages/", "../../packages/x"), "href"),
        (replace_in("web/simple/foo-bar/index.v1_html", "SERIAL ", "SERIAL 1"), "comments"),
        (replace_in("web/simple/zope/index.html", "quarantined", "active"), "project-status"),
        (replace_in("web/simple/index.html", ">Foo.Bar<", ">foo-bar<"), r"index.html: projects: \['Foo.Bar'\] missing"),
        (replace_in("web/simple/index.v1_json", '"_last-serial":7', '"_last-serial":6'), "index.v1_json"),
    ],
)
def test_each_difference_is_found(
    pypi: FakePyPI, mirrored: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(mirrored)

    with pytest.raises(AssertionError, match=message):
        assert_mirror_matches(pypi, mirrored)


def test_a_mirror_that_is_behind_does_not_match(pypi: FakePyPI, mirrored: Path) -> None:
    pypi.unyank("foo-bar", "1.10")
    (mirrored / "state").write_text(str(pypi.serial))

    with pytest.raises(AssertionError, match=r"foo-bar/index.html: .*SERIAL"):
        assert_mirror_matches(pypi, mirrored)
