"""bandersnatch 8.0 and this client select the same files; for filters that do not, see `test_filters_that_differ`."""

import re
import subprocess
from pathlib import Path

import pytest

from bandersnatch.inifile.readers import read_size
from tests.e2e.installers import bandersnatch_command
from tests.e2e.old_clients import OldClient, OldRun, write_config
from tests.support.fakepypi import FakePyPI

pytestmark = pytest.mark.e2e

VERSION = "8.0.0"


def plugins(*names: str) -> str:
    return "[plugins]\nenabled =\n" + "".join(f"    {name}\n" for name in names)


ALLOW = "[allowlist]\npackages =\n    alpha>=1.1\n    Beta  # a comment\n    django==4.0\n"
BLOCK = "[blocklist]\npackages =\n    alpha\n    beta==1.0\n    django>=4\n"
LATEST = "[latest_release]\nkeep = 1\n"
REQUIREMENTS = "[allowlist]\nrequirements_path = {folder}\nrequirements =\n    *.txt\n"
PYTHONS = "[version_range_release_file_metadata]\nrelease_file.requires_python =\n    3.9\n    2.7\n"

SAME = {
    "no filters": "",
    "allowlist_project": plugins("allowlist_project") + ALLOW,
    "blocklist_project": plugins("blocklist_project") + BLOCK,
    "both lists of projects": plugins("allowlist_project", "blocklist_project") + ALLOW + BLOCK,
    "regex_project": plugins("regex_project") + "[filter_regex]\npackages =\n    .+-nightly$\n    A\n",
    "regex_project and case": plugins("regex_project") + "[filter_regex]\npackages = alpha\n",
    "project_requirements": plugins("project_requirements") + REQUIREMENTS,
    "project_requirements and allowlist_project": plugins("project_requirements", "allowlist_project")
    + REQUIREMENTS
    + "packages =\n    beta\n    gamma-nightly\n",
    "project_requirements_pinned": plugins("project_requirements", "project_requirements_pinned") + REQUIREMENTS,
    "pinned and others": plugins("project_requirements", "project_requirements_pinned", "regex_release")
    + REQUIREMENTS
    + "[filter_regex]\nreleases = 1\n",
    "allowlist_release": plugins("allowlist_release") + ALLOW,
    "allowlist_release and allowlist_project": plugins("allowlist_project", "allowlist_release") + ALLOW,
    "blocklist_release": plugins("blocklist_release") + BLOCK,
    "both lists of releases": plugins("allowlist_release", "blocklist_release") + ALLOW + BLOCK,
    "prerelease_release": plugins("prerelease_release"),
    "prerelease_release of one project": plugins("prerelease_release") + "[filter_prerelease]\npackages = beta\n",
    "regex_release": plugins("regex_release") + "[filter_regex]\nreleases =\n    .*rc\n    2\n",
    "latest_release": plugins("latest_release", "blocklist_project") + LATEST + "[blocklist]\npackages = timezone\n",
    "latest_release by time": plugins("latest_release") + LATEST + "sort_by = time\n",
    "latest_release keeps more than there are": plugins("latest_release") + "[latest_release]\nkeep = 99\n",
    "latest_release off": plugins("latest_release") + "[latest_release]\nkeep = 0\n",
    "exclude_platform windows": plugins("exclude_platform") + "[blocklist]\nplatforms = windows\n",
    "exclude_platform linux": plugins("exclude_platform") + "[blocklist]\nplatforms = linux\n",
    "exclude_platform macos": plugins("exclude_platform") + "[blocklist]\nplatforms = macos freebsd\n",
    "exclude_platform py3.9": plugins("exclude_platform") + "[blocklist]\nplatforms = py3.9\n",
    "exclude_platform single": plugins("exclude_platform")
    + "[blocklist]\nplatforms =\n    win_amd64\n    manylinux2014_x86_64\n",
    "regex_project_metadata": plugins("regex_project_metadata") + "[regex_project_metadata]\nany:info.name = [a-g]\n",
    "regex_project_metadata none": plugins("regex_project_metadata")
    + "[regex_project_metadata]\nnone:info.name = [a-g]\nnot-null:info.summary = .*\n",
    "regex_project_metadata not-null": plugins("regex_project_metadata")
    + "[regex_project_metadata]\nnot-null:info.keywords = x\n",
    "regex_project_metadata match-null": plugins("regex_project_metadata")
    + "[regex_project_metadata]\nmatch-null:info.keywords = x\n",
    "regex_release_file_metadata": plugins("regex_release_file_metadata")
    + "[regex_release_file_metadata]\nany:release_file.packagetype =\n    sdist\n",
    "version_range_release_file_metadata": plugins("version_range_release_file_metadata") + PYTHONS,
    "version_range match-null": plugins("version_range_release_file_metadata")
    + "[version_range_release_file_metadata]\nmatch-null:release_file.requires_python = 3.9\n",
    "size_project_metadata": plugins("size_project_metadata") + "[size_project_metadata]\nmax_package_size = 20K\n",
    "size_project_metadata and allowlist": plugins("size_project_metadata")
    + "[size_project_metadata]\nmax_package_size = 1\n[allowlist]\npackages = alpha\n",
    "versions_count_project_metadata": plugins("versions_count_project_metadata")
    + "[versions_count_project_metadata]\nmin_versions = 2\nmax_versions = 3\n",
    "version_range any": plugins("version_range_release_file_metadata")
    + "[version_range_release_file_metadata]\nany:release_file.requires_python = 3.9\n",
    "tags in capitals": plugins("regex_project_metadata") + "[regex_project_metadata]\nANY:info.name = [a-g]\n",
    "a comment behind a name": plugins("allowlist_project") + "[allowlist]\npackages =\n    alpha#why\n",
    "references": plugins("allowlist_project")
    + "[allowlist]\nmine =\n    alpha\n    django\npackages =\n    beta\n    %(mine)s\n",
    "what sections share": plugins("allowlist_project", "regex_project")
    + "[allowlist]\n[filter_regex]\n[DEFAULT]\nfirst = alpha\npackages =\n    %(first)s\n    beta\n",
    "a doubled percent sign": plugins("regex_project") + "[filter_regex]\npackages = [%%a]\n",
    "many": plugins("blocklist_project", "exclude_platform", "regex_release", "prerelease_release")
    + BLOCK
    + "platforms = windows\n[filter_regex]\nreleases = 2004\n",
}

REFUSED = {
    "an unknown filter": plugins("latest_releases"),
    "an unknown platform": plugins("exclude_platform") + "[blocklist]\nplatforms = windows solaris\n",
    "no number": plugins("latest_release") + "[latest_release]\nkeep = two\n",
    "no order": plugins("latest_release", "blocklist_project")
    + "[latest_release]\nkeep = 2\nsort_by = name\n[blocklist]\npackages = timezone\n",
    "no size": plugins("size_project_metadata") + "[size_project_metadata]\nmax_package_size = large\n",
    "a word that begins like a unit": plugins("size_project_metadata")
    + "[size_project_metadata]\nmax_package_size = 1 grain\n",
    "an unknown tag": plugins("regex_project_metadata") + "[regex_project_metadata]\nsome:info.name = a\n",
    "a path that leads nowhere": plugins("regex_project_metadata") + "[regex_project_metadata]\nifno.name = a\n",
    "no patterns": plugins("regex_project_metadata") + "[regex_project_metadata]\nall:info.name =\n",
    "all, and ranges": plugins("version_range_release_file_metadata")
    + "[version_range_release_file_metadata]\nall:release_file.requires_python = 3.9\n",
    "no file matches": plugins("project_requirements") + "[allowlist]\nrequirements = no-such-*.txt\n",
    "no name": plugins("prerelease_release") + "[filter_prerelease]\npackages = a b\n",
    "no time-out": "timeout = 0\n",
    "a proxy without a scheme": "proxy = localhost:9\n",
    "a part of the path twice": "root_uri = https://files.example/packages\n",
    "another digest without files": "release-files = false\ndigest_name = md5\n",
    "an unknown option": "wokers = 2\n",
}
"""What bandersnatch 8.0 takes, in one sense or none, and this client refuses; docs/moving-in.md says why."""

SIZES = (
    "0|1|42|13b|5 bytes|1 KB|1 kilobyte|1 KiB|1.5 GB|1G|1g|10 M|2TB|1P|1 petabyte|3 EiB|1Z|1Y|1 yottabytes|1.5|2.5b|1.25k|"
    "2 mebibytes|7kibi|7 kilo|1  G"
)


@pytest.fixture(scope="module")
def client(old_clients: dict[str, OldClient]) -> OldClient:
    return old_clients[VERSION]


def fill(pypi: FakePyPI) -> None:
    for version in ("1.0", "1.1", "2.0"):
        pypi.add_file("Alpha", version, kind="sdist")
        for tag, platform in (
            ("py3", "any"),
            ("cp39", "win_amd64"),
            ("cp39", "manylinux2014_x86_64"),
            ("cp310", "macosx_11_0_arm64"),
        ):
            pypi.add_file("Alpha", version, python_tag=tag, platform_tag=platform)
    for version in ("0.9", "1.0rc1", "1.0"):
        pypi.add_file("beta", version, python_tag="py2.py3")
    for version in ("1.0", "1.1", "1.2", "2.0a1", "2.0a2"):
        pypi.add_file("gamma-nightly", version)
    pypi.add_file("Django", "1.11", python_tag="py2.py3", requires_python=">=2.7")
    pypi.add_file("Django", "3.2", requires_python=">=3.6", size=10_000)
    pypi.add_file("Django", "4.0", requires_python=">=3.10", size=10_000)
    for version in ("2004d", "2005k"):
        pypi.add_file("timezone", version, kind="sdist")
    pypi.add_file("timezone", "2024.1", kind="sdist")


def selected(directory: Path) -> dict[str, set[str]]:
    """Return the files on the page of each project; those on disk must be the same."""
    pages = {
        page.parent.name: set(re.findall(r">([^<]+)</a>", page.read_text()))
        for page in (directory / "web" / "simple").glob("*/index.html")
    }
    on_disk = {p.name for p in (directory / "web/packages").rglob("*") if p.is_file() and p.suffix != ".metadata"}
    assert on_disk == set().union(*pages.values())
    return pages


def run_both(client: OldClient, pypi: FakePyPI, tmp_path: Path, sections: str) -> tuple[OldRun, OldRun]:
    (tmp_path / "requirements.txt").write_text("alpha<2\nbeta==1.0rc1  # why\ndjango\n")
    sections = sections.replace("{folder}", str(tmp_path))
    old = client.run(write_config(tmp_path / "old", pypi.url, sections))
    command = [*bandersnatch_command(), "-c", str(write_config(tmp_path / "new", pypi.url, sections)), "mirror"]
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return old, OldRun(finished.returncode, finished.stderr)


@pytest.mark.parametrize("name", SAME)
def test_both_clients_select_the_same_files(pypi: FakePyPI, tmp_path: Path, client: OldClient, name: str) -> None:
    fill(pypi)
    old, new = run_both(client, pypi, tmp_path, SAME[name])
    assert (old.status, new.status) == (0, 0), new.log
    assert (tmp_path / "old/mirror/status").exists(), old.log
    assert selected(tmp_path / "new/mirror") == selected(tmp_path / "old/mirror")


@pytest.mark.parametrize("name", REFUSED)
def test_what_only_the_other_client_takes_is_an_error_with_its_line(
    pypi: FakePyPI, tmp_path: Path, client: OldClient, name: str
) -> None:
    fill(pypi)
    old, new = run_both(client, pypi, tmp_path, REFUSED[name])
    assert (old.status, new.status) == (0, 2), old.log + new.log
    assert (tmp_path / "old/mirror/status").exists(), old.log
    assert re.fullmatch(r".* ERROR: .*bandersnatch\.conf: line \d+: \[\w+\] .*\n", new.log), new.log


def test_sizes_are_what_they_were(client: OldClient) -> None:
    code = "import sys; from humanfriendly import parse_size\nfor size in sys.argv[1:]: print(parse_size(size, binary=True))"
    command = [str(client.command.with_name("python")), "-c", code, *SIZES.split("|")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert [str(read_size(size)) for size in SIZES.split("|")] == told
