"""A mirror that another bandersnatch has written is taken over, with the configuration file that wrote it."""

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import run_bandersnatch
from tests.e2e.old_clients import VERSIONS, OldClient, write_config
from tests.support.fakepypi import FakePyPI, Status
from tests.support.mirror_check import KeepsFile, assert_mirror_matches

pytestmark = pytest.mark.e2e

CONFIGURATIONS: dict[str, str] = {
    "plain": "",
    "json": "json = true\n",
    "stat": "compare-method = stat\nworkers = 10\nverifiers = 10\n",
    "hash": "compare-method = hash\ncleanup = true\n",
    "html": "simple-format = HTML\n",
    "json-pages": "simple-format = JSON\n",
    "hash-index": "hash-index = true\n",
    "versions": "keep_index_versions = 2\n",
    "root-uri": "root_uri = https://files.example.org\n",
    "pages-only": "release-files = false\n",
    "busy": "timeout = 20\nglobal-timeout = 18000\nstop-on-error = true\nproxy =\ndiff-file = {{mirror_directory}}/changes\n"
            "storage-backend = filesystem\nlog-config =\ndownload-mirror =\ndownload-mirror-no-fallback = false\n",
}  # fmt: skip
BY_ITS_OWN_LAYOUT = {"hash-index", "versions", "root-uri", "pages-only"}
"""With these a mirror is not where, or not what, the common check expects it; it is compared with a fresh one only."""
IGNORED = ("web/last-modified", "web/changes")
"""The one has a time in it, the other the name of a journal, which each mirror has of its own."""
NOT_COMPARED = {"web/packages"}
"""Where there are no files the old clients make an empty one."""
FILTERED: dict[str, tuple[str, set[str] | None, KeepsFile]] = {
    "allowlist_project": (
        "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n    Foo.Bar\n    django>=4\n",
        {"foo-bar", "django"},
        lambda file: True,
    ),
    "latest_release": (
        "[plugins]\nenabled = latest_release\n[latest_release]\nkeep = 1\n",
        None,
        lambda file: file.version != "3.2" and not file.filename.startswith("foo_bar-1.0"),
    ),
    "platforms and pre-releases": (
        "[plugins]\nenabled =\n    exclude_platform\n    prerelease_release\n[blocklist]\nplatforms = windows\n",
        None,
        lambda file: "win_amd64" not in file.filename and "rc" not in file.version,
    ),
    "size_project_metadata": (
        "json = true\n[plugins]\nenabled = size_project_metadata\n[size_project_metadata]\nmax_package_size = 20K\n",
        {"foo-bar", "zope-interface", "django", "doomed"},
        lambda file: True,
    ),
    "regex_project_metadata": (
        "[plugins]\nenabled = regex_project_metadata\n[regex_project_metadata]\nany:info.version =\n    4\\.\n    0\\.\n",
        {"django", "f"},
        lambda file: True,
    ),
}
"""Configurations with filters, the projects that they keep (None: all), and the files that they keep of those."""
FORMATS = {"html": {"html", "v1_html"}, "json-pages": {"v1_json"}}


def tell_story(pypi: FakePyPI) -> None:
    """Tell of projects whose names are not normalized, of yanks, removals, sdists, and of metadata with a hash."""
    pypi.add_file("Foo.Bar", "1.0")
    pypi.add_file("Foo.Bar", "1.0", kind="sdist")
    pypi.add_file("Foo.Bar", "2.0rc1", requires_python=">=3.9")
    pypi.add_file("zope_interface", "5.0")
    pypi.yank("Foo.Bar", "1.0", "broken & <bad>")
    pypi.add_file("Django", "3.2")
    pypi.add_file("Django", "4.2")
    pypi.add_file("Django", "4.2", python_tag="cp39", platform_tag="win_amd64")
    pypi.add_file("doomed", "1.0")
    pypi.add_file("f", "0.1", kind="sdist", core_metadata=False, size=50_000)


def tree(directory: Path) -> dict[str, bytes | str]:
    """Return what is below `web/`, but for the time of the run and the times in the names of versions."""
    found: dict[str, bytes | str] = {}
    for path in (directory / "web").rglob("*"):
        name = path.relative_to(directory).as_posix()
        if (
            path.name == "versions"
            or path.parent.name == "versions"
            or name.startswith(IGNORED)
            or name in NOT_COMPARED
        ):
            continue
        if path.is_symlink() and os.readlink(path).startswith("versions/index_"):
            found[name] = b"a version: " + path.read_bytes()
        elif path.is_symlink():
            found[name] = f"a link to {os.readlink(path)}"
        else:
            found[name] = path.read_bytes() if path.is_file() else "a folder"
    return found


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_our_first_run_downloads_nothing_again(
    pypi: FakePyPI, tmp_path: Path, old_clients: dict[str, OldClient], version: str, configuration: str
) -> None:
    tell_story(pypi)
    sections = CONFIGURATIONS[configuration]
    directory = old_clients[version].mirror(tmp_path / "old", pypi.url, sections)
    pypi.clear_requests()
    log = run_bandersnatch(tmp_path / "old" / "bandersnatch.conf")
    assert "it is taken over" in log
    assert pypi.file_requests() == []
    assert pypi.metadata_requests() == []
    if configuration not in BY_ITS_OWN_LAYOUT:
        assert_mirror_matches(pypi, directory, formats=FORMATS.get(configuration, {"html", "v1_html", "v1_json"}))
    run_bandersnatch(write_config(tmp_path / "fresh", pypi.url, sections))
    assert tree(directory) == tree(tmp_path / "fresh" / "mirror")
    assert not (directory / "generation").exists()


@pytest.mark.parametrize("configuration", FILTERED)
@pytest.mark.parametrize("version", VERSIONS)
def test_our_first_run_downloads_nothing_again_with_filters(
    pypi: FakePyPI, tmp_path: Path, old_clients: dict[str, OldClient], version: str, configuration: str
) -> None:
    tell_story(pypi)
    sections, projects, keeps_file = FILTERED[configuration]
    directory = old_clients[version].mirror(tmp_path / "old", pypi.url, sections)
    pypi.clear_requests()
    log = run_bandersnatch(tmp_path / "old" / "bandersnatch.conf")
    assert "it is taken over" in log
    assert pypi.file_requests() == []
    assert pypi.metadata_requests() == []
    assert_mirror_matches(pypi, directory, projects=projects, keeps_file=keeps_file)
    run_bandersnatch(write_config(tmp_path / "fresh", pypi.url, sections))
    assert tree(directory) == tree(tmp_path / "fresh" / "mirror")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_changed_meanwhile_is_all_that_is_fetched(
    pypi: FakePyPI, tmp_path: Path, old_clients: dict[str, OldClient], version: str
) -> None:
    tell_story(pypi)
    directory = old_clients[version].mirror(tmp_path, pypi.url)
    new = pypi.add_file("Django", "5.0")
    pypi.remove_project("doomed")
    pypi.remove_release("Foo.Bar", "2.0rc1")
    pypi.clear_requests()
    run_bandersnatch(tmp_path / "bandersnatch.conf")
    assert [request.path for request in pypi.file_requests()] == [new.url_path]
    assert_mirror_matches(pypi, directory)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_old_client_never_finished_is_finished(
    pypi: FakePyPI, tmp_path: Path, old_clients: dict[str, OldClient], version: str
) -> None:
    """One project fails for ever, so that the old client leaves its todo list and no status."""
    tell_story(pypi)
    bad = pypi.add_file("unlucky", "1.0")
    pypi.fault(bad.url_path, Status(503), times=None)
    config = write_config(tmp_path, pypi.url)
    old_clients[version].run(config)
    assert (tmp_path / "mirror" / "todo").exists()
    pypi.clear_faults()
    pypi.clear_requests()
    run_bandersnatch(config)
    assert {request.path for request in pypi.file_requests()} == {bad.url_path}
    assert_mirror_matches(pypi, tmp_path / "mirror")


def test_there_is_a_way_back(pypi: FakePyPI, tmp_path: Path, old_clients: dict[str, OldClient]) -> None:
    tell_story(pypi)
    config = write_config(tmp_path, pypi.url)
    run_bandersnatch(config)
    directory = tmp_path / "mirror"
    (directory / "status").write_text((directory / "state").read_text().strip())
    (directory / "generation").write_text("5")
    new = pypi.add_file("zope_interface", "6.0")
    pypi.clear_requests()
    old_clients["8.0.0"].run(config)
    assert [request.path for request in pypi.file_requests()] == [new.url_path]


def test_naming_projects_leaves_a_todo_list_of_none(
    pypi: FakePyPI, tmp_path: Path, old_clients: dict[str, OldClient]
) -> None:
    tell_story(pypi)
    config = write_config(tmp_path, pypi.url)
    old_clients["8.0.0"].run(config, "sync", "Foo.Bar")
    assert (tmp_path / "mirror" / "web" / "simple" / "foo-bar").is_dir()
    pypi.clear_requests()
    run_bandersnatch(config)
    assert not [request.path for request in pypi.file_requests() if "foo_bar" in request.path.lower()]
    assert_mirror_matches(pypi, tmp_path / "mirror")
