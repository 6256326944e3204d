"""With ``json = true`` a mirror has the two files by which shadowmire follows it, and they say what the root index says."""

import json
import os

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig
from tests.support.verifying import NAMES, problems, verify

LOCAL, SERIAL = "local.json", "local.db.serial"


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    rig.options["json"] = "true"
    for name in NAMES:
        pypi.add_file(name.replace("-", "_").title(), "1.0")
    rig.run()
    return rig


def assert_followable(rig: Rig, pypi: FakePyPI, *hidden: str) -> None:
    """Assert that shadowmire would see what upstream has: it reads the two files, then documents of each project."""
    told = json.loads((rig.web / LOCAL).read_text())
    assert list(told.items()) == [
        (name, pypi.project_serial(name)) for name in sorted(pypi.project_names()) if name not in hidden
    ]
    assert int((rig.web / SERIAL).read_text().strip()) == pypi.serial
    for name in told:
        assert (rig.web / "json" / name).is_file()
        assert (rig.web / "simple" / name / "index.v1_json").is_file()


def rewrite_unnoticed(rig: Rig, old: str, new: str) -> None:
    path = rig.web / LOCAL
    assert old in path.read_text()
    stat = path.stat()
    path.write_text(path.read_text().replace(old, new))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("change", ["none", "update", "new", "removed", "quarantined"])
def test_shadowmires_files_say_what_is_held(held: Rig, pypi: FakePyPI, change: str) -> None:
    assert_followable(held, pypi)
    rewrite_unnoticed(held, '"project-2": ', '"project-x": ')
    match change:
        case "none":
            pypi.add_role(NAMES[0])
        case "update":
            pypi.add_file(NAMES[0], "3.0")
        case "new":
            pypi.add_file("a-new-one", "1.0")
        case "removed":
            pypi.remove_project(NAMES[5])
        case _:
            pypi.quarantine_project(NAMES[5])
    held.run()
    rewrite_unnoticed(held, '"project-x": ', '"project-2": ')  # the lines of others were copied
    assert_followable(held, pypi, *([NAMES[5]] if change == "quarantined" else ()))


def test_form_is_shadowmires_own(held: Rig) -> None:
    text = (held.web / LOCAL).read_text()
    assert text == json.dumps(json.loads(text), indent=2) + "\n"


def test_mirror_that_has_none_yet_gets_them_without_news(held: Rig, pypi: FakePyPI) -> None:
    for name in (LOCAL, SERIAL):
        (held.web / name).unlink()
    held.run()
    assert_followable(held, pypi)


def test_without_json_there_are_none(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("sample", "1.0")
    rig.run()
    assert not (rig.web / LOCAL).exists()
    assert not (rig.web / SERIAL).exists()


def test_ours_go_where_json_is_turned_off(held: Rig, pypi: FakePyPI) -> None:
    held.options["json"] = "false"
    held.run()
    assert not (held.web / LOCAL).exists()
    assert not (held.web / SERIAL).exists()


def test_shadowmires_own_stay_where_they_are_not_used(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("sample", "1.0")
    rig.run()
    (rig.web / LOCAL).write_text(json.dumps({"sample": 1}, indent=2))
    (rig.web / SERIAL).write_text("1")
    pypi.add_file("sample", "2.0")
    rig.run()
    assert json.loads((rig.web / LOCAL).read_text()) == {"sample": 1}
    assert (rig.web / SERIAL).read_text() == "1"


def test_verify_finds_and_mends_what_differs(held: Rig, pypi: FakePyPI) -> None:
    rewrite_unnoticed(held, '"project-2": ', '"project-x": ')
    (held.web / SERIAL).write_text("1\n")
    found = problems(verify(held, status=6))
    assert found == {(f"web/{name}", "differs from what is held", True) for name in (LOCAL, SERIAL)}
    assert_followable(held, pypi)
