"""The report of a run, and its last line."""

from bandersnatch.errors import NotFoundError
from bandersnatch.project.report import Failure, Report, Settled
from tests.support.builders import SAMPLE


def test_the_report_of_a_run_that_did_nothing() -> None:
    assert Report().summary() == "synced to serial 0: 0 updated, 0 removed, 0 failed, 0 files, 0 bytes in 0.0 s"


def test_the_summary_has_all_numbers_in_the_form_that_scripts_look_for() -> None:
    report = Report(serial=30112233, updated=120, removed=3, files=150, size_bytes=2_100_000_000, seconds=84.26)
    report.failures.append(Failure(SAMPLE, NotFoundError("https://index.example")))
    assert report.summary() == (
        "synced to serial 30112233: 120 updated, 3 removed, 1 failed, 150 files, 2.1 GB in 84.3 s"
    )


def test_what_was_done_for_projects_adds_up() -> None:
    report = Report()
    report.count(Settled(SAMPLE, 5, changed=True, files=2, size_bytes=300, deleted_files=1))
    report.count(Settled(SAMPLE, 6, changed=True, files=1, size_bytes=50))
    assert (report.updated, report.files, report.size_bytes) == (2, 3, 350)


def test_a_project_that_did_not_change_is_not_counted_as_updated() -> None:
    report = Report()
    report.count(Settled(SAMPLE, 5, changed=False))
    assert report.updated == 0


def test_two_reports_do_not_share_their_failures() -> None:
    Report().failures.append(Failure(SAMPLE, NotFoundError("https://index.example")))
    assert Report().failures == []


def test_summary_says_how_many_projects_were_not_tried() -> None:
    assert Report(files=1, size_bytes=1).counts().endswith(" failed, 1 file, 1 byte in 0.0 s")
    assert Report(untried=1).counts().endswith(" in 0.0 s; not tried: 1 project")
    assert Report(untried=20).counts().endswith(" in 0.0 s; not tried: 20 projects")


def test_late_projects_of_another_part_of_the_run_are_in_the_summary() -> None:
    report, other = Report(), Report()
    other.late.append(Failure(SAMPLE, NotFoundError("https://index.example")))
    other.failures.append(Failure(SAMPLE, NotFoundError("https://index.example")))
    report.add(other)
    assert "1 failed, 1 late, " in report.counts()


def test_parts_of_a_run_add_up() -> None:
    report = Report(updated=1, removed=1, excluded=1, files=1, size_bytes=1, untried=1)
    report.add(Report(updated=1, removed=2, excluded=3, files=4, size_bytes=5, untried=6))
    assert report == Report(updated=2, removed=3, excluded=4, files=5, size_bytes=6, untried=7)
