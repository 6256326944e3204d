"""Each option of the configuration shows on disk."""

import base64
import hashlib
import json

import pytest

from bandersnatch.errors import UpstreamError
from tests.support.fakepypi import FakePyPI, Status
from tests.support.mirror_check import assert_mirror_matches
from tests.support.rig import Rig

pytestmark = pytest.mark.usefixtures("in_processes_or_not")


def test_html_only(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(simple_format="html")
    assert_mirror_matches(pypi, rig.directory, formats={"html", "v1_html"})


def test_json_only(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(simple_format="JSON")
    assert_mirror_matches(pypi, rig.directory, formats={"v1_json"})


def test_html_only_mirror_follows_removals(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("foo", "2.0")
    pypi.add_file("bar", "1.0")
    rig.run(simple_format="html")
    pypi.remove_release("foo", "1.0")
    pypi.remove_project("bar")
    rig.run(simple_format="html")
    assert_mirror_matches(pypi, rig.directory, formats={"html", "v1_html"})


@pytest.mark.parametrize(("first", "second"), [("ALL", "JSON"), ("JSON", "HTML"), ("HTML", "ALL")])
def test_switching_the_format_takes_effect_in_the_next_run(rig: Rig, pypi: FakePyPI, first: str, second: str) -> None:
    formats = {"ALL": {"html", "v1_html", "v1_json"}, "HTML": {"html", "v1_html"}, "JSON": {"v1_json"}}
    pypi.add_file("foo", "1.0")
    rig.run(simple_format=first)
    pypi.clear_requests()
    rig.run(simple_format=second)
    assert pypi.file_requests() == []
    assert_mirror_matches(pypi, rig.directory, formats=formats[second])


def test_hash_index_puts_pages_below_their_first_letter(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("f", "1.0")
    rig.run(hash_index="true")
    pages = {path for path in rig.tree() if path.startswith("simple/") and path.count("/") > 1}
    assert {path.rpartition("/")[0] for path in pages} == {"simple/f/foo", "simple/f/f"}
    page = json.loads(rig.tree()["simple/f/foo/index.v1_json"])
    assert page["files"][0]["url"].startswith("../../packages/")  # the client's URL is /simple/foo/ all the same


@pytest.mark.parametrize(("before", "after"), [("false", "true"), ("true", "false")])
def test_switching_hash_index_moves_the_pages(rig: Rig, pypi: FakePyPI, before: str, after: str) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("f", "1.0")
    rig.run(hash_index=before)
    pypi.remove_project("f")
    rig.run(hash_index=after)
    pypi.add_file("foo", "1.1")
    rig.run(hash_index="false")
    rig.assert_matches()


def test_root_uri_is_the_prefix_of_file_links(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    rig.run(root_uri="https://files.example.org/pypi/")
    page = json.loads(rig.tree()["simple/foo/index.v1_json"])
    assert page["files"][0]["url"] == f"https://files.example.org/pypi{file.url_path}"
    assert f'href="https://files.example.org/pypi{file.url_path}#'.encode() in rig.tree()["simple/foo/index.html"]


@pytest.mark.parametrize("name", ["md5", "sha384", "sha512"])
def test_links_carry_the_configured_digest(rig: Rig, pypi: FakePyPI, name: str) -> None:
    file = pypi.add_file("foo", "1.0")
    hasher = hashlib.new(name, file.content)
    rig.run(digest_name=name)
    page = json.loads(rig.tree()["simple/foo/index.v1_json"])
    assert page["files"][0]["hashes"] == {"sha256": file.sha256, name: hasher.hexdigest()}
    assert f"#{name}={hasher.hexdigest()}".encode() in rig.tree()["simple/foo/index.html"]


def test_configured_digest_of_kept_files_is_taken_from_the_old_page(rig: Rig, pypi: FakePyPI) -> None:
    old = pypi.add_file("foo", "1.0")
    rig.run(digest_name="md5")
    stored = rig.web / old.url_path.lstrip("/")
    mtime = stored.stat().st_mtime
    stored.write_bytes(bytes(old.size))  # were it read again, its digest would be another one
    import os

    os.utime(stored, (mtime, mtime))
    pypi.add_file("foo", "1.1")
    rig.run(digest_name="md5")
    page = json.loads(rig.tree()["simple/foo/index.v1_json"])
    assert page["files"][0]["hashes"]["md5"] == old.md5


def test_without_release_files_pages_link_to_upstream(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    rig.run(release_files="false")
    assert pypi.file_requests() == []
    page = json.loads(rig.tree()["simple/foo/index.v1_json"])
    assert page["files"][0]["url"] == pypi.url + file.url_path
    assert not (rig.web / "packages").exists()


def test_release_files_can_be_switched_on_later_and_off_again(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(release_files="false")
    rig.run()
    rig.assert_matches()
    rig.run(release_files="false")
    assert not any((rig.web / "packages").rglob("*.whl*"))


def test_without_core_metadata_none_is_kept_nor_advertised(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run(core_metadata="false")
    assert_mirror_matches(pypi, rig.directory, core_metadata=False)
    rig.run(core_metadata="true")
    assert len(pypi.file_requests()) == 1
    rig.assert_matches()
    rig.run(core_metadata="false")
    assert_mirror_matches(pypi, rig.directory, core_metadata=False)


def test_legacy_json_is_kept_in_both_places(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("Foo.Bar", "1.0")
    pypi.create_project("empty")
    rig.run(json="true")
    tree = rig.tree()
    assert json.loads(tree["json/foo-bar"])["info"]["name"] == "Foo.Bar"
    assert tree["json/foo-bar"] == tree["pypi/foo-bar/json"]
    assert "json/empty" not in tree


def test_legacy_json_is_asked_for_only_where_it_is_wanted(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    assert pypi.requests_for("/pypi/foo") == []
    rig.run(json="true")
    assert len(pypi.requests_for("/pypi/foo")) == 1
    assert "json/foo" in rig.tree()
    rig.run(json="false")
    assert not [path for path in rig.tree() if path.startswith(("json/", "pypi/"))]


def test_legacy_json_goes_with_its_project_and_with_quarantine(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("gone", "1.0")
    pypi.add_file("suspect", "1.0")
    rig.run(json="true")
    pypi.remove_project("gone")
    pypi.quarantine_project("suspect")
    rig.run(json="true")
    assert not [path for path in rig.tree() if path.startswith(("json/", "pypi/"))]


def test_stop_on_error_begins_no_further_project(rig: Rig, pypi: FakePyPI) -> None:
    bad = pypi.add_file("bad", "1.0")
    pypi.fault(bad.url_path, Status(404), times=None)
    for number in range(40):
        pypi.add_file(f"project-{number}", "1.0")
    report = rig.run(stop_on_error="true", workers="1")
    assert len(report.failures) == 1
    assert len(pypi.page_requests()) < 30
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()


def test_proxy_is_used_unless_no_proxy_names_the_host(
    rig: Rig, pypi: FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    pypi.add_file("foo", "1.0")
    with pytest.raises(UpstreamError, match="refused"):
        rig.run(proxy="http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    rig.run(proxy="http://127.0.0.1:9")
    rig.assert_matches()


def test_credentials_of_the_index_go_to_it_and_nowhere_else(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("foo", "1.0", metadata_in_wheel=False)
    caplog.set_level("DEBUG", logger="bandersnatch")
    rig.run(master=pypi.url.replace("//", "//user:se%63ret@"))
    expected = "Basic " + base64.b64encode(b"user:secret").decode()
    assert {request.headers["Authorization"] for request in pypi.requests} == {expected}
    assert "se%63ret" not in caplog.text
    assert "secret" not in caplog.text
    rig.assert_matches()


@pytest.mark.without_processes("one request in flight is not shared")
@pytest.mark.parametrize("others", [0, 40], ids=["alone", "others"])
def test_stop_on_error_says_so_where_projects_are_left_out(
    rig: Rig, pypi: FakePyPI, others: int, caplog: pytest.LogCaptureFixture
) -> None:
    bad = pypi.add_file("bad", "1.0")
    pypi.fault(bad.url_path, Status(404), times=None)
    for number in range(others):
        pypi.add_file(f"project-{number}", "1.0")
    report = rig.run(stop_on_error="true", workers="1")
    assert [failure.project for failure in report.failures] == ["bad"]
    assert ("not all projects were worked on, since stop-on-error is true" in caplog.messages) == (others > 0)
