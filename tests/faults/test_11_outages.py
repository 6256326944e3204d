"""11. An index that lists nothing, or lost much of what it had, empties no mirror of any size."""

import pytest

from bandersnatch.errors import LostProjectsError
from bandersnatch.state.inventory import HeldProject, Inventory
from tests.support.builders import named
from tests.support.fakepypi import Body, FakePyPI, Status
from tests.support.mirror_check import assert_mirror_matches
from tests.support.rig import Rig
from tests.support.xmlrpc_calls import LIST, response


@pytest.fixture
def twenty(rig: Rig, pypi: FakePyPI) -> FakePyPI:
    """A mirror of twenty projects with a file each."""
    for number in range(20):
        pypi.add_file(f"project-{number}", "1.0")
    rig.run()
    return pypi


def break_down(pypi: FakePyPI, *, with_xmlrpc: bool = True) -> None:
    """Let upstream know of no project any more."""
    if with_xmlrpc:
        pypi.fault("rpc:*", Status(503), times=None)
    index = f'{{"meta":{{"_last-serial":{pypi.serial},"api-version":"1.4"}},"projects":[]}}'
    pypi.fault("/simple/", Body(index.encode()), times=None)
    for number in range(20):
        pypi.fault(f"/simple/project-{number}/", Status(404), times=None)


def but_for_the_serial(tree: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in tree.items() if path != "simple/index.v1_json"}


def test_empty_index_and_no_pages_remove_nothing(rig: Rig, twenty: FakePyPI) -> None:
    break_down(twenty)
    before = but_for_the_serial(rig.tree())
    assert rig.run().withheld is not None
    assert but_for_the_serial(rig.tree()) == before
    result = rig.call("mirror", "--force-check")
    assert result.returncode == 5
    assert "this run would remove 20 of 20 projects" in result.stderr
    assert "bandersnatch mirror --allow-removals" in result.stderr
    assert but_for_the_serial(rig.tree()) == before
    assert rig.run().withheld is not None
    assert but_for_the_serial(rig.tree()) == before
    twenty.clear_faults()
    assert rig.call("mirror").returncode == 0
    rig.assert_matches()


@pytest.mark.parametrize("api_method", ["auto", "simple"])
def test_what_an_outage_has_taken_comes_back_by_plain_runs(rig: Rig, twenty: FakePyPI, api_method: str) -> None:
    break_down(twenty)
    assert rig.run(allow_removals=True, api_method=api_method).removed == 20
    assert rig.run(api_method=api_method).withheld is None
    twenty.clear_faults()
    assert rig.run(api_method=api_method).failures == []
    rig.assert_matches()
    twenty.clear_requests()
    rig.run()
    assert twenty.page_requests() == []
    assert not (rig.directory / "unconfirmed").exists()


def test_what_a_resync_during_an_outage_has_taken_comes_back_by_plain_runs(rig: Rig, twenty: FakePyPI) -> None:
    only_the_last = f"<name>project-19</name><value><int>{twenty.project_serial('project-19')}</int></value>"
    value = f"<value><struct><member>{only_the_last}</member></struct></value>"
    answer = f"<methodResponse><params><param>{value}</param></params></methodResponse>"
    twenty.fault("rpc:list_packages_with_serial", Body(answer.encode(), content_type="text/xml"))
    for number in range(19):
        twenty.fault(f"/simple/project-{number}/", Status(404), times=None)
    rig.resync()
    assert rig.run(allow_removals=True).removed == 19
    twenty.clear_faults()
    assert rig.run().updated == 19
    rig.assert_matches()


def test_runs_that_ask_again_for_what_a_list_has_taken_write_no_root_index(rig: Rig, twenty: FakePyPI) -> None:
    listed = {name: twenty.project_serial(name) for name in twenty.project_names() if name != "project-7"}
    twenty.fault(LIST, response(listed))
    twenty.fault("/simple/project-7/", Status(404), times=None)
    rig.resync()
    assert rig.run().removed == 1
    written = index_stamps(rig)
    for _ in range(2):
        twenty.clear_requests()
        rig.run()
        assert [request.path for request in twenty.page_requests()] == ["/simple/project-7/"]
    assert index_stamps(rig) == written
    twenty.clear_faults()
    assert rig.run().updated == 1
    rig.assert_matches()


def index_stamps(rig: Rig) -> dict[str, tuple[int, int]]:
    found = {path.name: path.stat() for path in (rig.web / "simple").glob("index.*")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


EMPTY_LIST = b"<methodResponse><params><param><value><struct></struct></value></param></params></methodResponse>"


def test_empty_list_of_all_projects_is_an_outage_as_an_empty_root_index_is(rig: Rig, twenty: FakePyPI) -> None:
    break_down(twenty, with_xmlrpc=False)
    twenty.fault("rpc:list_packages_with_serial", Body(EMPTY_LIST, content_type="text/xml"), times=None)
    before = rig.tree()
    twenty.clear_requests()
    result = rig.call("mirror", "--force-check")
    assert result.returncode == 5
    assert rig.tree().keys() == before.keys()
    assert "list_packages_with_serial has no project, although the journal ends at serial 80" in result.stderr
    assert "this run would remove 20 of 20 projects" in result.stderr
    assert "bandersnatch mirror --allow-removals" in result.stderr
    assert "changelog_since_serial" not in twenty.rpc_calls()
    twenty.clear_faults()
    assert rig.call("mirror").returncode == 0
    rig.assert_matches()


def test_empty_list_of_all_projects_stops_a_run_that_goes_by_xmlrpc_alone(rig: Rig, twenty: FakePyPI) -> None:
    twenty.fault("rpc:list_packages_with_serial", Body(EMPTY_LIST, content_type="text/xml"), times=None)
    stamps = rig.tree()
    result = rig.call("mirror", "--force-check", api_method="xmlrpc")
    assert result.returncode == 4
    assert "list_packages_with_serial has no project" in result.stderr.splitlines()[-1]
    assert rig.tree() == stamps


def test_list_of_an_index_that_is_well_is_had_from_its_root_index(rig: Rig, twenty: FakePyPI) -> None:
    twenty.fault("rpc:list_packages_with_serial", Body(EMPTY_LIST, content_type="text/xml"), times=None)
    twenty.add_file("new", "1.0")
    assert rig.call("mirror", "--force-check").returncode == 0
    rig.assert_matches()


def test_what_the_journal_removed_is_not_asked_for_again(rig: Rig, twenty: FakePyPI) -> None:
    twenty.remove_project("project-0")
    assert rig.run().removed == 1
    twenty.clear_requests()
    rig.run()
    assert twenty.page_requests() == []
    assert not (rig.directory / "unconfirmed").exists()


def test_removal_that_the_journal_tells_of_later_is_not_asked_for_again(rig: Rig, twenty: FakePyPI) -> None:
    twenty.remove_project("project-0")
    twenty.fault("rpc:*", Status(503), times=None)
    assert rig.run().removed == 1
    assert (rig.directory / "unconfirmed").exists()
    twenty.clear_faults()
    rig.run()
    twenty.clear_requests()
    rig.run()
    assert twenty.page_requests() == []
    assert not (rig.directory / "unconfirmed").exists()


@pytest.mark.parametrize("lost", [2, 8, 19])
@pytest.mark.parametrize("api_method", ["auto", "simple"])
def test_index_that_lost_more_than_the_percentage_is_not_believed(
    rig: Rig, twenty: FakePyPI, lost: int, api_method: str
) -> None:
    twenty.fault("rpc:*", Status(503), times=None)
    for number in range(lost):
        twenty.remove_project(f"project-{number}")
    before = rig.tree()
    assert rig.run(api_method=api_method).withheld is not None
    assert rig.tree() == before
    assert rig.run(allow_removals=True, api_method=api_method).withheld is None
    rig.assert_matches()


def test_index_that_lost_one_project_is_believed(rig: Rig, twenty: FakePyPI) -> None:
    twenty.fault("rpc:*", Status(503), times=None)
    twenty.remove_project("project-7")
    assert rig.run().removed == 1
    rig.assert_matches()


@pytest.mark.parametrize("limit", ["5% or 1000", "1000", "99%"])
def test_not_even_a_mirror_with_one_project_is_emptied(rig: Rig, pypi: FakePyPI, limit: str) -> None:
    pypi.add_file("project-0", "1.0")
    rig.run()
    break_down(pypi)
    assert rig.run(max_removals=limit).withheld is not None
    assert (rig.web / "simple/project-0/index.html").exists()


def test_thousands_of_pages_are_not_asked_for_where_the_index_lost_most(rig: Rig, twenty: FakePyPI) -> None:
    inventory = Inventory(rig.directory / "inventory.sqlite")
    inventory.open()
    inventory.put(*(HeldProject(named(f"more-{number}"), f"more-{number}", 1, None, 0, 0) for number in range(1000)))
    inventory.close()
    rig.resync()
    twenty.clear_requests()
    with pytest.raises(LostProjectsError, match=r"1000 of the 1020 projects .* bandersnatch mirror --allow-removals"):
        rig.run()
    assert twenty.page_requests() == []


@pytest.mark.parametrize("has_projects", [False, True], ids=["empty", "of others"])
def test_another_index_without_these_projects_removes_nothing(rig: Rig, twenty: FakePyPI, has_projects: bool) -> None:
    before = rig.tree().keys()
    with FakePyPI() as other:
        other.skip_serials(100)
        if has_projects:
            other.add_file("other", "1.0")
        rig.pypi = other
        if not has_projects:
            assert rig.call("mirror").returncode == 4  # its journal is shorter; the message says to delete the state
        for _ in range(2):
            if not has_projects:
                rig.resync()
            result = rig.call("mirror")
            assert result.returncode == 5
            assert "since the configuration has changed (the index), this run would remove 20 of" in result.stderr
            assert before <= rig.tree().keys()
        if not has_projects:
            rig.resync()
        assert rig.call("mirror", "--allow-removals").returncode == 0
        assert_mirror_matches(other, rig.directory)


def test_another_index_that_is_taken_back_leaves_the_mirror_as_it_was(rig: Rig, twenty: FakePyPI) -> None:
    with FakePyPI() as other:
        other.skip_serials(100)
        other.add_file("other", "1.0")
        rig.pypi = other
        assert rig.call("mirror").returncode == 5
    rig.pypi = twenty
    twenty.skip_serials(200)
    twenty.add_file("new", "1.0")
    assert rig.call("mirror").returncode == 0
    rig.assert_matches()
