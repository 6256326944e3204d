"""What ``verify`` shows of itself: how many projects there are, and each of them once, whatever becomes of it."""

import json
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from bandersnatch.amounts import size_of
from bandersnatch.config.config import Config
from bandersnatch.errors import InterruptedRunError
from bandersnatch.progress import LogProgress, Progress
from bandersnatch.stop import StopFlag
from bandersnatch.verify.findings import VerifyReport, VerifySettings
from bandersnatch.verify.verification import Verification
from tests.support.fakepypi import Body, FakePyPI, Status
from tests.support.rig import HURRIED, Rig

NAMES = tuple(f"project-{number}" for number in range(6))


class RecordingProgress:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.received_bytes = self.done = 0
        self._guard = threading.Lock()

    def start(self, projects: int) -> None:
        self.events.append(f"start {projects}")

    def received(self, size_bytes: int) -> None:
        with self._guard:
            self.received_bytes += size_bytes

    def project_done(self) -> None:
        with self._guard:
            self.done += 1

    def stop(self) -> None:
        self.events.append("stop")


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    for name in NAMES:
        pypi.add_file(name, "1.0")
    rig.run()
    return rig


def wheel_of(rig: Rig, pypi: FakePyPI, number: int) -> Path:
    return rig.web / pypi.files(NAMES[number])[0].url_path[1:]


def verify(
    rig: Rig, progress: Progress, settings: VerifySettings | None = None, stop: StopFlag | None = None, **options: str
) -> VerifyReport:
    """Verify in this process."""
    config = Config.load(rig.write_config(**options))
    with rig.resources(config, stop) as made:
        resources = replace(made, progress=progress)
        return Verification(config, resources, settings or VerifySettings(), lambda *_: None, HURRIED).run()


@pytest.mark.parametrize("dry_run", [False, True])
def test_each_project_counts_once(held: Rig, pypi: FakePyPI, dry_run: bool) -> None:
    wheel_of(held, pypi, 1).unlink()
    (held.web / "simple" / NAMES[2] / "index.html").unlink()
    progress = RecordingProgress()
    report = verify(held, progress, VerifySettings(dry_run=dry_run, delete_unlisted=True))
    assert (progress.events, progress.done) == (["start 6", "stop"], 6)
    assert report.verified == 6
    assert progress.received_bytes == (0 if dry_run else wheel_of(held, pypi, 1).stat().st_size)


def test_projects_that_fail_count_too(held: Rig, pypi: FakePyPI) -> None:
    pypi.fault(f"/simple/{NAMES[0]}/", Status(503), times=None)
    pypi.fault(f"/simple/{NAMES[1]}/", Body(b"{}"), times=None)
    pypi.fault(f"/simple/{NAMES[2]}/", Status(404), times=None)
    progress = RecordingProgress()
    report = verify(held, progress)
    assert (report.verified, report.failed) == (3, 3)
    assert (progress.events, progress.done) == (["start 6", "stop"], 6)


@pytest.mark.parametrize("limit", ["0", "100%"])
def test_projects_with_removals_count_when_it_is_known_what_becomes_of_them(
    held: Rig, pypi: FakePyPI, limit: str
) -> None:
    page = held.web / "simple" / NAMES[0] / "index.v1_json"
    document = json.loads(page.read_bytes())
    extra = {"filename": "project_0-9.0.zip", "url": "../../packages/aa/bb/cc/project_0-9.0.zip"}
    document["files"].append(document["files"][0] | extra)
    page.write_text(json.dumps(document))
    progress = RecordingProgress()
    report = verify(held, progress, max_removals=limit)
    assert (report.withheld is None) == (limit != "0")
    assert (progress.events, progress.done) == (["start 6", "stop"], 6)


def test_display_ends_with_a_verification_that_is_stopped(held: Rig) -> None:
    stop = StopFlag()

    class StopsAtTheSecond(RecordingProgress):
        def project_done(self) -> None:
            super().project_done()
            if self.done == 2:
                stop.set()

    progress = StopsAtTheSecond()
    with pytest.raises(InterruptedRunError):
        verify(held, progress, stop=stop)
    assert progress.events == ["start 6", "stop"]
    assert progress.done >= 2  # the others may have been done meanwhile


def test_log_of_a_long_verification_shows_that_it_lives(
    held: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    wheel = wheel_of(held, pypi, 1)
    size = wheel.stat().st_size
    wheel.unlink()
    with caplog.at_level("INFO"):
        verify(held, LogProgress(heartbeat_seconds=0.0))
    lines = [message for message in caplog.messages if "projects done" in message]
    assert {line.partition(",")[0] for line in lines} >= {f"{done} of 6 projects done" for done in range(1, 7)}
    assert lines[-1] == f"6 of 6 projects done, {size_of(size)} received"


def test_terminal_shows_how_far_a_verification_is(held: Rig) -> None:
    status, shown = held.command_on_terminal("verify")
    assert status == 0
    assert "6/6" in shown
    assert "projects" in shown
    assert "verified 6 of 6 projects" in " ".join(shown.rstrip().splitlines()[-2:])


@pytest.mark.parametrize("arguments", [("--quiet", "verify"), ("--quiet", "verify", "--hash", "--delete")])
def test_quiet_verification_without_a_fault_shows_nothing(held: Rig, arguments: tuple[str, ...]) -> None:
    result = held.call(*arguments)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
