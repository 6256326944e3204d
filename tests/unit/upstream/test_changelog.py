"""The XML-RPC calls: paging, odd rows, and the list of all projects."""

import xmlrpc.client
from collections.abc import Iterator

import pytest

from bandersnatch.errors import EndlessJournalError, MalformedResponseError
from bandersnatch.model import ChangelogEntry, ListedProject
from bandersnatch.upstream import changelog as changelog_module
from bandersnatch.upstream.changelog import Changelog
from bandersnatch.upstream.changelog_actions import Expectation
from tests.support.builders import named
from tests.support.fakepypi import Body, Call, FakePyPI
from tests.support.recorded import RECORDED
from tests.support.xmlrpc_calls import LAST, LIST, SINCE, connected, everything, response


@pytest.fixture
def changelog(pypi: FakePyPI) -> Iterator[Changelog]:
    with connected(pypi.url) as changelog:
        yield changelog


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
            (entry("Sample", "create", 1), Expectation.CONTENT),
            (entry("Sample", "add Owner alice", 2), Expectation.ROLES),
            (entry("Sample", "new release", 3), Expectation.CONTENT),
            (entry("Sample", "add source file sample-1.0.tar.gz", 4), Expectation.CONTENT),
            (entry("Sample", "remove project", 5), Expectation.REMOVED),
        ],
    )


def test_only_changes_after_the_serial_are_told(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.create_project("a")
    pypi.skip_serials(10)
    pypi.create_project("b")
    newest, changes = changelog.since(1)
    assert newest == 14
    assert [change.serial for change, _ in changes] == [2, 13, 14]


def test_known_changes_are_told_only_with_newer_ones(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.create_project("a")
    assert changelog.since(1, at_least=2, known=2) == (2, [])
    pypi.create_project("b")
    newest, changes = changelog.since(1, at_least=2, known=2)
    assert newest == 4
    assert [change.serial for change, _ in changes] == [2, 3, 4]


def test_where_nothing_is_new_the_serial_is_the_one_asked_for(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.create_project("a")
    assert changelog.since(2) == (2, [])
    assert changelog.since(1000) == (1000, [])


def test_the_recorded_journal_of_pypi_is_read(pypi: FakePyPI, changelog: Changelog) -> None:
    body = (RECORDED / "06-final" / "xmlrpc-changelog_since_serial-0.body").read_bytes()
    ((rows,), _) = xmlrpc.client.loads(body)
    pypi.fault(SINCE, Body(body))
    newest, changes = changelog.since(0, at_least=10**6)
    assert isinstance(rows, list)
    assert newest == rows[-1][4]
    assert [(change.display_name, change.action, change.serial) for change, _ in changes] == [
        (name, action, serial) for name, _, _, action, serial in rows
    ]


@pytest.mark.slow
@pytest.mark.measured
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


@pytest.mark.parametrize(("rows", "at_least"), [(1000, 0), (1, 2**31 - 1)], ids=["full answers", "a row an answer"])
def test_a_journal_that_grows_as_fast_as_it_is_read_ends_in_an_error(
    monkeypatch: pytest.MonkeyPatch, rows: int, at_least: int
) -> None:
    monkeypatch.setattr(changelog_module, "MAX_CHANGES", 5_000)
    monkeypatch.setattr(changelog_module, "MAX_ANSWERS", 10)
    with FakePyPI(changelog_limit=1000) as pypi, connected(pypi.url) as changelog:
        pypi.fault(SINCE, Call(lambda: [pypi.write_journal("p", None, "create") for _ in range(rows)]), times=30)
        with pytest.raises(EndlessJournalError, match=r"the changelog since serial 0 was read up to .* does not end"):
            changelog.since(0, at_least)
        assert pypi.rpc_calls().count("changelog_since_serial") in (6, 10)


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
    assert changelog.since(0) == (1, [(entry("a", "", 1), Expectation.CONTENT)])


def test_an_action_in_another_script_is_read(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.write_journal("a", None, "add Owner ☃")
    assert changelog.since(0) == (1, [(entry("a", "add Owner &#9731;", 1), Expectation.ROLES)])


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
    with pytest.raises(MalformedResponseError, match=f"changelog_since_serial is {kind}, not a list"):
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
    assert dict(changelog.all_projects(everything, 10**6)[1]) == {
        named(name): ListedProject(name, serial) for name, serial in listed.items()
    }
    assert len(listed) > 20


def test_a_name_that_can_not_be_is_left_out_of_the_list(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.fault(LIST, response({"../evil": 1, "fine": 2}))
    assert dict(changelog.all_projects(everything, 10**6)[1]) == {named("fine"): ListedProject("fine", 2)}


@pytest.mark.parametrize("serial", [None, -1, "7", True, 1.5, []])
def test_a_listed_serial_that_is_none_is_malformed(pypi: FakePyPI, changelog: Changelog, serial: object) -> None:
    pypi.fault(LIST, response({"sample": serial}))
    with pytest.raises(MalformedResponseError, match="list_packages_with_serial has projects with an invalid serial"):
        list(changelog.all_projects(everything, 10**6)[1])


@pytest.mark.parametrize(("value", "kind"), [(None, "NoneType"), ([], "list"), ("", "str")])
def test_a_list_that_is_no_struct_is_malformed(pypi: FakePyPI, changelog: Changelog, value: object, kind: str) -> None:
    pypi.fault(LIST, response(value))
    with pytest.raises(MalformedResponseError, match=f"list_packages_with_serial is {kind}, not a struct"):
        list(changelog.all_projects(everything, 10**6)[1])


def test_only_the_projects_that_are_wanted_are_listed(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.fault(LIST, response({"Wanted": 2, "other": 7}))
    newest, listed = changelog.all_projects(
        lambda project, display_name: (project, display_name) == ("wanted", "Wanted"), 7
    )
    assert dict(listed) == {named("wanted"): ListedProject("Wanted", 2)}
    assert newest == 7


# What is no XML-RPC


def test_requests_are_xml_rpc_as_pypi_wants_it(pypi: FakePyPI, changelog: Changelog) -> None:
    changelog.since(42)
    (request,) = pypi.requests
    assert (request.method, request.path) == ("POST", "/pypi")
    assert request.rpc_method == "changelog_since_serial"
