"""The pool's place is taken by an executor of other machines: no line of ``project/`` knows."""

import os
import signal
from functools import partial

import pytest

from bandersnatch.operations import work
from bandersnatch.project.package import SHARED_FILES
from tests.support.elsewhere import MACHINES, elsewhere
from tests.support.fakepypi import Call, FakePyPI, Stall, Status
from tests.support.rig import HURRIED, Rig
from tests.support.worker_processes import add_projects, half_written, reserved


@pytest.fixture(autouse=True)
def machines(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other machines work on the projects of this test's runs."""
    monkeypatch.setattr(work, "worker_pool", partial(elsewhere, rig.write_config()))


def askers(pypi: FakePyPI) -> set[int | None]:
    """Return who has asked for pages and files."""
    return {request.asker for request in (*pypi.page_requests(), *pypi.file_requests())}


def test_the_mirror_is_the_same_if_other_machines_work_on_it(
    rig: Rig, pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = add_projects(pypi)
    for number in range(SHARED_FILES + 1):
        pypi.add_file("shared-out", f"{number}.0", kind="sdist")
    assert rig.run().failures == []
    assert len(askers(pypi)) == MACHINES
    assert os.getpid() not in askers(pypi)
    assert len(pypi.page_requests()) == 6
    assert len(pypi.file_requests()) == len(files) + SHARED_FILES + 1
    assert reserved(rig) == half_written(rig) == []
    rig.assert_matches()
    pypi.remove_file("project-1", files[9].filename)
    pypi.remove_project("project-3")
    broken = pypi.add_file("project-2", "9.0")
    pypi.fault(broken.url_path, Status(403), times=None)
    report = rig.run()
    assert [each.project for each in report.failures] == ["project-2"]
    pypi.clear_faults()
    assert rig.run().failures == []
    rig.assert_matches()
    before = rig.tree()
    monkeypatch.undo()
    rig.resync()
    rig.run(tuning=HURRIED)
    assert rig.tree() == before


def test_what_a_lost_machine_had_to_do_is_done_by_others(rig: Rig, pypi: FakePyPI) -> None:
    files = add_projects(pypi)

    def kill_asker() -> None:
        (asker,) = {each.asker for each in pypi.file_requests() if each.path == files[3].url_path}
        assert asker not in (None, os.getpid())
        os.kill(asker, signal.SIGKILL)

    pypi.fault(files[3].url_path, Call(kill_asker, Stall()))
    assert rig.run().failures == []
    assert reserved(rig) == half_written(rig) == []
    rig.assert_matches()
