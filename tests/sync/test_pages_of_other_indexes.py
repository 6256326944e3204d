"""An index whose project pages say less than PyPI's: HTML alone, or JSON of version 1.0. Each is kept current."""

import json
from typing import Any

import pytest

from bandersnatch.errors import MalformedResponseError
from bandersnatch.logs import TOLD_ONCE
from tests.support.fakepypi import Body, Dialect, FakePyPI
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("in_processes_or_not")

DIALECTS = {
    "HTML": Dialect(is_html_only=True),
    "JSON 1.0": Dialect(api_version="1.0"),
    "JSON without a version, serials as text": Dialect(api_version=None, serials_are_text=True),
}


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    TOLD_ONCE.clear()


@pytest.fixture(params=DIALECTS)
def dialect(pypi: FakePyPI, request: pytest.FixtureRequest) -> Dialect:
    pypi.dialect = DIALECTS[request.param]
    return pypi.dialect


def run(rig: Rig) -> None:
    assert rig.run().failures == []
    rig.assert_matches()


def json_page(rig: Rig, name: str) -> dict[str, Any]:
    page: dict[str, Any] = json.loads((rig.web / f"simple/{name}/index.v1_json").read_bytes())
    return page


@pytest.mark.usefixtures("dialect")
def test_such_an_index_is_mirrored_and_kept_current(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0", requires_python=">=3.8")
    pypi.add_file("foo", "1.0+cu126", platform_tag="linux_x86_64")
    pypi.add_file("foo", "1.0", kind="sdist")
    pypi.add_file("bar", "1.0")
    run(rig)
    pypi.add_file("foo", "1.1", kind="sdist")
    pypi.yank("foo", "1.0", 'it "breaks" <all>')
    run(rig)
    pypi.remove_release("foo", "1.1")
    pypi.unyank("foo", "1.0")
    run(rig)
    pypi.remove_project("bar")
    run(rig)
    pypi.add_file("Bar", "2.0")
    run(rig)


@pytest.mark.usefixtures("dialect")
def test_a_run_without_news_asks_for_no_page_and_a_resync_fetches_no_file(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    run(rig)
    before = rig.tree()
    pypi.clear_requests()
    assert rig.run().updated == 0
    assert [request.path for request in pypi.requests if request.rpc_method is None] == []
    rig.resync()
    run(rig)
    assert pypi.file_requests() == pypi.metadata_requests() == []
    assert rig.tree() == before


@pytest.mark.usefixtures("dialect")
def test_our_pages_have_no_field_that_was_made_up(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    run(rig)
    page = json_page(rig, "foo")
    assert "versions" not in page
    assert "upload-time" not in page["files"][0]
    assert page["files"][0]["size"] == file.size  # of the file that is here
    assert page["meta"]["api-version"] == "1.0"  # PEP 700: later ones have versions


@pytest.mark.usefixtures("dialect")
def test_without_files_not_even_their_sizes_are_known(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    assert rig.run(release_files="false").failures == []
    page = json_page(rig, "foo")
    assert "size" not in page["files"][0]
    assert page["meta"]["api-version"] == "1.0"


def test_a_page_that_is_not_whole_changes_nothing(rig: Rig, pypi: FakePyPI) -> None:
    pypi.dialect = DIALECTS["HTML"]
    for number in range(3):
        pypi.add_file("foo", f"1.{number}")
    run(rig)
    before = rig.tree()
    pypi.remove_release("foo", "1.0")
    link = f'<html><body><a href="{pypi.url}{pypi.files("foo")[0].url_path}">x</a>'
    pypi.fault("/simple/foo/", Body(link.encode()), times=None)
    (failure,) = rig.run().failures
    assert str(failure.error).startswith(f"{pypi.url}/simple/foo/: the HTML page breaks off")
    assert rig.tree().items() >= {path: page for path, page in before.items() if "foo" in path}.items()
    pypi.clear_faults()
    run(rig)


def test_a_form_to_log_in_in_place_of_the_page_changes_nothing(rig: Rig, pypi: FakePyPI) -> None:
    pypi.dialect = DIALECTS["HTML"]
    pypi.add_file("foo", "1.0")
    run(rig)
    before = rig.tree()
    pypi.add_file("foo", "1.1")
    login = b"<html><title>Sign in</title><body><a href='/help'>Help</a><a href='/agent.exe'>Agent</a></body></html>"
    pypi.fault("/simple/foo/", Body(login), times=None)
    (failure,) = rig.run().failures
    assert isinstance(failure.error, MalformedResponseError)
    assert failure.error.reason == "no PEP 691 page, but text/html; charset=UTF-8"
    assert rig.tree().items() >= {path: page for path, page in before.items() if "foo" in path}.items()


def test_what_json_has_told_of_a_file_is_not_lost_with_html(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    run(rig)
    (before,) = json_page(rig, "foo")["files"]
    pypi.dialect = DIALECTS["HTML"]
    pypi.add_file("foo", "1.1")
    assert rig.run().failures == []
    first, second = json_page(rig, "foo")["files"]
    assert first == before
    assert "upload-time" not in second


def test_a_missing_version_of_the_api_is_told_once(rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    pypi.dialect = Dialect(api_version=None)
    for number in range(5):
        pypi.add_file(f"project-{number}", "1.0")
    run(rig)
    host = pypi.url.partition("//")[2]
    told = [record.getMessage() for record in caplog.records if "api-version" in record.getMessage()]
    assert told == [f"{host} sends JSON without an api-version; it is read as version 1.0"]


def test_html_of_another_type_is_taken_and_told_once(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.dialect = DIALECTS["HTML"]
    for number in range(5):
        name = f"project-{number}"
        pypi.add_file(name, "1.0")
        page = (
            f'<html><a href="{pypi.url}{pypi.files(name)[0].url_path}#sha256={pypi.files(name)[0].sha256}">x</a></html>'
        )
        pypi.fault(f"/simple/{name}/", Body(page.encode(), content_type="application/octet-stream"), times=None)
    assert rig.run().failures == []
    host = pypi.url.partition("//")[2]
    told = [record.getMessage() for record in caplog.records if "it is accepted anyway" in record.getMessage()]
    assert told == [f"{host} sends HTML as application/octet-stream; it is accepted anyway"]


def test_our_pages_say_all_that_an_html_page_says_and_nothing_else(rig: Rig, pypi: FakePyPI) -> None:
    pypi.dialect = DIALECTS["HTML"]
    full, bare = pypi.add_file("foo", "1.0"), pypi.add_file("foo", "1.1", kind="sdist")
    metadata = f"sha256={full.metadata_sha256}"
    page = f"""<HTML><HEAD><TITLE>Links for Foo</TITLE>
<META NAME="pypi:repository-version" CONTENT="1.4"><meta name="pypi:project-status" content="deprecated">
<meta name="pypi:project-status-reason" content="use &quot;bar&quot;"></HEAD><body>
<!-- <a href="foo-0.9.tar.gz#sha256={bare.sha256}">not there</a> -->
<A HREF = ../..{full.url_path}#sha256={full.sha256} data-gpg-sig=true data-requires-python="&gt;=3.8,&lt;4"
 DATA-YANKED='it is "wrong" &amp; old' data-core-metadata="{metadata}" data-dist-info-metadata=true
 data-provenance="https://p.example/x?a=1&amp;b=2">a name that was cut sho...</a><br>
<a href="{pypi.url}{bare.url_path}#sha256={bare.sha256}">{bare.filename}</a></body></html>"""
    pypi.fault("/simple/foo/", Body(page.encode()), times=None)
    assert rig.run().failures == []
    ours = json_page(rig, "foo")
    unknown = {"requires-python": None, "yanked": False, "provenance": None}
    assert ours == {
        "meta": {"api-version": "1.0", "_last-serial": pypi.serial},
        "name": "foo",
        "project-status": {"status": "deprecated", "reason": 'use "bar"'},
        "files": [
            {
                "filename": full.filename,
                "url": f"../..{full.url_path}",
                "hashes": {"sha256": full.sha256},
                "size": full.size,
                "requires-python": ">=3.8,<4",
                "yanked": 'it is "wrong" & old',
                "core-metadata": {"sha256": full.metadata_sha256},
                "data-dist-info-metadata": {"sha256": full.metadata_sha256},
                "provenance": "https://p.example/x?a=1&b=2",
            },
            {
                "filename": bare.filename,
                "url": f"../..{bare.url_path}",
                "hashes": {"sha256": bare.sha256},
                "size": bare.size,
                "core-metadata": False,
                "data-dist-info-metadata": False,
                **unknown,
            },
        ],
    }
    html = (rig.web / "simple/foo/index.html").read_text()
    assert f'<a href="../..{bare.url_path}#sha256={bare.sha256}">{bare.filename}</a>' in html
    assert 'data-requires-python="&gt;=3.8,&lt;4" data-yanked="it is &quot;wrong&quot; &amp; old"' in html
    assert f'data-dist-info-metadata="{metadata}" data-core-metadata="{metadata}"' in html
    assert "gpg-sig" not in html  # signatures are not mirrored
