"""8. Gaps and lies in the changelog, and garbage in our own records."""

from pathlib import Path

import pytest

from bandersnatch.errors import EndlessJournalError, SerialMovedBackError
from bandersnatch.upstream import changelog
from tests.support.fakepypi import Body, Call, FakePyPI
from tests.support.rig import Rig

ROW = "<value><array><data>{}</data></array></value>"
ANSWER = (
    "<methodResponse><params><param><value><array><data>{}</data></array></value></param></params></methodResponse>"
)


def answer(*rows: str) -> Body:
    return Body(ANSWER.format("".join(ROW.format(row) for row in rows)).encode())


def test_serials_with_gaps(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(5):
        pypi.skip_serials(100)
        pypi.add_file(f"project-{number}", "1.0")
        assert rig.run().failures == []
    rig.assert_matches()


def test_state_from_the_future_is_one_clear_error(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    before = rig.tree()
    (rig.directory / "state").write_text("999999\n")
    with pytest.raises(SerialMovedBackError, match="this mirror is at 999999 already"):
        rig.run()
    assert rig.tree() == before
    result = rig.call("mirror")
    assert result.returncode == 4
    assert "delete the files state and todo" in result.stderr
    rig.resync()
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("<value><string>foo</string></value>", id="short"),
        pytest.param("<value><nil/></value>" * 5, id="no serial"),
        pytest.param("<value><string>x</string></value>" * 5, id="serial as text"),
        pytest.param("<value><int>1</int></value>" * 4 + "<value><int>99999</int></value>", id="numbers"),
        pytest.param("<value><nil/></value>" * 4 + "<value><int>1</int></value>", id="older than asked for"),
        pytest.param("<value><nil/></value>" * 4 + "<value><boolean>1</boolean></value>", id="boolean"),
    ],
)
def test_malformed_rows_are_not_believed(rig: Rig, pypi: FakePyPI, row: str) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    pypi.add_file("foo", "1.1")
    pypi.fault("rpc:changelog_since_serial", answer(row), times=None)
    assert rig.run().failures == []  # by the root index
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


@pytest.mark.parametrize("data", [b"", b"\x00", b"12x", b"-5", b"9" * 40, b"\xff\xfe", b"None\n"])
@pytest.mark.parametrize("name", ["state", "todo", "status"])
def test_garbage_in_the_state_files_only_costs_checks(rig: Rig, pypi: FakePyPI, name: str, data: bytes) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    (rig.directory / name).write_bytes(data)
    pypi.clear_requests()
    assert rig.run().failures == []
    assert pypi.file_requests() == []
    rig.assert_matches()


@pytest.mark.parametrize("data", [b"", b"garbage" * 1000, b"SQLite format 3\x00" + b"\x00" * 5000])
def test_garbage_in_the_inventory_is_rebuilt_and_deletes_nothing(rig: Rig, pypi: FakePyPI, data: bytes) -> None:
    pypi.add_file("Foo.Bar", "1.0")
    pypi.add_file("baz", "1.0")
    rig.run()
    (rig.directory / "inventory.sqlite").write_bytes(data)
    pypi.add_file("baz", "1.1")
    pypi.clear_requests()
    assert rig.run().failures == []
    assert len(pypi.file_requests()) == 1
    rig.assert_matches()


def test_a_changelog_that_grows_as_fast_as_it_is_read_leaves_the_state_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changelog, "MAX_ANSWERS", 5)
    with FakePyPI(changelog_limit=1000) as pypi:
        rig = Rig(pypi, tmp_path)
        rig.options["api-method"] = "xmlrpc"
        pypi.add_file("foo", "1.0")
        rig.run()
        before = rig.tree()
        grow = Call(lambda: [pypi.write_journal("foo", None, "add Owner alice") for _ in range(1000)])
        pypi.fault("rpc:changelog_since_serial", grow, times=20)
        with pytest.raises(EndlessJournalError, match="mirror --force-check"):
            rig.run()
        assert (rig.tree(), (rig.directory / "state").read_text()) == (before, "4\n")
        assert pypi.rpc_calls().count("changelog_since_serial") < 10
        rig.options["api-method"] = "auto"
        assert rig.run().failures == []  # by the root index
        rig.assert_matches()
