"""Files whose names do not begin with their project's: upstream lists them, so the mirror has them, and serves them."""

import json
import shutil
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.fakepypi import Edit, FakePyPI, UploadedFile
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("in_processes_or_not")

NAMES = [
    "python-strangers_0.0_all.deb",
    "strangers 1.0.zip",
    "strangers2.0.tar.gz",
    "stran-gers-3.0.tar.gz",
    "日本-0.3.1.tar.gz",
    "café_übung-1.5rc1.tar.gz",
    "100%25 [1]#?&;<>\"'.zip",
    "other-9.0-py3-none-any.whl",
    "no\u00a0break.part",
    "-",
    "-rf-1.0.zip",
]
LARGE = 1024 * 1024 + 5


def add(pypi: FakePyPI, filename: str, version: str, **fields: Any) -> UploadedFile:
    return pypi.add_file("strangers", version, kind="sdist", filename=filename, **fields)


@pytest.fixture
def strangers(pypi: FakePyPI) -> FakePyPI:
    """A project with files of all such names, small and large, beside a plain one."""
    pypi.add_file("strangers", "1.0")
    for number, name in enumerate(NAMES):
        add(pypi, name, f"{number}.0")
        add(pypi, f"large {name}", f"{number}.0", size=LARGE)
    for name in NAMES[:6]:  # as a server writes them that leaves escapes to its clients
        add(pypi, f"raw {name}", "1.0", path=f"packages/aa/raw {name}")
    return pypi


def test_files_of_any_name_are_mirrored_and_listed(
    rig: Rig, strangers: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    report = rig.run()
    assert (report.updated, report.failures) == (1, [])
    rig.assert_matches()
    page = json.loads((rig.web / "simple/strangers/index.v1_json").read_text("utf-8"))
    assert {*NAMES} < {file["filename"] for file in page["files"]}
    html = (rig.web / "simple/strangers/index.html").read_text("utf-8")
    assert all(f"/{quote(name)}#sha256=" in html for name in NAMES)
    assert not [record.message for record in caplog.records if record.levelname == "WARNING"]


def test_files_of_any_name_are_fetched_once(rig: Rig, strangers: FakePyPI) -> None:
    rig.run()
    assert len(strangers.file_requests()) == 2 * len(NAMES) + 6 + 1
    strangers.clear_requests()
    rig.resync()
    rig.run()
    strangers.add_file("strangers", "2.0")
    rig.run()
    assert [request.path.rpartition("/")[2] for request in strangers.file_requests()] == [
        "strangers-2.0-py3-none-any.whl"
    ]
    rig.assert_matches()


@pytest.mark.parametrize("hash_index", ["false", "true"])
def test_files_of_any_name_go_with_their_page(rig: Rig, strangers: FakePyPI, hash_index: str) -> None:
    rig.run(hash_index=hash_index)
    for name in NAMES:
        strangers.remove_file("strangers", name)
    assert rig.run(max_removals="100%", hash_index=hash_index).failures == []
    assert not [path for path in rig.web.rglob("*") if path.name in NAMES]
    rig.run()
    rig.assert_matches()
    rig.run(hash_index=hash_index)
    strangers.remove_project("strangers")
    rig.run(allow_removals=True, hash_index=hash_index)
    assert not (rig.web / "packages").exists() or not any((rig.web / "packages").iterdir())
    rig.run()
    rig.assert_matches()


def test_files_of_any_name_stay_in_place_while_their_page_is_lost(rig: Rig, strangers: FakePyPI) -> None:
    rig.run(hash_index="true")
    shutil.rmtree(rig.web / "simple/s/strangers")
    rig.resync()
    strangers.clear_requests()
    assert rig.run(hash_index="true").failures == []
    assert strangers.file_requests() == []
    rig.run()
    rig.assert_matches()


def test_files_of_any_name_are_verified(rig: Rig, strangers: FakePyPI) -> None:
    rig.run()
    damaged = [path for path in rig.web.rglob("*") if path.name in NAMES]
    assert len(damaged) == len(NAMES)
    for path in damaged:
        path.unlink()
    assert rig.call("verify").returncode == 6
    rig.assert_matches()


def list_also(pypi: FakePyPI, project: str, file: UploadedFile) -> None:
    """Let the page of a project list a file of another one, too."""
    (entry,) = [
        each for each in pypi.page(file.filename.partition("-")[0])["files"] if each["url"].endswith(file.url_path)
    ]
    pypi.fault(f"/simple/{project}/", Edit(lambda page: page | {"files": [*page["files"], entry]}), times=None)


@pytest.mark.parametrize("loses_inventory", [False, True])
def test_a_file_of_two_projects_stays_as_long_as_one_lists_it(rig: Rig, pypi: FakePyPI, loses_inventory: bool) -> None:
    file = pypi.add_file("foo", "1.0")
    rig.run()
    pypi.add_file("zoo", "1.0")
    list_also(pypi, "zoo", file)
    rig.run()
    if loses_inventory:
        (rig.directory / "inventory.sqlite").unlink()
    pypi.remove_project("foo")
    assert rig.run(allow_removals=True).removed == 1
    stored = rig.web / file.url_path.lstrip("/")
    assert stored.is_file()
    assert stored.with_name(f"{stored.name}.metadata").is_file()
    pypi.clear_faults()
    pypi.add_file("zoo", "1.1")
    rig.run(allow_removals=True)
    rig.assert_matches()


def test_a_file_of_two_projects_stays_when_the_one_that_is_not_named_drops_it(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    rig.run()
    pypi.add_file("zoo", "1.0")
    list_also(pypi, "zoo", file)
    rig.run()
    pypi.clear_faults()
    pypi.add_file("zoo", "1.1")
    rig.run(allow_removals=True)
    rig.assert_matches()
