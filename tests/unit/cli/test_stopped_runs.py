"""A run that a signal stops, and the next one, which goes on."""

import signal
import threading

import pytest

from tests.support.fakepypi import Call, FakePyPI, Status
from tests.support.rig import Rig
from tests.support.stalled_run import stalled_run


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("after_bytes", [pytest.param(0, marks=pytest.mark.slow), 2000])
def test_signal_stops_the_run_and_the_next_one_goes_on(
    rig: Rig, pypi: FakePyPI, number: signal.Signals, status: int, after_bytes: int
) -> None:
    pypi.add_file("done", "1.0")
    rig.run()
    file = pypi.add_file("foo", "1.0", size=100_000)
    with stalled_run(rig, pypi, file.url_path, after_bytes) as process:
        process.send_signal(number)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == status
    assert f"stopped by {number.name}; the next run goes on from here" in stderr
    assert "Traceback" not in stderr
    assert not list(rig.directory.rglob("*.part"))
    assert "foo" in (rig.directory / "todo").read_text()
    pypi.clear_faults()
    pypi.clear_requests()
    assert rig.command("mirror").returncode == 0
    assert [request.path for request in pypi.file_requests()] == [file.url_path]
    rig.assert_matches()


@pytest.mark.slow
@pytest.mark.measured
def test_signal_while_upstream_is_silent_about_the_plan(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    with stalled_run(rig, pypi, "rpc:changelog_last_serial") as process:
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "the next run goes on" in stderr
    assert "Traceback" not in stderr


def test_signal_while_a_request_waits_for_its_next_attempt(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    asked = threading.Event()
    pypi.fault(file.url_path, Call(asked.set, Status(503, headers={"Retry-After": "100"})), times=None)
    with rig.start_command("mirror") as process:
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 130
    assert not list(rig.directory.rglob("*.part"))


def test_killed_run_leaves_no_lock_and_no_temporary_file_for_long(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", size=100_000)
    with stalled_run(rig, pypi, file.url_path, 70_000) as process:
        process.kill()
        process.communicate(timeout=10)
    pypi.clear_faults()
    result = rig.command("mirror")
    assert result.returncode == 0
    rig.assert_matches()
