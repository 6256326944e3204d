"""``verify``: how far it goes, what stops it, and when it does not begin."""

import sqlite3

import pytest

from bandersnatch.cli.verify import read_duration
from bandersnatch.config.config import Config
from bandersnatch.errors import HostDownError
from bandersnatch.verify.findings import VerifyReport, VerifySettings
from bandersnatch.verify.verification import Verification
from tests.support.fakepypi import FakePyPI, Stall, Status
from tests.support.rig import HURRIED, Rig
from tests.support.verifying import NAMES, damage, filled, path_of, verify


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    return filled(rig, pypi)


# How far it goes


def verified(rig: Rig) -> set[str]:
    with sqlite3.connect(f"{(rig.directory / 'inventory.sqlite').as_uri()}?mode=ro", uri=True) as connection:
        names = {name for (name,) in connection.execute("SELECT project FROM verified")}
    connection.close()
    return names


def test_interrupted_verification_goes_on_with_the_others(held: Rig, pypi: FakePyPI) -> None:
    stall = Stall()
    pypi.fault(f"/simple/{NAMES[3]}/", stall, times=None)
    with held.start_command("verify", timeout="60", verifiers="1") as process:
        assert stall.started.wait(30)
        process.terminate()
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "stopped by SIGTERM" in stderr
    done = verified(held)
    others = sorted({*NAMES} - done)
    assert done
    assert NAMES[3] in others
    pypi.clear_faults()
    pypi.clear_requests()
    assert verify_here(held, VerifySettings(), workers=1).verified == len(NAMES)
    asked = [request.path.split("/")[2] for request in pypi.page_requests()]
    assert asked[: len(others)] == others
    assert set(asked[len(others) :]) == done


def test_killed_verification_leaves_a_right_mirror(held: Rig, pypi: FakePyPI) -> None:
    damage(held, pypi)
    stall = Stall(after_bytes=100)
    pypi.fault(pypi.files(NAMES[0])[0].url_path, stall, times=None)
    with held.start_command("verify", "--hash", timeout="60") as process:
        assert stall.started.wait(30)
        process.kill()
        process.communicate()
    pypi.clear_faults()
    assert verify(held, "--hash", "--delete", status=6)["left"] == 0
    held.assert_matches()


def test_budget_stops_what_is_under_way(held: Rig, pypi: FakePyPI) -> None:
    path_of(held, pypi, 0).unlink()
    pypi.fault("/simple/*", Status(503, headers={"Retry-After": "100"}), times=None)
    document = verify(held, "--budget", "1s", "--workers", "1", status=0)
    assert document["complete"] is False
    assert document["projects"] == {"held": 6, "verified": 0, "failed": 0}
    pypi.clear_faults()
    verify(held, "--budget", "1h", status=6)
    held.assert_matches()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "h", "2x", "-1", "1h30", "2 h", "1.5h"])
def test_wrong_durations_are_refused(rig: Rig, text: str) -> None:
    result = rig.call("verify", f"--budget={text}")
    assert result.returncode == 2
    assert "expected a time" in result.stderr


# When it does not begin


def test_changed_configuration_is_left_to_a_run(held: Rig, pypi: FakePyPI) -> None:
    before = held.tree()
    result = held.call("verify", hash_index="true")
    assert result.returncode == 4
    assert "(options about what is published)" in result.stderr
    assert "run bandersnatch mirror first" in result.stderr
    held.filters = f"[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = {NAMES[0]}\n"
    result = held.call("verify")
    assert result.returncode == 4
    assert (
        "the configuration has changed since the last bandersnatch mirror (filters of project names)" in result.stderr
    )
    assert pypi.url not in result.stderr
    with FakePyPI() as other:
        result = held.call("verify", master=other.url)
        assert f"its pages are of {pypi.url}, and not of {other.url}" in result.stderr
    assert result.returncode == 4
    assert held.tree() == before


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--delete",)])
def test_tree_of_another_bandersnatch_is_left_to_a_run(held: Rig, pypi: FakePyPI, arguments: tuple[str, ...]) -> None:
    for name in ("inventory.sqlite", "fingerprint", "state"):
        (held.directory / name).unlink()
    (held.directory / "status").write_text("1")
    before = held.tree()
    result = held.call("verify", *arguments)
    assert result.returncode == 4
    assert "another bandersnatch has made this mirror; bandersnatch mirror takes it over first" in result.stderr
    assert not (held.directory / "inventory.sqlite").exists()
    assert (held.directory / "status").exists()
    assert held.tree() == before
    assert pypi.requests == []


def test_directory_without_a_mirror(rig: Rig, pypi: FakePyPI) -> None:
    result = rig.call("verify", "--dry-run")
    assert result.returncode == 4
    assert "there is no mirror yet" in result.stderr
    assert not any(rig.directory.iterdir())


def test_lock_is_honoured_but_by_dry_runs(held: Rig, pypi: FakePyPI) -> None:
    stall = Stall()
    pypi.fault(pypi.add_file(NAMES[0], "3.0").url_path, stall, times=None)
    with held.start_command("mirror", timeout="60") as process:
        assert stall.started.wait(30)
        assert held.call_again("verify").returncode == 3
        assert held.call_again("verify", "--dry-run").returncode == 0
        process.kill()
        process.communicate()


def verify_here(rig: Rig, settings: VerifySettings, workers: int = 4) -> VerifyReport:
    """Verify in this process, without the waits between attempts; with one request at a time, in a fixed order."""
    config = Config.load(rig.write_config(workers=str(workers)))
    with rig.resources(config) as resources:
        return Verification(config, resources, settings, lambda *_: None, HURRIED).run()


def test_index_that_is_down_ends_the_verification(held: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(60):
        pypi.add_file(f"more-{number}", "1.0")
    held.run()
    pypi.fault("/simple/*", Status(500), times=None)
    pypi.clear_requests()
    before = held.tree()
    report = verify_here(held, VerifySettings(delete_unlisted=True))
    assert (report.held, report.verified, report.is_complete) == (66, 0, False)
    assert isinstance(report.outage, HostDownError)
    assert held.tree() == before
    assert len(pypi.page_requests()) < 66
    assert sum("requests in a row" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("number", ["0", "-1"])
def test_number_of_workers_is_checked(held: Rig, number: str) -> None:
    assert held.call("verify", f"--workers={number}").returncode == 2
