"""Mirrors of older code, which left files with foreign names out, have them after plain runs."""

import json
import shutil
import sqlite3
import time
from contextlib import closing

import pytest

from bandersnatch.plan import refresh
from bandersnatch.state.inventory_schema import _SINCE_3, _VERSION_2, PROJECT_COLUMNS, SELECT
from tests.support.fakepypi import FakePyPI, Status, UploadedFile
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("in_processes_or_not")


def leave_out(rig: Rig, file: UploadedFile, version: int) -> None:
    """Make of the mirror what older code would have left of it, which took such a file for no file of the project."""
    for page in (rig.web / "simple/strangers").iterdir():
        text = page.read_text()
        if page.name == "index.v1_json":
            told = json.loads(text)
            told["files"] = [each for each in told["files"] if each["filename"] != file.filename]
            page.write_text(json.dumps(told))
        else:
            page.write_text("".join(line for line in text.splitlines(keepends=True) if file.filename not in line))
    shutil.rmtree((rig.web / file.url_path[1:]).parent)
    path = rig.directory / "inventory.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(SELECT).fetchall()
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        for statement in (*_VERSION_2, *(_SINCE_3 if version == 3 else ()), f"PRAGMA user_version = {version}"):
            connection.execute(statement)
        columns = f"({PROJECT_COLUMNS}, looked_at) VALUES (?, ?, ?, ?, ?, ?, ?, {time.time()})"
        if version == 2:
            columns = f"({PROJECT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        connection.executemany(f"INSERT INTO project {columns}", ((*row[:-1], None) for row in rows))
        connection.commit()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("period", ["30 days", "0"])
def test_a_file_that_older_code_left_out_comes_by_a_plain_run(
    rig: Rig, pypi: FakePyPI, version: int, period: str
) -> None:
    pypi.add_file("strangers", "1.0")
    pypi.add_file("other", "1.0")
    file = pypi.add_file("strangers", "2.0", kind="sdist", filename="python-strangers_0.0_all.deb")
    rig.run()
    rig.assert_matches()
    leave_out(rig, file, version)
    pypi.clear_requests()
    rig.run(refresh=period)
    rig.assert_matches()
    assert [request.path for request in pypi.file_requests()] == [file.url_path]
    pypi.clear_requests()
    rig.run(refresh=period)
    assert pypi.page_requests() == []


def test_so_many_projects_are_looked_at_in_a_run_and_no_more(
    rig: Rig, pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "MOST_PROJECTS", 2)
    pypi.add_file("strangers", "1.0")
    file = pypi.add_file("strangers", "2.0", kind="sdist", filename="python-strangers_0.0_all.deb")
    for number in range(4):
        pypi.add_file(f"project-{number}", "1.0")
    rig.run()
    leave_out(rig, file, 3)
    asked = []
    for _ in range(4):
        pypi.clear_requests()
        rig.run()
        asked.append([request.status for request in pypi.page_requests()])
    assert asked == [[200, 200], [200, 200], [200], []]
    rig.assert_matches()


def test_what_has_failed_does_not_keep_others_from_their_turn(
    rig: Rig, pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "MOST_PROJECTS", 1)
    pypi.add_file("a-broken", "1.0")
    pypi.add_file("strangers", "1.0")
    file = pypi.add_file("strangers", "2.0", kind="sdist", filename="python-strangers_0.0_all.deb")
    rig.run()
    leave_out(rig, file, 3)
    pypi.fault("/simple/a-broken/", Status(403), times=None)
    for _ in range(3):
        rig.run()
    rig.assert_matches()
