"""10. XML-RPC away: the root index takes its place, and the mirror is the same."""

import pytest

from bandersnatch.errors import UpstreamError
from tests.support.fakepypi import Body, FakePyPI, Fault, RateLimited, Stall, Status, XmlFault
from tests.support.rig import Rig

AWAY: list[tuple[str, Fault]] = [
    ("silent", Stall()),
    ("server error", Status(503)),
    ("forbidden", Status(403)),
    ("gone", Status(404)),
    ("HTML", Body(b"<html>", content_type="text/html")),
    ("fault", XmlFault(-32500, "RuntimeError: XML-RPC is no more")),
    ("unknown method", XmlFault(-32601, "server error; requested method not found")),
]


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in AWAY])
def test_both_ways_reach_the_same_mirror(
    rig: Rig, pypi: FakePyPI, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.fault("rpc:*", fault, times=None)
    pypi.add_file("Foo.Bar", "1.0")
    pypi.add_file("doomed", "1.0")
    pypi.add_file("suspect", "1.0")
    caplog.set_level("INFO")
    assert rig.run(timeout="1.5").failures == []
    rig.assert_matches()
    told = [record.levelname for record in caplog.records if "uses the root index" in record.getMessage()]
    assert told == ["INFO" if fault == Status(404) else "WARNING"]
    pypi.remove_project("doomed")
    pypi.quarantine_project("suspect")
    pypi.add_file("foo-bar", "1.1")
    pypi.add_file("new", "1.0")
    pypi.clear_requests()
    report = rig.run(timeout="1.5")
    assert (report.updated, report.removed, report.failures) == (3, 1, [])
    rig.assert_matches()


def test_xmlrpc_and_index_take_turns(rig: Rig, pypi: FakePyPI) -> None:
    for turn in range(4):
        if turn % 2:
            pypi.fault("rpc:*", Status(503), times=None)
        pypi.add_file("foo", f"1.{turn}")
        pypi.add_file(f"project-{turn}", "1.0")
        if turn:
            pypi.remove_project(f"project-{turn - 1}")
        assert rig.run().failures == []
        pypi.clear_faults()
        rig.assert_matches()


def test_nothing_new_by_the_index_asks_for_no_page(rig: Rig, pypi: FakePyPI) -> None:
    pypi.fault("rpc:*", Status(503), times=None)
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.clear_requests()
    assert rig.run().updated == 0
    assert [request.path for request in pypi.requests if request.method == "GET"] == ["/simple/"]


def test_old_index_never_takes_the_mirror_back(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.freeze_list()
    pypi.add_file("foo", "1.1")
    pypi.add_file("new", "1.0")
    rig.run()
    pypi.fault("rpc:*", Status(503), times=None)
    report = rig.run()
    assert (report.removed, report.updated, report.failures) == (0, 0, [])
    assert (rig.directory / "state").read_text().strip() == str(pypi.serial)
    rig.assert_matches()


def test_removals_by_the_index_have_the_brake(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(10):
        pypi.add_file(f"project-{number}", "1.0")
    rig.run()
    for number in range(5):
        pypi.remove_project(f"project-{number}")
    pypi.fault("rpc:*", Status(503), times=None)
    assert rig.run(max_removals="4").withheld is not None
    assert len(list((rig.web / "simple").glob("project-*"))) == 10
    rig.run(max_removals="5")
    rig.assert_matches()


def test_project_missing_from_the_index_but_with_a_page_stays(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    pypi.fault("rpc:*", Status(503), times=None)
    pypi.fault("/simple/", Body(b'{"meta":{"_last-serial":99,"api-version":"1.4"},"projects":[]}'))
    report = rig.run()
    assert (report.removed, report.updated) == (0, 0)
    assert (rig.web / "simple/foo/index.html").exists()


def test_without_either_the_run_ends_with_one_error(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("*", Status(503), times=None)
    with pytest.raises(UpstreamError, match=f"^{pypi.url}/pypi: "):
        rig.run()


def test_index_without_serials_is_no_help(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("rpc:*", Status(503), times=None)
    pypi.fault("/simple/", Body(b'{"meta":{"api-version":"1.0"},"projects":[{"name":"foo"}]}'), times=None)
    both = "/pypi: upstream answered 503 .* can't replace XML-RPC: .*/simple/: the root index has no serials"
    with pytest.raises(UpstreamError, match=both):
        rig.run()


def test_by_the_index_alone_xmlrpc_is_never_asked(rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    pypi.add_file("bar", "2.0")
    rig.run(api_method="simple")
    rig.assert_matches()
    pypi.remove_project("foo")
    pypi.remove_release("bar", "1.0")
    pypi.add_file("new", "1.0")
    assert rig.run(api_method="simple").failures == []
    rig.assert_matches()
    assert pypi.rpc_calls() == []
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_by_the_index_alone_all_files_of_a_project_may_go(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run(api_method="simple")
    pypi.remove_file("foo", file.filename)
    assert rig.run(api_method="simple").failures == []
    rig.assert_matches()


@pytest.fixture
def foo_and_bar(rig: Rig, pypi: FakePyPI) -> FakePyPI:
    """A mirror of two projects with a file each."""
    pypi.add_file("foo", "1.0")
    pypi.add_file("bar", "1.0")
    rig.run()
    return pypi


def run_with_foo_refused(rig: Rig, pypi: FakePyPI) -> None:
    pypi.fault("/simple/foo/", Status(403), times=None)
    rig.run()
    pypi.clear_faults()


def run_by_the_index_alone(rig: Rig, pypi: FakePyPI) -> None:
    """Let bar change, so that there is something to do, and XML-RPC be away for a run."""
    pypi.add_file("bar", "1.1")
    pypi.fault("rpc:*", Status(404), times=None)
    rig.run()
    pypi.clear_faults()


def test_removal_told_by_the_index_alone_reaches_a_project_that_failed_before(rig: Rig, foo_and_bar: FakePyPI) -> None:
    foo_and_bar.add_file("foo", "1.1")
    run_with_foo_refused(rig, foo_and_bar)
    foo_and_bar.remove_project("foo")
    run_by_the_index_alone(rig, foo_and_bar)
    assert rig.run().failures == []
    rig.assert_matches()


def test_emptied_project_told_by_the_index_alone_that_failed_before(rig: Rig, foo_and_bar: FakePyPI) -> None:
    foo_and_bar.yank("foo", "1.0")
    run_with_foo_refused(rig, foo_and_bar)
    foo_and_bar.remove_release("foo", "1.0")
    run_by_the_index_alone(rig, foo_and_bar)
    assert rig.run().failures == []
    rig.assert_matches()


def test_quarantine_told_by_the_index_alone_while_the_page_is_stale(rig: Rig, foo_and_bar: FakePyPI) -> None:
    foo_and_bar.freeze_page("foo")
    foo_and_bar.quarantine_project("foo")
    run_by_the_index_alone(rig, foo_and_bar)
    foo_and_bar.thaw_page("foo")
    rig.run()
    rig.run()
    rig.assert_matches()


def test_after_runs_by_the_index_the_changelog_is_read_from_where_it_was_left(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(api_method="auto")
    pypi.add_file("bar", "1.0")
    rig.run(api_method="simple")
    pypi.remove_project("foo")
    rig.run(api_method="xmlrpc")
    rig.assert_matches()


def test_by_xmlrpc_alone_the_index_is_never_asked(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("rpc:*", Status(503), times=None)
    with pytest.raises(UpstreamError, match="503"):
        rig.run(api_method="xmlrpc")
    assert pypi.requests_for("/simple/") == []


@pytest.mark.parametrize("status", [404, 405, 501])
def test_mirror_of_plain_files_is_told_once_that_there_is_no_xmlrpc(
    rig: Rig, pypi: FakePyPI, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pypi.fault("rpc:*", Status(status), times=None)
    for version in ("1.0", "1.1", "1.2"):
        pypi.add_file("foo", version)
        rig.run()
        rig.run()
    told = [record.levelname for record in caplog.records if "uses the root index" in record.getMessage()]
    assert told == ["INFO"]
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_rate_limit_of_more_than_a_minute_makes_the_run_go_by_the_index_at_once(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("rpc:*", RateLimited(61), times=None)
    assert rig.run().failures == []
    rig.assert_matches()
    assert len(pypi.rpc_calls()) == 1
    assert "Limit may reset in 61 seconds." in caplog.text
    assert f"this run uses the root index {pypi.url}/simple/ instead" in caplog.text


def test_last_line_says_what_xmlrpc_and_the_root_index_answered(rig: Rig, pypi: FakePyPI) -> None:
    pypi.fault("rpc:*", Status(404), times=None)
    pypi.fault("/simple/", Body(b"<!DOCTYPE html>", content_type="text/html"), times=None)
    result = rig.call("mirror")
    assert result.returncode == 4
    last = result.stderr.splitlines()[-1]
    assert f"{pypi.url}/pypi: not found; and the root index can't replace XML-RPC" in last
    assert "/simple/: no PEP 691 root index, but text/html. So" in last
    assert result.stderr.count("not found") == 1
