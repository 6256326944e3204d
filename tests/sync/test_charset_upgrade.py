"""Pages that were written before they told their character set are not wrong, and change only as they are written."""

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

CHARSET = b'    <meta charset="utf-8">\n'


def make_old(rig: Rig) -> None:
    """Take the character set out of all HTML pages, as those of earlier versions are."""
    for path in (rig.web / "simple").rglob("index.*html"):
        page = path.read_bytes()
        assert CHARSET in page
        path.write_bytes(page.replace(CHARSET, b""))


def test_old_pages_are_no_finding_and_stay(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    make_old(rig)
    before = rig.tree()
    assert rig.call("verify").returncode == 0
    assert {path: page for path, page in rig.tree().items() if path != "simple/index.html"} == {
        path: page for path, page in before.items() if path != "simple/index.html"
    }


def test_a_page_that_is_written_tells_it_and_no_other_is_asked_for(rig: Rig, pypi: FakePyPI) -> None:
    for name in ("foo", "bar"):
        pypi.add_file(name, "1.0")
    rig.run()
    make_old(rig)
    pypi.clear_requests()
    pypi.add_file("foo", "1.1")
    rig.run()
    assert [request.path for request in pypi.page_requests()] == ["/simple/foo/"]
    assert CHARSET in (rig.web / "simple/foo/index.html").read_bytes()
    assert CHARSET in (rig.web / "simple/index.html").read_bytes()
    assert CHARSET not in (rig.web / "simple/bar/index.html").read_bytes()
    rig.assert_matches()
