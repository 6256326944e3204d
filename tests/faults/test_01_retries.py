"""1. Retries in one place: what is tried again, how often, and when it is enough."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from bandersnatch.errors import HostDownError, UpstreamError
from bandersnatch.http.retry_policy import RetryPolicy
from bandersnatch.workers.pool import workers_wanted
from tests.support.fakepypi import Edit, FakePyPI, Fault, Reset, ShortBody, Stall, Status
from tests.support.rig import IN_PROCESSES, Rig

QUICK = RetryPolicy(attempts=4, backoff_seconds=0)


def serve_files_elsewhere(page: dict[str, Any]) -> dict[str, Any]:
    """Let the files of a page lie on a host of another name."""
    for file in page["files"]:
        file["url"] = file["url"].replace("127.0.0.1", "localhost")
    return page


@pytest.mark.parametrize("fault", [Reset(0), *map(Status, (408, 425, 429, 500, 502, 503, 504))])
@pytest.mark.parametrize("path", ["/simple/foo/", "rpc:changelog_last_serial", "/packages/*"])
def test_passing_trouble_is_overcome(rig: Rig, pypi: FakePyPI, fault: Fault, path: str) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault(path, fault, times=3)
    assert rig.run(policy=QUICK).failures == []
    rig.assert_matches()


@pytest.mark.parametrize("status", [501, 505, 507, 520, 522, 530])
def test_every_5xx_is_tried_again(rig: Rig, pypi: FakePyPI, status: int) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Status(status))
    assert rig.run().failures == []


@pytest.mark.parametrize("status", [400, 401, 403, 405, 451])
def test_final_answers_are_asked_for_once_more_and_no_more(rig: Rig, pypi: FakePyPI, status: int) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Status(status), times=None)
    report = rig.run(policy=QUICK)
    assert f"upstream answered {status}" in str(report.failures[0].error)
    assert len(pypi.page_requests()) <= 2  # the second on a connection of its own


def test_silence_is_a_timeout_and_tried_again(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Stall())
    assert rig.run(timeout="1.5").failures == []
    rig.assert_matches()


def test_silence_that_lasts_is_named_in_seconds(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Stall(), times=None)
    report = rig.run(timeout="1.5")
    assert str(report.failures[0].error) == f"{pypi.url}/simple/foo/: no answer for 1.5 s"


@pytest.mark.parametrize(
    "retry_after",
    ["1", format_datetime(datetime.now(UTC) + timedelta(days=300), usegmt=True), "100000"],
    ids=["seconds", "date", "long"],
)
def test_retry_after_is_honoured_up_to_a_cap(rig: Rig, pypi: FakePyPI, retry_after: str) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Status(429, headers={"Retry-After": retry_after}))
    rig.run(policy=RetryPolicy(attempts=2, backoff_seconds=0, longest_retry_after_seconds=1))
    first, second = pypi.page_requests()
    assert second.at - first.at >= 1.0  # an immediate second request would have come at once
    rig.assert_matches()


def test_requests_have_a_budget_of_retries_for_the_whole_run(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(5):
        pypi.add_file(f"project-{number}", "1.0")
        pypi.fault(f"/simple/project-{number}/", Status(503), times=None)
    report = rig.run(policy=RetryPolicy(attempts=4, backoff_seconds=0, retries_per_run=6))
    assert len(report.failures) == 5
    assert len(pypi.page_requests()) == 5 + 6


def test_host_that_is_down_is_one_error_and_no_further_requests(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        pypi.add_file(f"project-{number:02}", "1.0")
    pypi.fault("/simple/project-*", Status(503), times=None)
    report = rig.run(policy=RetryPolicy(attempts=2, backoff_seconds=0, failures_until_down=5), workers="2")
    assert isinstance(report.outage, HostDownError)
    assert "gave no usable answer to 5 requests in a row" in str(report.outage)
    assert len(pypi.page_requests()) <= 2 * (5 + 2)
    assert sum(record.levelname == "ERROR" for record in caplog.records) <= 5 + 2
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("fault", [Reset(50), ShortBody(50), Status(403), Status(520)], ids=str)
def test_host_that_always_breaks_off_is_down(rig: Rig, pypi: FakePyPI, fault: Fault) -> None:
    for number in range(60):
        pypi.add_file(f"project-{number:02}", "1.0")
    pypi.fault("/simple/project-*", fault, times=None)
    report = rig.run(policy=RetryPolicy(attempts=2, backoff_seconds=0, failures_until_down=5), workers="2")
    assert isinstance(report.outage, HostDownError), (len(report.failures), len(pypi.page_requests()))


def test_file_host_that_is_down_ends_the_run_too(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(30):
        pypi.add_file(f"project-{number:02}", "1.0")
    pypi.fault("/simple/project-*", Edit(serve_files_elsewhere), times=None)
    pypi.fault("/packages/*", Reset(0), times=None)
    report = rig.run(policy=RetryPolicy(attempts=1, backoff_seconds=0, failures_until_down=5), workers="1")
    assert "localhost:" in str(report.outage)
    assert len(pypi.file_requests()) == 5
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


def test_removals_happen_although_the_file_host_is_down(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(30):
        pypi.add_file(f"project-{number:02}", "1.0")
    pypi.add_file("malware", "1.0")
    pypi.add_file("malware2", "1.0")
    rig.run()
    pypi.remove_project("malware2")
    for number in range(10):
        pypi.add_file(f"project-{number:02}", "1.1")
    pypi.quarantine_project("malware")
    pypi.fault("/simple/project-*", Edit(serve_files_elsewhere), times=None)
    pypi.fault("/packages/*", Reset(0), times=None)
    rig.run(policy=RetryPolicy(attempts=3, backoff_seconds=0, failures_until_down=5), workers="1")
    assert not (rig.web / "simple/malware2").exists()
    assert json.loads((rig.web / "simple/malware/index.v1_json").read_bytes())["files"] == []


def test_outage_ends_with_its_error_the_summary_and_status_4(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(80):
        pypi.add_file(f"project-{number:02}", "1.0")
    for number in range(10, 80):
        pypi.fault(f"/simple/project-{number}/", Status(503, headers={"Retry-After": "0"}), times=None)
    # The pages and files of ten projects can interrupt the row of failures, but no longer when they are done.
    result = rig.call("mirror", workers="20")
    *_, error, summary = result.stderr.splitlines()
    assert result.returncode == 4
    assert "the run has ended: " in error
    assert "in a row" in error
    assert ": synced to serial " in summary


def test_what_was_done_before_an_outage_stays_done(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(90):
        pypi.add_file(f"project-{number:02}", "1.0")
    for number in range(30, 90):
        pypi.fault(f"/simple/project-{number}/", Reset(0), times=None)
    assert isinstance(rig.run(workers="2").outage, HostDownError)
    assert b"project-00" in (rig.web / "simple/index.html").read_bytes()
    pypi.clear_faults()
    pypi.clear_requests()
    rig.run()
    assert not {"/simple/project-00/", "/simple/project-20/"} & {request.path for request in pypi.page_requests()}
    rig.assert_matches()


def test_upstream_that_is_away_is_an_error_at_once(rig: Rig) -> None:
    with pytest.raises(
        UpstreamError, match=r"^http://127\.0\.0\.1:9/pypi: Connection refused; and the root index can't"
    ):
        rig.run(master="http://127.0.0.1:9")


@pytest.mark.skipif(workers_wanted(4) < 2, reason="worker processes need Linux and two cores")
def test_worker_processes_spend_one_budget_of_retries(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(12):
        pypi.add_file(f"project-{number}", "1.0")
        pypi.fault(f"/simple/project-{number}/", Status(503), times=None)
    policy = RetryPolicy(attempts=4, backoff_seconds=0, retries_per_run=7, failures_until_down=1000)
    assert len(rig.run(policy=policy, tuning=IN_PROCESSES).failures) == 12
    assert 12 + 7 <= len(pypi.page_requests()) <= 12 + 7 + 1  # two may take the last one at once
