"""A page is asked for once in a run, whatever is removed from it."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from bandersnatch.project import shrinking
from tests.support.fakepypi import Edit, FakePyPI
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("in_processes_or_not", "way")

PROJECTS = 6


def remove_all(pypi: FakePyPI, name: str) -> None:
    for version in ("1.0", "2.0"):
        pypi.remove_release(name, version)


def replace_file(pypi: FakePyPI, name: str) -> None:
    pypi.remove_release(name, "1.0")
    pypi.add_file(name, "3.0")


STORIES: dict[str, Callable[[FakePyPI, str], object]] = {
    "file": lambda pypi, name: pypi.remove_file(name, pypi.files(name)[0].filename),
    "release": lambda pypi, name: pypi.remove_release(name, "1.0"),
    "all files": remove_all,
    "quarantined release": lambda pypi, name: pypi.quarantine_release(name, "1.0"),
    "quarantined project": lambda pypi, name: pypi.quarantine_project(name),
    "file, and another comes": replace_file,
}


@pytest.fixture(autouse=True)
def mirror(rig: Rig, pypi: FakePyPI) -> None:
    rig.options["max-removals"] = "100%"
    for number in range(PROJECTS):
        pypi.add_file(f"project-{number}", "1.0")
        pypi.add_file(f"project-{number}", "1.0", kind="sdist")
        pypi.add_file(f"project-{number}", "2.0")
    rig.run()
    pypi.clear_requests()


def asked(pypi: FakePyPI) -> Counter[str]:
    return Counter(request.path.split("/")[2] for request in pypi.page_requests())


def with_other_bytes(page: dict[str, Any]) -> dict[str, Any]:
    page["files"][0]["hashes"]["sha256"] = "0" * 64
    return page


@pytest.mark.parametrize("happens", STORIES.values(), ids=STORIES)
def test_a_page_that_has_lost_something_is_asked_for_once(
    rig: Rig, pypi: FakePyPI, happens: Callable[[FakePyPI, str], object]
) -> None:
    for number in range(PROJECTS - 1):
        happens(pypi, f"project-{number}")
    assert rig.run().failures == []
    rig.assert_matches()
    assert set(asked(pypi).values()) == {1}
    assert len(asked(pypi)) >= PROJECTS - 1


def test_a_project_that_is_gone_is_asked_for_once_but_for_the_doubt_of_a_used_connection(
    rig: Rig, pypi: FakePyPI
) -> None:
    for number in range(3):
        pypi.remove_project(f"project-{number}")
    assert rig.run().removed == 3
    rig.assert_matches()
    assert asked(pypi).keys() == {"project-0", "project-1", "project-2"}
    assert set(asked(pypi).values()) <= {1, 2}
    assert asked(pypi).total() < 6  # the first answer on a connection is believed


def test_filters_that_drop_files_ask_once(rig: Rig, pypi: FakePyPI) -> None:
    rig.filters = "[plugins]\nenabled = latest_release\n[latest_release]\nkeep = 1\n"
    rig.run()
    assert {path.name for path in rig.web.rglob("*.whl")} == {
        f"project_{n}-2.0-py3-none-any.whl" for n in range(PROJECTS)
    }
    assert asked(pypi) == {f"project-{number}": 1 for number in range(PROJECTS)}


def test_removals_that_are_held_back_ask_once_in_each_run(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(PROJECTS):
        pypi.remove_release(f"project-{number}", "1.0")
    for _ in range(2):
        pypi.clear_requests()
        assert rig.run(max_removals="1").withheld is not None
        assert asked(pypi) == {f"project-{number}": 1 for number in range(PROJECTS)}
    pypi.clear_requests()
    rig.run(allow_removals=True)
    assert asked(pypi) == {f"project-{number}": 1 for number in range(PROJECTS)}
    rig.assert_matches()


def test_what_does_not_fit_into_memory_is_asked_for_again(
    rig: Rig, pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shrinking, "_MOST_BYTES", 5_000)  # a page of ours, with the held one, takes about that
    for number in range(PROJECTS):
        pypi.remove_release(f"project-{number}", "1.0")
    rig.run()
    assert sorted(asked(pypi).values()) == [1, *[2] * (PROJECTS - 1)]
    rig.assert_matches()


def test_what_has_failed_is_not_looked_at_again_in_the_same_run(rig: Rig, pypi: FakePyPI) -> None:
    now = time.time()
    rig.tuning = replace(rig.tuning, wall_clock=lambda: now)
    rig.run()
    for number in range(PROJECTS):
        pypi.add_file(f"project-{number}", "3.0")
        pypi.fault(f"/simple/project-{number}/", Edit(with_other_bytes), times=None)
    now += 40 * 86_400
    pypi.clear_requests()
    assert len(rig.run().failures) == PROJECTS
    assert asked(pypi) == {f"project-{number}": 1 for number in range(PROJECTS)}
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()
