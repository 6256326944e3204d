"""Two projects of an index that links to several hosts may claim one place below ``packages/`` for different files."""

from hashlib import sha256

import pytest

from bandersnatch.errors import PathConflictError
from tests.support.fakepypi import Edit, FakePyPI, Status
from tests.support.rig import Rig

NAME = "foo-1.0-py3-none-any.whl"
SHARED = f"/packages/shared/{NAME}"
OURS, THEIRS = b"x" * 100, b"y" * 100
in_both_orders = pytest.mark.parametrize(("first", "second"), [("foo", "bar"), ("bar", "foo")])


def link_elsewhere(pypi: FakePyPI, other: FakePyPI, project: str, content: bytes, *, alone: bool = False) -> None:
    """Let a project's page list a file of another host, whose place is that of a file on the index's own."""
    other.fault(SHARED, Status(200, body=content), times=None)
    hashes = {"sha256": sha256(content).hexdigest()}
    file = {"filename": NAME, "url": other.url + SHARED, "hashes": hashes, "size": len(content)}
    add = Edit(lambda page: page | {"files": [*([] if alone else page["files"]), file]})
    pypi.fault(f"/simple/{project}/", add, times=None)


@in_both_orders
def test_a_file_whose_place_is_taken_is_left_out_of_its_project(
    rig: Rig, pypi: FakePyPI, first: str, second: str, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file(first, "1.0", path=SHARED, filename=NAME, content=OURS, core_metadata=False)
    rig.run()
    pypi.add_file(second, "2.0", kind="sdist")
    with FakePyPI() as other:
        link_elsewhere(pypi, other, second, THEIRS)
        assert rig.run().failures == []
        assert other.file_requests() == []
    told = [message for message in caplog.messages if SHARED in message]
    assert len(told) == 1
    assert f"{second}: web{SHARED}: {first} has another file there, so {other.url}{SHARED} can't be kept" in told[0]
    rig.assert_matches()


@in_both_orders
def test_a_project_with_no_other_file_fails(rig: Rig, pypi: FakePyPI, first: str, second: str) -> None:
    pypi.add_file(first, "1.0", path=SHARED, filename=NAME, content=OURS, core_metadata=False)
    rig.run()
    pypi.add_file(second, "2.0", kind="sdist")
    with FakePyPI() as other:
        link_elsewhere(pypi, other, second, THEIRS, alone=True)
        [failure] = rig.run().failures
    assert isinstance(failure.error, PathConflictError)
    assert (rig.web / SHARED[1:]).read_bytes() == OURS


@in_both_orders
def test_two_projects_may_list_one_file(rig: Rig, pypi: FakePyPI, first: str, second: str) -> None:
    pypi.add_file(first, "1.0", path=SHARED, filename=NAME, content=OURS, core_metadata=False)
    rig.run()
    pypi.add_file(second, "2.0", kind="sdist")
    with FakePyPI() as other:
        link_elsewhere(pypi, other, second, OURS)
        assert rig.run().failures == []
    assert NAME in (rig.web / f"simple/{second}/index.html").read_text()
