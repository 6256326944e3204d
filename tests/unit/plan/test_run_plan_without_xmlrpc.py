"""What a run has to do, by the root index alone."""

import logging
from contextlib import closing

import pytest

from bandersnatch.errors import UpstreamError
from bandersnatch.state.saved_state import SavedState
from bandersnatch.state.todo import TodoEntry
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.upstream.index import Upstream
from tests.support.builders import make_conversation, named
from tests.support.fakepypi import Body, FakePyPI, RateLimited, Status, XmlFault
from tests.support.fetching import CLOSED_PORT
from tests.support.planning import A, B, expectation, plan, saved_todo, without_rpc
from tests.support.rig import Rig


def test_without_xml_rpc_a_first_run_goes_by_the_root_index(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("A")
    pypi.create_project("b")
    without_rpc(pypi)
    made = plan(upstream)
    assert expectation(made) == {"a": (2, Expectation.LISTED), "b": (4, Expectation.LISTED)}
    assert made.todo.target_serial == 4
    assert made.recheck


def test_without_xml_rpc_a_later_run_looks_at_what_is_newer_or_missing(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.create_project("b")
    pypi.create_project("gone")
    pypi.remove_project("gone")
    without_rpc(pypi)
    made = plan(upstream, SavedState(6, None), {A: 2, B: 3, named("gone"): 6})
    assert expectation(made) == {"b": (4, Expectation.LISTED), "gone": (0, Expectation.REMOVED)}
    assert made.todo.target_serial == 7


def test_what_is_newer_than_an_old_root_index_is_not_taken_for_gone(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    without_rpc(pypi)
    assert expectation(plan(upstream, SavedState(2, None), {A: 2, B: 9})) == {}


def test_a_full_plan_asks_about_all_that_is_not_listed_however_new_it_is(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    without_rpc(pypi)
    assert expectation(plan(upstream, held={A: 2, B: 9})) == {
        "a": (2, Expectation.LISTED),
        "b": (0, Expectation.REMOVED),
    }


def test_an_old_root_index_moves_nothing_back(pypi: FakePyPI, upstream: Upstream) -> None:
    pypi.create_project("a")
    pypi.freeze_list()
    pypi.create_project("b")
    without_rpc(pypi)
    made = plan(upstream, saved_todo(4, b=TodoEntry("b", 4)), {A: 2})
    assert made.todo.target_serial == 4
    assert expectation(made) == {"b": (4, Expectation.CONTENT)}


@pytest.mark.parametrize("kind", [Expectation.CONTENT, Expectation.REMOVALS])
def test_the_root_index_does_not_hide_what_the_changelog_said_before(
    pypi: FakePyPI, upstream: Upstream, kind: Expectation
) -> None:
    pypi.create_project("a")
    pypi.add_role("a")
    without_rpc(pypi)
    made = plan(upstream, saved_todo(2, a=TodoEntry("a", 2, kind)), {A: 1})
    serial, owed_kind = expectation(made)["a"]
    assert owed_kind is kind
    assert serial >= 2


def test_that_the_root_index_stands_in_is_told(
    pypi: FakePyPI, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.fault("/pypi", Status(503), times=None)
    plan(upstream)
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"this run uses the root index {pypi.url}/simple/ instead" in message


@pytest.mark.parametrize("fault", [Status(404), Status(500), Body(b"<html>"), XmlFault(1, "no"), RateLimited(0)])
def test_whatever_is_wrong_with_xml_rpc_the_root_index_stands_in(
    pypi: FakePyPI, upstream: Upstream, fault: Status | Body | XmlFault | RateLimited
) -> None:
    pypi.create_project("a")
    pypi.fault("/pypi", fault, times=None)
    assert set(expectation(plan(upstream))) == {"a"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Status(500), "upstream answered 500 Internal Server Error"),
        (Body(b"<html>", content_type="text/html"), "no PEP 691 root index, but text/html"),
        (Body(b"\n<!DOCTYPE html>"), "no PEP 691 root index, but HTML, said to be application/vnd.pypi.simple.v1+json"),
    ],
)
def test_where_neither_can_be_had_the_error_says_what_both_answered(
    pypi: FakePyPI, upstream: Upstream, fault: Status | Body, words: str
) -> None:
    without_rpc(pypi)
    pypi.fault("/simple/", fault, times=None)
    with pytest.raises(UpstreamError) as caught:
        plan(upstream)
    assert str(caught.value).startswith(
        f"{pypi.url}/pypi: not found; and the root index can't replace XML-RPC: {pypi.url}/simple/: {words}"
    )


NAMES_ALONE = Body(b'{"projects": [{"name": "a"}]}')


def test_a_root_index_without_serials_can_not_stand_in_while_the_journal_is_away(
    pypi: FakePyPI, upstream: Upstream
) -> None:
    pypi.fault("rpc:*", Status(503), times=None)
    pypi.fault("/simple/", NAMES_ALONE, times=None)
    with pytest.raises(UpstreamError, match="503"):
        plan(upstream)


def test_a_root_index_that_has_lost_its_serials_can_not_stand_in(pypi: FakePyPI, upstream: Upstream) -> None:
    without_rpc(pypi)
    pypi.fault("/simple/", NAMES_ALONE)
    with pytest.raises(UpstreamError, match="the root index has no serials, although what is here has"):
        plan(upstream, SavedState(3, None), {A: 3})


def test_a_root_index_without_serials_makes_the_mirror_count(pypi: FakePyPI, upstream: Upstream) -> None:
    without_rpc(pypi)
    pypi.fault("/simple/", NAMES_ALONE)
    made = plan(upstream)
    assert (made.todo.target_serial, expectation(made)) == (1, {"a": (0, Expectation.LISTED)})
    assert made.own_serials is not None
    assert not upstream.asks_journal


def test_a_password_is_not_logged(pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = pypi.url.replace("://", "://user:secret@")
    pypi.create_project("a")
    with closing(make_conversation()) as conversation:
        plan(Upstream(conversation, url))
        without_rpc(pypi)
        plan(Upstream(conversation, url))
        pypi.clear_faults()
        with pytest.raises(UpstreamError) as caught:
            plan(Upstream(conversation, url), SavedState(50, None))
    assert "secret" not in caplog.text
    assert "secret" not in str(caught.value)


PAGE_FOR_PEOPLE = Status(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><p>Welcome")


@pytest.mark.parametrize("api_method", ["auto", "simple", "xmlrpc"])
@pytest.mark.parametrize("answer", [PAGE_FOR_PEOPLE, Status(404), Status(405), Status(501)], ids=str)
def test_a_web_site_is_told_to_be_no_index_once(rig: Rig, pypi: FakePyPI, answer: Status, api_method: str) -> None:
    pypi.fault("rpc:*", answer, times=None)
    pypi.fault("/simple/", PAGE_FOR_PEOPLE if answer.code > 404 else answer, times=None)
    result = rig.call("mirror", api_method=api_method)
    (line,) = (line for line in result.stderr.splitlines() if "ERROR" in line)
    assert result.returncode == 4
    assert f"So {pypi.url} is not a package index; is the option master right?" in line
    assert "is not a package index" not in result.stderr.replace(line, "")


@pytest.mark.usefixtures("no_proxies")
def test_a_proxy_that_refuses_is_named_once(rig: Rig) -> None:
    result = rig.call("mirror", proxy=CLOSED_PORT)
    (line,) = (line for line in result.stderr.splitlines() if "ERROR" in line)
    assert result.returncode == 4
    assert result.stderr.count(f"the proxy {CLOSED_PORT}: Connection refused") == 1
    assert "for the same reason" in line
