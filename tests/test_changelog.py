"""The XML-RPC calls: paging, odd rows, faults, and what is no XML-RPC at all."""

import xmlrpc.client
from collections.abc import Iterator
from contextlib import closing, contextmanager
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from bandersnatch.changelog import LONGEST_RATE_LIMIT_SECONDS, MAX_ATTEMPTS, Changelog
from bandersnatch.changes import Owed
from bandersnatch.errors import InterruptedRunError, MalformedResponseError, NotFoundError, UpstreamUnavailableError
from bandersnatch.model import ChangelogEntry, ListedProject
from tests.builders import json_values, make_fetcher, named, unhurried
from tests.fakepypi import Body, FakePyPI, RateLimited, Status, XmlFault
from tests.recorded import RECORDED

LAST = "rpc:changelog_last_serial"
SINCE = "rpc:changelog_since_serial"
LIST = "rpc:list_packages_with_serial"


def everything(project: NormalizedName, display_name: str) -> bool:
    return True


class Waits:
    """Stands for the clock: remembers how long it was asked to wait, and may say that the run shall stop."""

    def __init__(self, *, stops: bool = False) -> None:
        self.seconds: list[float] = []
        self._stops = stops

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return self._stops


@contextmanager
def connected(url: str, waits: Waits | None = None) -> Iterator[Changelog]:
    with closing(make_fetcher()) as fetcher:
        yield Changelog(fetcher, url, waits or Waits())


@pytest.fixture
def changelog(pypi: FakePyPI) -> Iterator[Changelog]:
    with connected(pypi.url) as changelog:
        yield changelog


@pytest.fixture(scope="module")
def patient_pypi() -> Iterator[FakePyPI]:
    """Return an index that all examples of a property may share."""
    with FakePyPI() as fake:
        yield fake


def response(value: object) -> Body:
    """Return an XML-RPC answer with any value."""
    return Body(xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True).encode())  # type: ignore[arg-type]


def raw_response(xml: str) -> Body:
    """Return an XML-RPC answer with a value in any XML."""
    return Body(f"<methodResponse><params><param><value>{xml}</value></param></params></methodResponse>".encode())


def entry(name: str, action: str, serial: int) -> ChangelogEntry:
    return ChangelogEntry(named(name), name, action, serial)


# The last serial


def test_the_last_serial_is_that_of_the_newest_row(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.create_project("Sample")
    assert changelog.last_serial() == pypi.serial == 2


def test_an_empty_journal_is_at_serial_zero(pypi: FakePyPI, changelog: Changelog) -> None:
    assert changelog.last_serial() == 0
    assert changelog.since(0) == (0, [])
    assert dict(changelog.all_projects(everything)[1]) == {}


@pytest.mark.parametrize("value", [-1, True, "7", 7.0, [], {}, b"7"])
def test_a_last_serial_that_is_none_is_malformed(pypi: FakePyPI, changelog: Changelog, value: object) -> None:
    pypi.fault(LAST, response(value))
    with pytest.raises(MalformedResponseError, match="changelog_last_serial is "):
        changelog.last_serial()


# Changes


def test_changes_come_oldest_first_with_what_they_owe(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.create_project("Sample")
    pypi.add_file("Sample", "1.0", kind="sdist")
    pypi.remove_project("Sample")
    assert changelog.since(0) == (
        5,
        [
            (entry("Sample", "create", 1), Owed.CONTENT),
            (entry("Sample", "add Owner alice", 2), Owed.ROLES),
            (entry("Sample", "new release", 3), Owed.CONTENT),
            (entry("Sample", "add source file sample-1.0.tar.gz", 4), Owed.CONTENT),
            (entry("Sample", "remove project", 5), Owed.REMOVED),
        ],
    )


def test_only_changes_after_the_serial_are_told(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.create_project("a")
    pypi.skip_serials(10)
    pypi.create_project("b")
    newest, changes = changelog.since(1)
    assert newest == 14
    assert [change.serial for change, _ in changes] == [2, 13, 14]


def test_where_nothing_is_new_the_serial_is_the_one_asked_for(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.create_project("a")
    assert changelog.since(2) == (2, [])
    assert changelog.since(1000) == (1000, [])


def test_the_recorded_journal_of_pypi_is_read(pypi: FakePyPI, changelog: Changelog) -> None:
    body = (RECORDED / "06-final" / "xmlrpc-changelog_since_serial-0.body").read_bytes()
    ((rows,), _) = xmlrpc.client.loads(body)
    pypi.fault(SINCE, Body(body))
    newest, changes = changelog.since(0)
    assert isinstance(rows, list)
    assert newest == rows[-1][4]
    assert [(change.display_name, change.action, change.serial) for change, _ in changes] == [
        (name, action, serial) for name, _, _, action, serial in rows
    ]


def test_more_than_one_answer_can_hold_is_read_to_the_end(pypi: FakePyPI, changelog: Changelog) -> None:
    for _ in range(50_003):
        pypi.write_journal("sample", "1.0", "new release", 0)
    newest, changes = changelog.since(0)
    assert newest == 50_003
    assert len(changes) == 50_003
    assert [change.serial for change, _ in changes[::10_000]] == [1, 10_001, 20_001, 30_001, 40_001, 50_001]


@pytest.mark.parametrize("rows", [999, 1000, 2000, 2500])
def test_an_index_that_tells_less_at_a_time_is_read_to_the_end_too(rows: int) -> None:
    with FakePyPI(changelog_limit=1000) as pypi, connected(pypi.url) as changelog:
        for number in range(rows):
            pypi.write_journal(f"p{number}", None, "create")
        newest, changes = changelog.since(0)
    assert newest == rows
    assert [change.serial for change, _ in changes] == list(range(1, rows + 1))


def test_a_serial_that_is_known_to_be_there_is_read_up_to_whatever_the_limit() -> None:
    with FakePyPI(changelog_limit=3) as pypi, connected(pypi.url) as changelog:
        for number in range(8):
            pypi.write_journal(f"p{number}", None, "create")
        assert changelog.since(0)[0] == 3
        assert changelog.since(0, at_least=8)[0] == 8


@pytest.mark.parametrize(
    ("name", "version", "action"),
    [(None, None, "create"), ("user:alice", None, "nuke user"), ("../evil", None, "create"), ("", None, "create")],
)
def test_a_row_about_no_project_only_counts_for_the_serial(
    pypi: FakePyPI, changelog: Changelog, name: str | None, version: str | None, action: str
) -> None:
    pypi.write_journal(name, version, action)
    assert changelog.since(0) == (1, [])


def test_a_row_without_an_action_is_a_change_of_content(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.write_journal("a", None, None)
    assert changelog.since(0) == (1, [(entry("a", "", 1), Owed.CONTENT)])


def test_an_action_in_another_script_is_read(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.write_journal("a", None, "add Owner ☃")
    assert changelog.since(0) == (1, [(entry("a", "add Owner &#9731;", 1), Owed.ROLES)])


@pytest.mark.parametrize(
    "row",
    [
        [],
        "text",
        7,
        None,
        {"name": "a"},
        ["a", None, 0, "create"],
        ["a", None, 0, "create", 1, 2],
        ["a", None, 0, "create", "1"],
        ["a", None, 0, "create", None],
        ["a", None, 0, "create", True],
        ["a", None, 0, "create", 1.0],
        ["a", None, 0, "create", -1],
        ["a", None, 0, "create", 0],
        [1, None, 0, "create", 1],
        ["a", 1, 0, "create", 1],
        ["a", None, 0, 1, 1],
    ],
)
def test_a_row_of_another_shape_is_malformed(pypi: FakePyPI, changelog: Changelog, row: object) -> None:
    pypi.fault(SINCE, response([row]))
    with pytest.raises(MalformedResponseError, match=r"changelog_since_serial\(0\) has the row"):
        changelog.since(0)


def test_a_row_from_before_the_serial_is_malformed_lest_we_ask_for_ever(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.fault(SINCE, response([["a", None, 0, "create", 7]]))
    with pytest.raises(MalformedResponseError, match="has the row"):
        changelog.since(7)


@pytest.mark.parametrize(("value", "kind"), [(None, "NoneType"), ({}, "dict"), ("", "str"), (7, "int")])
def test_changes_that_are_no_list_are_malformed(pypi: FakePyPI, changelog: Changelog, value: object, kind: str) -> None:
    pypi.fault(SINCE, response(value))
    with pytest.raises(MalformedResponseError, match=f"changelog_since_serial is {kind}, no list"):
        changelog.since(0)


# All projects


def test_all_projects_come_under_their_normalized_names(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.create_project("Under_Score.Dots")
    pypi.create_project("flask")
    assert dict(changelog.all_projects(everything)[1]) == {
        named("under-score-dots"): ListedProject("Under_Score.Dots", 2),
        named("flask"): ListedProject("flask", 4),
    }


def test_the_recorded_list_of_pypi_is_read(pypi: FakePyPI, changelog: Changelog) -> None:
    body = (RECORDED / "06-final" / "xmlrpc-list_packages_with_serial.body").read_bytes()
    ((listed,), _) = xmlrpc.client.loads(body)
    pypi.fault(LIST, Body(body))
    assert isinstance(listed, dict)
    assert dict(changelog.all_projects(everything)[1]) == {
        named(name): ListedProject(name, serial) for name, serial in listed.items()
    }
    assert len(listed) > 20


def test_a_name_that_can_not_be_is_left_out_of_the_list(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.fault(LIST, response({"../evil": 1, "fine": 2}))
    assert dict(changelog.all_projects(everything)[1]) == {named("fine"): ListedProject("fine", 2)}


@pytest.mark.parametrize("serial", [None, -1, "7", True, 1.5, []])
def test_a_listed_serial_that_is_none_is_malformed(pypi: FakePyPI, changelog: Changelog, serial: object) -> None:
    pypi.fault(LIST, response({"sample": serial}))
    with pytest.raises(MalformedResponseError, match="list_packages_with_serial has projects whose serial is none"):
        list(changelog.all_projects(everything)[1])


@pytest.mark.parametrize(("value", "kind"), [(None, "NoneType"), ([], "list"), ("", "str")])
def test_a_list_that_is_no_struct_is_malformed(pypi: FakePyPI, changelog: Changelog, value: object, kind: str) -> None:
    pypi.fault(LIST, response(value))
    with pytest.raises(MalformedResponseError, match=f"list_packages_with_serial is {kind}, no struct"):
        list(changelog.all_projects(everything)[1])


def test_only_the_projects_that_are_wanted_are_listed(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.fault(LIST, response({"Wanted": 2, "other": 7}))
    newest, listed = changelog.all_projects(
        lambda project, display_name: (project, display_name) == ("wanted", "Wanted")
    )
    assert dict(listed) == {named("wanted"): ListedProject("Wanted", 2)}
    assert newest == 7


# Faults


def test_the_rate_limit_is_waited_for_as_long_as_it_says(pypi: FakePyPI) -> None:
    waits = Waits()
    pypi.create_project("a")
    pypi.fault(LAST, RateLimited(57), RateLimited(3))
    with connected(pypi.url, waits) as changelog:
        assert changelog.last_serial() == 2
    assert waits.seconds == [57.0, 3.0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("HTTPTooManyRequests: Limit may reset in 57 seconds.", 57.0),
        ("HTTPTooManyRequests: Limit may reset in 57 seconds", 57.0),
        ("HTTPTooManyRequests: Limit may reset in 57 seconds. See the documentation.", 57.0),
        ("HTTPTooManyRequests: slow\ndown. Limit may reset in 57 seconds.", 57.0),
        ("HTTPTooManyRequests: slow down", 60.0),
        ("HTTPTooManyRequests", 60.0),
        ("HTTPTooManyRequests: Limit may reset in 999999999 seconds.", LONGEST_RATE_LIMIT_SECONDS),
        (f"HTTPTooManyRequests: Limit may reset in {'9' * 500} seconds.", LONGEST_RATE_LIMIT_SECONDS),
        ("RuntimeError: something else", 1.0),
        ("application error", 1.0),
    ],
)
def test_a_fault_that_may_pass_is_waited_for(pypi: FakePyPI, text: str, seconds: float) -> None:
    waits = Waits()
    pypi.fault(LAST, XmlFault(-32500, text))
    with connected(pypi.url, waits) as changelog:
        assert changelog.last_serial() == 0
    assert waits.seconds == [seconds]


def test_a_fault_that_does_not_pass_ends_the_attempts(pypi: FakePyPI) -> None:
    waits = Waits()
    pypi.fault(LAST, XmlFault(-32500, "application error"), times=None)
    with (
        connected(pypi.url, waits) as changelog,
        pytest.raises(UpstreamUnavailableError, match="changelog_last_serial: fault -32500: application error"),
    ):
        changelog.last_serial()
    assert waits.seconds == [1.0, 2.0, 4.0]
    assert pypi.rpc_calls() == ["changelog_last_serial"] * MAX_ATTEMPTS


@pytest.mark.parametrize("code", [-32601, -32602, -32700, 0, 1])
def test_a_fault_of_ours_is_not_waited_for(pypi: FakePyPI, code: int) -> None:
    waits = Waits()
    pypi.fault(SINCE, XmlFault(code, "client error"))
    with (
        connected(pypi.url, waits) as changelog,
        pytest.raises(UpstreamUnavailableError, match=f"changelog_since_serial: fault {code}: client error"),
    ):
        changelog.since(0)
    assert waits.seconds == []


def test_a_run_that_is_asked_to_stop_does_not_ask_again(pypi: FakePyPI) -> None:
    pypi.fault(LAST, RateLimited(57), times=None)
    with connected(pypi.url, Waits(stops=True)) as changelog, pytest.raises(InterruptedRunError):
        changelog.last_serial()
    assert len(pypi.rpc_calls()) == 1


def test_the_text_of_a_fault_is_shortened_and_made_harmless(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.fault(LAST, XmlFault(1, "line\nline" * 1000))
    with pytest.raises(UpstreamUnavailableError) as caught:
        changelog.last_serial()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


# What is no XML-RPC


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><html><head><title>Welcome</title></head><body><p>Hello<br></body></html>",
        b'{"message": "no"}',
        b"\xff\xfe",
        b"<methodResponse/>",
        b"<methodResponse><params/></methodResponse>",
        b"<methodResponse><params><param><value><int>x</int></value></param></params></methodResponse>",
        b"<methodResponse><params><param><value><int>1</int></value>",
        b"<methodResponse><fault><value><int>4</int></value></fault></methodResponse>",
        b"<methodResponse><fault><value><struct/></value></fault></methodResponse>",
        b"<methodResponse><params><param><value><int>1</int></value></param>"
        b"<param><value><int>2</int></value></param></params></methodResponse>",
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><methodResponse>&b;</methodResponse>',
    ],
)
def test_what_is_no_xml_rpc_is_told_with_its_kind(pypi: FakePyPI, changelog: Changelog, body: bytes) -> None:
    pypi.fault(LAST, Body(body, content_type="text/html; charset=utf-8"))
    with pytest.raises(MalformedResponseError) as caught:
        changelog.last_serial()
    assert str(caught.value).startswith(f"{pypi.url}/pypi: no XML-RPC, but text/html; charset=utf-8: ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "value",
    [
        "<bigdecimal>x</bigdecimal>",
        "<double>x</double>",
        "<dateTime.iso8601>x</dateTime.iso8601>",
        "<base64>x</base64>",
        "<boolean>2</boolean>",
        f"<int>{'9' * 5000}</int>",
        "<unknown>1</unknown>",
        "<struct><member><name>a</name></member></struct>",
        "<array><data><value><array></value></data></array>",
    ],
)
def test_a_value_that_is_wrong_in_itself_is_malformed(pypi: FakePyPI, changelog: Changelog, value: str) -> None:
    pypi.fault(LAST, raw_response(value))
    with pytest.raises(MalformedResponseError):
        changelog.last_serial()


def test_an_index_without_xml_rpc_is_not_found(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.fault("/pypi", Status(404))
    with pytest.raises(NotFoundError, match=f"^{pypi.url}/pypi: not found$"):
        changelog.last_serial()


def test_passwords_are_not_told(pypi: FakePyPI) -> None:
    url = pypi.url.replace("://", "://user:secret@")
    pypi.fault(LAST, Body(b"<html>"), XmlFault(1, "no"), response(-1))
    with connected(url) as changelog:
        for _ in range(3):
            with pytest.raises((MalformedResponseError, UpstreamUnavailableError)) as caught:
                changelog.last_serial()
            assert "secret" not in str(caught.value)


def test_requests_are_xml_rpc_as_pypi_wants_it(pypi: FakePyPI, changelog: Changelog) -> None:
    changelog.since(42)
    (request,) = pypi.requests
    assert (request.method, request.path) == ("POST", "/pypi")
    assert request.rpc_method == "changelog_since_serial"


tags = st.sampled_from(
    ["int", "string", "nil", "array", "data", "value", "struct", "member", "name", "double", "bigdecimal", "boolean",
     "base64", "dateTime.iso8601", "i8", "fault", "param", "params", "ex:nil", "x"]
)  # fmt: skip
xml_values = st.recursive(
    st.text(max_size=6).map(escape) | st.sampled_from(["1", "-1", "true", "", "20240101T00:00:00"]),
    lambda inner: st.builds(lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>", tags, st.lists(inner, max_size=3)),
    max_leaves=8,
)


@unhurried
@given(xml_values)
@example("<bigdecimal>x</bigdecimal>")
@example("<array><data><value><array><data/></array></value></data></array>")
def test_any_xml_is_an_answer_or_malformed(patient_pypi: FakePyPI, xml: str) -> None:
    for method in (LAST, SINCE, LIST):
        patient_pypi.fault(method, raw_response(xml), times=MAX_ATTEMPTS)
    with connected(patient_pypi.url) as changelog:
        for call in (
            changelog.last_serial,
            lambda: changelog.since(0),
            lambda: list(changelog.all_projects(everything)[1]),
        ):
            try:
                call()
            except (MalformedResponseError, UpstreamUnavailableError):
                continue
    patient_pypi.clear_faults()


@unhurried
@given(st.lists(st.lists(json_values, min_size=4, max_size=6), max_size=3))
def test_any_rows_are_changes_or_malformed(patient_pypi: FakePyPI, rows: list[list[object]]) -> None:
    try:
        answer = response(rows)
    except OverflowError:
        return  # no XML-RPC can hold this number
    patient_pypi.clear_faults()
    patient_pypi.fault(SINCE, answer)
    with connected(patient_pypi.url) as changelog:
        try:
            newest, changes = changelog.since(0)
        except MalformedResponseError:
            return
    assert newest >= max((change.serial for change, _ in changes), default=0)
