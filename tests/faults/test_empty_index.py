"""An index that lists nothing, although its journal is not empty, is an outage for a first run and for work that is left."""

import pytest

from tests.support.fakepypi import Body, FakePyPI, Status
from tests.support.rig import Rig

EMPTY_LIST = b"<methodResponse><params><param><value><struct></struct></value></param></params></methodResponse>"


def list_nothing(pypi: FakePyPI, serial: int, *, with_xmlrpc: bool) -> None:
    """Let upstream's lists be empty, although its journal is at that serial."""
    if with_xmlrpc:
        pypi.fault("rpc:list_packages_with_serial", Body(EMPTY_LIST, content_type="text/xml"), times=None)
        value = f"<params><param><value><int>{serial}</int></value></param></params>"
        last = Body(f"<methodResponse>{value}</methodResponse>".encode(), content_type="text/xml")
        pypi.fault("rpc:changelog_last_serial", last, times=None)
    else:
        pypi.fault("rpc:*", Status(503), times=None)
    index = f'{{"meta":{{"_last-serial":{serial},"api-version":"1.4"}},"projects":[]}}'
    pypi.fault("/simple/", Body(index.encode()), times=None)


@pytest.mark.parametrize("with_xmlrpc", [True, False], ids=["both lists are empty", "no XML-RPC"])
def test_first_run_does_not_believe_an_index_that_lists_nothing(rig: Rig, pypi: FakePyPI, with_xmlrpc: bool) -> None:
    pypi.add_file("foo", "1.0")
    list_nothing(pypi, 60_000, with_xmlrpc=with_xmlrpc)
    result = rig.call("mirror")
    assert result.returncode == 4
    assert "upstream lists no projects, although its journal is at serial" in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].endswith("bandersnatch mirror --allow-removals")
    assert not (rig.directory / "state").exists()
    pypi.clear_faults()
    assert rig.call("mirror").returncode == 0
    rig.assert_matches()
    assert (rig.web / "simple/foo/index.html").exists()


def test_first_run_takes_an_index_that_lists_nothing_where_the_operator_says_so(rig: Rig, pypi: FakePyPI) -> None:
    list_nothing(pypi, 500, with_xmlrpc=False)
    assert rig.call("mirror", "--allow-removals").returncode == 0
    assert rig.call("mirror").returncode == 0, "which is not asked again"


def test_first_run_takes_an_index_that_lists_nothing_where_its_journal_is_empty_too(rig: Rig, pypi: FakePyPI) -> None:
    for api_method in ("auto", "simple"):
        assert rig.call("mirror", api_method=api_method).returncode == 0


@pytest.mark.parametrize("is_any_held", [True, False])
def test_work_that_is_left_is_not_lost_to_an_index_that_lists_nothing(
    rig: Rig, pypi: FakePyPI, is_any_held: bool
) -> None:
    rig.options["api-method"] = "simple"
    pypi.add_file("foo", "1.0")
    if is_any_held:
        pypi.add_file("held", "1.0")
    pypi.fault("/simple/foo/", Status(403), times=None)
    assert [failure.project for failure in rig.run().failures] == ["foo"]
    pypi.clear_faults()
    pypi.fault("/simple/foo/", Status(404), times=None)
    list_nothing(pypi, pypi.serial, with_xmlrpc=False)
    assert rig.call("mirror").returncode == (1 if is_any_held else 4)
    pypi.clear_faults()
    assert rig.run().failures == []
    rig.assert_matches()
