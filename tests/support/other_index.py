"""What the tests of indexes that are not PyPI share."""

import pytest

from tests.support.rig import Rig
from tests.support.static_index import HTML, Answer, Form, StaticIndex

ALLOWLIST = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n  foo\n  bar\n  baz\n  new\n"
"""Filters for an index without a list of its projects."""
OWN = pytest.mark.parametrize("index", [Form(), Form(root=HTML, pages=HTML)], ids=["JSON", "HTML"], indirect=True)
"""Two forms of an index without serials: the mirror has serials of its own."""
LOGIN = Answer(200, b"<!DOCTYPE html><html><body><a href='/help/'>Help</a><form action='/login'></form></body></html>")


def mirror_it(rig: Rig, index: StaticIndex) -> None:
    """Run the mirror, and assert that it has what the index has."""
    assert rig.run(max_removals="50%").failures == []
    index.assert_held(rig.directory)


def state(rig: Rig) -> int:
    """Return the serial that the mirror has reached."""
    return int((rig.directory / "state").read_text())
