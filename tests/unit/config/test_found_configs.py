"""Configurations as they are found in the wild, of all eras: what is said of them, and what they select.

The files are in ``tests/configs``; their names begin with the version of bandersnatch that they were written for.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from msgspec import Struct

from bandersnatch.config.config import Config
from bandersnatch.operations.mirror import Mirror
from bandersnatch.plan.removals import RemovalPolicy
from tests.support.command_line import call
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

FOLDER = Path(__file__).parents[2] / "configs"
DIRECTORY, MASTER = "/srv/pypi", "https://pypi.org"
REQUIREMENTS = {"requirements.txt": "six==1.15.0\n", "requirements-dev.txt": "# tests\nrequests>=2.30  # all of them\n"}

WORLD = (
    "six-1.15.0.tar.gz",
    "six-1.16.0.tar.gz",
    "six-1.16.0-py2.py3-none-any.whl",
    "Django-1.11-py2.py3-none-any.whl",
    "Django-3.2-py3-none-any.whl",
    "Django-4.2-py3-none-any.whl",
    "Django-5.0a1-py3-none-any.whl",
    "numpy-1.24.0-cp311-cp311-manylinux_2_17_x86_64.whl",
    "numpy-1.24.0-cp311-cp311-win_amd64.whl",
    "numpy-1.24.0-cp311-cp311-macosx_11_0_arm64.whl",
    "numpy-1.24.0.tar.gz",
    "numpy-2.0.0rc1.tar.gz",
    "requests-2.31.0-py3-none-any.whl",
    "requests-2.20.0-py3-none-any.whl",
    "tf_nightly-2.16.0.dev20240101-py3-none-any.whl",
    "example1-1.0.tar.gz",
    "example2-1.4.tar.gz",
    "example2-1.9.tar.gz",
    "Foo.Bar-0.1.tar.gz",
)
"""The files of the index, in the order of their uploads; Django 4.2 is the only large one."""


class Case(Struct, frozen=True):
    """What one configuration comes to: the problems, or what is told beside them, and the files of the mirror.

    Each line that is told has the text of its case in it, in their order.
    """

    errors: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ("*",)
    drops: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """The exit status of ``bandersnatch config check``."""
        return 2 if self.errors else 0

    def selects(self) -> set[str]:
        """Return the files of the index that the mirror has."""
        return {file for file in WORLD if _is_any(file, self.keeps) and not _is_any(file, self.drops)}


def _is_any(file: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(file, pattern) for pattern in patterns)


def old(section: str, *names: str) -> str:
    """Return what is told of filters that are enabled as up to version 4."""
    return f'[{section}] plugins: applied as versions up to 4 did; write it as [plugins] "enabled = {", ".join(names)}"'


def renamed(old_name: str, name: str) -> str:
    return f"{old_name}: it is now called {name}"


BLACKLIST = renamed("[blacklist]", "[blocklist]")
WHITELIST = renamed("[whitelist]", "[allowlist]")
BY_ITSELF = "versions 2.1 to 3.1 applied it, newer ones only what [plugins] enables: to apply it, write"
IDLE = "without effect, since no filter that reads it is enabled; to apply it, write"
BLOCKED = ("example1-*", "example2-1.9*")
PRE = ("Django-5.0a1*", "numpy-2.0.0rc1*", "tf_nightly*")

CASES = {
    "1-statistics": Case(told=("[statistics]: unknown section, ignored", "[mirror] delete-packages: not needed")),
    "1-hash-index": Case(),
    "2-json": Case(),
    "2-blacklist-not-enabled": Case(
        errors=(f"line 21: [blacklist] packages: {BY_ITSELF} blocklist_project and blocklist_release",)
    ),
    "2-blacklist-all": Case(
        told=(old("blacklist", "blocklist_project", "blocklist_release", "prerelease_release"), BLACKLIST),
        drops=(*BLOCKED, *PRE),
    ),
    "2-blacklist-no-plugins": Case(
        told=(
            '[blacklist] plugins: applied as versions up to 4 did; write it as [plugins] "enabled ="',
            f"[blacklist] packages: {IDLE} blocklist_project and blocklist_release",
            BLACKLIST,
        )
    ),
    "3-blacklist-plugins": Case(
        told=(
            old("blacklist", "blocklist_project", "blocklist_release"),
            BLACKLIST,
            renamed("blacklist_project", "blocklist_project"),
            renamed("blacklist_release", "blocklist_release"),
        ),
        drops=BLOCKED,
    ),
    "3-blocklist-plugins": Case(
        told=(
            old("blocklist", "blocklist_project", "blocklist_release"),
            renamed("blacklist_project", "blocklist_project"),
            renamed("blacklist_release", "blocklist_release"),
        ),
        drops=BLOCKED,
    ),
    "3-whitelist-plugins": Case(
        told=(
            old("blacklist", "allowlist_project"),
            BLACKLIST,
            WHITELIST,
            renamed("whitelist_project", "allowlist_project"),
        ),
        keeps=("six-*", "Foo.Bar-*"),
    ),
    "3-whitelist-not-enabled": Case(errors=(f"line 21: [whitelist] packages: {BY_ITSELF} allowlist_project",)),
    "3-regex-not-enabled": Case(errors=(f"line 21: [filter_regex] releases: {BY_ITSELF} regex_release",)),
    "3-regex-plugins": Case(
        told=(old("blacklist", "regex_project", "regex_release"), BLACKLIST), drops=("tf_nightly*", "numpy-2.0.0rc1*")
    ),
    "3-platforms": Case(told=(old("blacklist", "exclude_platform"), BLACKLIST), drops=("*win_amd64*", "*macosx*")),
    "3-latest-release": Case(
        told=(old("blacklist", "latest_release"), BLACKLIST),
        keeps=(
            "six-1.16*",
            "Django-4.2*",
            "numpy-1.24*",
            "requests-2.31*",
            "tf_nightly*",
            "example1-*",
            "example2-1.9*",
            "Foo.Bar*",
        ),
    ),
    "3-filenames": Case(errors=("[blacklist] filenames: unknown option; expected packages or platforms",)),
    "4-whitelist": Case(
        told=(WHITELIST, renamed("whitelist_project", "allowlist_project")), keeps=("six-*", "Django-*"), drops=PRE
    ),
    "4-enabled-twice": Case(
        told=(BLACKLIST, "not needed, since [plugins] enabled says the same", "it is now called blocklist_project"),
        drops=("example1-*",),
    ),
    "4-enabled-twice-otherwise": Case(errors=("[blacklist] plugins: [plugins] enabled says something else",)),
    "4-both-names": Case(errors=("[whitelist] packages: [allowlist] packages says something else",)),
    "4-safety-db": Case(errors=("safety_db_release: expected the name of a filter",)),
    "4-swift": Case(errors=("[mirror] storage-backend = swift: there is no backend for Swift",)),
    "4-diff-file": Case(drops=("example1-*", "example2-*", *PRE)),
    "5-versions": Case(keeps=("six-1.16*", "Django-1.11*", "Django-3.2*", "requests-*")),
    "5-size": Case(drops=("Django-*",)),
    "5-s3": Case(errors=("[mirror] storage-backend = s3: the backend for S3 is planned, but not there yet",)),
    "6-s3-left-over": Case(told=("[s3]: not needed: the mirror is kept in the filesystem",), drops=("example1-*",)),
    "6-requirements": Case(keeps=("six-1.15.0*", "requests-2.31*")),
    "6-public-mirror": Case(
        told=("[mirror] delete-packages: not needed",),
        drops=("tf_nightly*", "numpy-2.0.0rc1*", "example1-*", "example2-*"),
    ),
    "6-public-mirror-keeps": Case(errors=("to keep what upstream removed, write deleted = keep",)),
    "6-latest-not-enabled": Case(
        told=(f"[latest_release] keep: {IDLE} latest_release to [plugins] enabled",), keeps=("Django-*", "six-*")
    ),
    "6-latest-by-time": Case(keeps=("example2-*", "six-*", "Django-4.2*", "Django-5.0a1*")),
    "7-all": Case(
        keeps=("six-1.16*", "Django-4.2*", "numpy-1.24*", "requests-2.31*", "example2-1.9*", "Foo.Bar*"),
        drops=("*win_amd64*", "*macosx*"),
    ),
    "7-section-misspelt": Case(errors=('[latest_releases]: unknown section (did you mean "latest_release"?)',)),
    "7-proxy-in-quotes": Case(errors=('[mirror] proxy = "http://192.0.2.1:8080": expected a URL',)),
    "7-manage-permissions": Case(drops=("*-cp311-*",)),
    "7-only-sdists": Case(keeps=("*.tar.gz",)),
    "8-core-metadata": Case(),
    "8-versions-count": Case(keeps=("six-*", "numpy-*", "requests-*", "example2-*")),
    "8-shared-values": Case(keeps=("six-*",)),
    "8-lists-not-enabled": Case(told=(f"[allowlist] packages: {IDLE} allowlist_project to [plugins] enabled",)),
    "8-commented-out": Case(),
    "8-empty-allowlist": Case(errors=("[allowlist] packages is empty: the mirror would have nothing, or everything",)),
    "8-commas": Case(errors=("allowlist_project, prerelease_release: expected one filter per line",)),
    "8-docker-heredoc": Case(
        errors=(
            "line 2: [mirror] directory = ${MIRROR_DIR}: expected an absolute path",
            "line 4: [mirror] workers = ${WORKERS:-3}: expected a whole number",
            "line 5: [mirror] json = ${JSON}: expected true or false",
        )
    ),
    "8-docker-comments": Case(
        errors=(
            "line 2: [mirror] directory = /srv/pypi   ; a volume: a comment must be on its own line",
            "line 4: [mirror] workers = 3   # of the machine's four cores: a comment must be on its own line",
        )
    ),
    "8-docker-http": Case(errors=("expected https://, or allow-non-https = true beside it",)),
    "5-all-about-pages": Case(),
    "5-download-mirror-only": Case(),
    "6-blocklist-release": Case(drops=("example2-1.9*", "six-1.15.0*", "numpy-2.0.0rc1*")),
    "6-index-only": Case(keeps=()),
    "6-platforms": Case(drops=("*win_amd64*", "*macosx*")),
    "7-classifiers": Case(drops=("tf_nightly*",)),
    "7-intranet": Case(),
    "7-log-config": Case(errors=("[mirror] log-config = /etc/bandersnatch-log.conf: expected the path of a logging",)),
    "7-percent-doubled": Case(drops=("tf_nightly*",)),
    "7-written-on-windows": Case(keeps=("six-*", "Django-*")),
    "8-field-misspelt": Case(
        told=('PyPI\'s metadata has no release_file.requires-python (did you mean "requires_python"?)',)
    ),
    "8-keep-below-zero": Case(errors=("line 10: [latest_release] keep: -1: expected a whole number",)),
    "8-master-with-simple": Case(errors=("expected the base URL, without /simple",)),
    "8-options-of-nobody": Case(
        errors=(
            "[mirror] flock_timeout = 5: unknown option",
            '[mirror] delete_packages = false: unknown option (did you mean "delete-packages"?)',
            "[mirror] retries = 3: unknown option",
        )
    ),
    "8-running-pythons": Case(drops=("Django-5.0a1*",)),
    "8-section-of-a-filter": Case(errors=("[blocklist_project]: unknown section; the filter blocklist_project reads",)),
    "8-sha1": Case(errors=("[mirror] digest_name = sha1: expected one of md5, sha256",)),
}
GOOD = [name for name, case in CASES.items() if not case.errors]
LATER = (pytest.mark.slow, pytest.mark.measured)


def test_every_file_has_its_case() -> None:
    assert {path.stem for path in FOLDER.glob("*.conf")} == CASES.keys()
    assert len(CASES) >= 30


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The configuration that a test writes, with requirement files beside it."""
    for name, text in REQUIREMENTS.items():
        (tmp_path / name).write_text(text)
    return tmp_path / "bandersnatch.conf"


@pytest.mark.parametrize("name", CASES)
def test_what_config_check_says(name: str, conf: Path) -> None:
    # The requirement files are where the mirror would be.
    text = text_of(name)
    conf.write_text(text.replace(f"requirements_path = {DIRECTORY}", f"requirements_path = {conf.parent}"), newline="")
    case = CASES[name]
    result = call("-c", str(conf), "config", "check")
    assert result.returncode == case.status
    assert ("no problems" in result.stdout) is (case.status == 0)
    lines = [line for line in result.stderr.splitlines() if f"{conf}: " in line]
    expected = case.errors or case.told
    assert len(lines) == len(expected), lines
    assert [part for part, line in zip(expected, lines, strict=True) if part not in line] == [], lines


@pytest.mark.parametrize("name", [pytest.param(name, marks=LATER if at % 5 else ()) for at, name in enumerate(GOOD)])
def test_what_the_run_selects(name: str, rig: Rig, pypi: FakePyPI, conf: Path) -> None:
    tell_the_world(pypi)
    # As an operator tries it out: another place, and another index.
    text = text_of(name).replace(f"requirements_path = {DIRECTORY}", f"requirements_path = {conf.parent}")
    text = text.replace(DIRECTORY, str(rig.directory))
    lines = [] if "allow-non-https" in text else ["allow-non-https = true"]
    lines += [] if re.search("^master *=", text, re.MULTILINE) else [f"master = {MASTER}"]
    text = re.sub(r"\[mirror\]\r?\n", "\n".join(["[mirror]", *lines, ""]), text, count=1)
    for url in (MASTER, "https://pypi.python.org", "https://mirrors.example.com/pypi", "http://index.example.com"):
        text = text.replace(url, pypi.url)
    conf.write_text(text, newline="")
    rig.directory.mkdir()
    config = Config.load(conf)
    with rig.resources(config) as resources:
        report = Mirror(config, resources, RemovalPolicy.of(config.removals), rig.tuning).run()
    assert report.failures == []
    packages = rig.web / "packages"
    files = {path.name for path in packages.rglob("*") if path.is_file() and path.suffix != ".metadata"}
    assert files == CASES[name].selects()


def text_of(name: str) -> str:
    """Return a file as it is, with its ends of lines."""
    return (FOLDER / f"{name}.conf").read_bytes().decode()


def tell_the_world(pypi: FakePyPI) -> None:
    for number, filename in enumerate(WORLD):
        project, version = filename.removesuffix(".tar.gz").split("-")[:2]
        pypi.add_file(
            project.replace("_", "-"),
            version,
            kind="wheel" if filename.endswith(".whl") else "sdist",
            filename=filename,
            content=b"x" * 5000 if project == "Django" and version == "4.2" else None,
            upload_time=datetime(2024, 1, 1, 0, number, tzinfo=UTC),
            requires_python=">=3.10" if version == "5.0a1" else None,
        )
