"""Where bandersnatch 8.0 and this client select different files, as the table in docs/moving-in.md has it.

Each story has its own few files. What a client selects are the files on its pages.
"""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.installers import bandersnatch_command
from tests.e2e.old_clients import OldClient, write_config
from tests.support.fakepypi import FakePyPI

pytestmark = pytest.mark.e2e


def plugins(*names: str) -> str:
    return "[plugins]\nenabled =\n" + "".join(f"    {name}\n" for name in names)


@dataclass(frozen=True, slots=True)
class Says:
    """A client that ends before it has begun, and what it says about that."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """The old client never gets to a serial, though it exits with 0; this is what it selects until then."""

    files: set[str]


Outcome = set[str] | Stuck | Says


@dataclass(frozen=True, slots=True)
class Difference:
    """One configuration, what there is upstream, and what the clients select of it."""

    sections: str
    files: tuple[str, ...]
    """Files, as project, version and what follows both in the name; Requires-Python may come after that."""
    theirs: Outcome
    ours: Outcome
    requirements: dict[str, str] = field(default_factory=dict)
    """Requirement files, beside the configuration."""
    afterwards: Callable[[FakePyPI], object] = lambda pypi: None
    """What happens after the uploads."""


ONE, TWO = "one-1.0.tar.gz", "two-1.0.tar.gz"
BOTH = ("one 1.0 .tar.gz", "two 1.0 .tar.gz")
PRERELEASES = ("1.0c1", "1.0a", "1.0rc1.post1", "1.0rc1", "1.0")
LOCKED = "one==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n"


def sdists(*versions: str) -> tuple[str, ...]:
    return tuple(f"one {version} .tar.gz" for version in versions)


def named(*versions: str) -> set[str]:
    return {f"one-{version}.tar.gz" for version in versions}


def excluding(platforms: str, theirs: Outcome, ours: Outcome) -> Difference:
    """Return a difference about three kinds of files that `platforms` may be meant for."""
    return Difference(f"{plugins('exclude_platform')}[blocklist]\nplatforms = {platforms}\n", BUILT, theirs, ours)


def counting(bounds: str, theirs: set[str], ours: str) -> Difference:
    """Return a difference about a project of one version and a project of two; this client refuses the bounds."""
    filters = f"{plugins('versions_count_project_metadata')}[versions_count_project_metadata]\n{bounds}\n"
    return Difference(filters, ("one 1.0 .tar.gz", "two 1.0 .tar.gz", "two 2.0 .tar.gz"), theirs, Says(ours))


ALL_COUNTED = {ONE, TWO, "two-2.0.tar.gz"}
BUILT = (
    "one 1.0 .tar.gz",
    "one 1.0 -py3-none-any.whl",
    "one 1.0 -py2.py3-none-any.whl",
    "one 1.0 -cp35.cp36-none-any.whl",
    "one 1.0 -cp36-abi3-manylinux1_x86_64.whl",
    "one 1.0 -cp36-cp36m-linux_aarch64.whl",
    "one 1.0 -cp36-cp36m-manylinux2014_riscv64.whl",
    "one 1.0 -cp36-cp36m-manylinux1_x86_64.linux_ppc.whl",
    "one 1.0 -cp36-cp36m-freebsd_13_amd64.whl",
    "one 1.0 -cp39-cp39-win_arm32.whl",
    "one 1.0 -py27-none-any.whl",
)
ALL_BUILT = {name.replace(" 1.0 ", "-1.0") for name in BUILT}


def all_but(*tails: str) -> set[str]:
    """Return what is left of the built files without those whose names end so."""
    gone = {f"one-1.0-{tail}.whl" for tail in tails}
    assert gone <= ALL_BUILT
    return ALL_BUILT - gone


DIFFERENCES = {
    "an unknown filter": Difference(
        plugins("latest_releases") + "[latest_release]\nkeep = 1\n",
        sdists("1.0", "2.0"),
        named("1.0", "2.0"),
        Says(r'latest_releases: expected the name of a filter \(did you mean "latest_release"\?\)'),
    ),
    "two filters on one line": Difference(
        plugins("prerelease_release, latest_release") + "[latest_release]\nkeep = 1\n",
        sdists("1.0", "2.0"),
        named("1.0", "2.0"),
        Says("expected one filter per line, without commas"),
    ),
    "a section with the name of a filter": Difference(
        plugins("blocklist_project") + "[blocklist_project]\npackages = one\n",
        BOTH,
        {ONE, TWO},
        Says(r"the filter blocklist_project reads \[blocklist\] packages"),
    ),
    "an unknown option": Difference(
        plugins("allowlist_project") + "[allowlist]\npackage = one\n",
        BOTH,
        {ONE, TWO},
        Says(r'package.*did you mean "packages"\?'),
    ),
    "an empty allowlist": Difference(
        plugins("allowlist_project") + "[allowlist]\npackages =\n", BOTH, {ONE, TWO}, Says("allowlist_project")
    ),
    "all filters": Difference(plugins("all") + "[blocklist]\npackages = one\n", BOTH, set(), {TWO}),
    "all filters, and an empty list": Difference(
        plugins("all") + "[allowlist]\npackages =\n", BOTH, set(), Says("allowlist_project: .* is empty")
    ),
    "a misspelt section": Difference(
        "[plugin]\nenabled = prerelease_release\n", BOTH, {ONE, TWO}, Says(r'\[plugin\].*did you mean "plugins"\?')
    ),
    "requirement files with nothing in them": Difference(
        plugins("project_requirements")
        + "[allowlist]\nrequirements_path = {folder}\nrequirements = requirements.txt\n",
        BOTH,
        {ONE, TWO},
        Says("project_requirements"),
        {"requirements.txt": "# nothing yet\n"},
    ),
    "a comment in the blocklist": Difference(
        plugins("blocklist_project") + "[blocklist]\npackages =\n    one  # too large\n",
        BOTH,
        Says("InvalidRequirement|Invalid|Expected"),
        {TWO},
    ),
    "hashes in a requirement file": Difference(
        plugins("project_requirements")
        + "[allowlist]\nrequirements_path = {folder}\nrequirements = requirements.txt\n",
        BOTH,
        Says("InvalidRequirement|Invalid|Expected"),
        {ONE},
        {"requirements.txt": LOCKED},
    ),
    "a requirement file within another": Difference(
        plugins("project_requirements")
        + "[allowlist]\nrequirements_path = {folder}\nrequirements = requirements.txt\n",
        BOTH,
        {TWO},
        {ONE, TWO},
        {"requirements.txt": "-r more.txt\ntwo\n", "more.txt": "one\n"},
    ),
    "a requirement file behind a URL, and an index before another one": Difference(
        plugins("project_requirements")
        + "[allowlist]\nrequirements_path = {folder}\nrequirements = requirements.txt\n",
        BOTH,
        {TWO},
        {ONE, TWO},
        {
            "requirements.txt": "-c https://index.example/limits.txt\n-i https://index.example -r more.txt\ntwo\n",
            "more.txt": "one\n",
        },
    ),
    "a # without a space in a requirement file": Difference(
        plugins("project_requirements")
        + "[allowlist]\nrequirements_path = {folder}\nrequirements = requirements.txt\n",
        BOTH,
        {ONE},
        Says("requirements.txt: line 1: one#why: expected a requirement"),
        {"requirements.txt": "one#why\n"},
    ),
    "a URL with a # in a requirement file": Difference(
        plugins("project_requirements")
        + "[allowlist]\nrequirements_path = {folder}\nrequirements = requirements.txt\n",
        BOTH,
        Says("InvalidRequirement|Invalid|Expected"),
        {TWO},
        {"requirements.txt": "https://files.example/one-1.0.zip#sha256=00\ntwo\n"},
    ),
    "pre-releases by their spelling": Difference(
        plugins("prerelease_release"), sdists(*PRERELEASES), named("1.0c1", "1.0a", "1.0rc1.post1", "1.0"), named("1.0")
    ),
    "pre-releases of a name that is not normalized": Difference(
        plugins("prerelease_release") + "[filter_prerelease]\npackages = One.Two\n",
        ("One.Two 1.0 .tar.gz", "One.Two 2.0a1 .tar.gz"),
        {"One.Two-1.0.tar.gz", "One.Two-2.0a1.tar.gz"},
        {"One.Two-1.0.tar.gz"},
    ),
    "pre-releases of a name with a comment behind it": Difference(
        plugins("prerelease_release") + "[filter_prerelease]\npackages =\n    one  # why\n",
        sdists("1.0", "2.0a1"),
        named("1.0", "2.0a1"),
        named("1.0"),
    ),
    "the latest, with a number below 0": Difference(
        plugins("latest_release") + "[latest_release]\nkeep = -1\n",
        sdists("1.0", "2.0", "3.0"),
        Stuck(set()),
        Says("keep: -1: expected a whole number"),
    ),
    "a path to a field that there is not": Difference(
        plugins("version_range_release_file_metadata")
        + "[version_range_release_file_metadata]\nrelease_file.requires-python = 2.7\n",
        ("one 1.0 .tar.gz >=3", "two 1.0 .tar.gz"),
        {ONE, TWO},
        {ONE, TWO},
    ),
    "the latest of versions that PEP 440 does not know": Difference(
        plugins("latest_release") + "[latest_release]\nkeep = 2\n",
        (*sdists("2005r", "2004d", "1.0"), "two 1.0 .tar.gz"),
        Stuck({TWO}),
        named("2005r", "1.0") | {TWO},
    ),
    "the latest of pre-releases and what PEP 440 does not know": Difference(
        plugins("latest_release") + "[latest_release]\nkeep = 1\n",
        (*sdists("2004d", "2.0b1"), "two 1.0 .tar.gz"),
        Stuck({TWO}),
        named("2.0b1") | {TWO},
    ),
    "the latest, and pre-releases": Difference(
        plugins("latest_release") + "[latest_release]\nkeep = 2\n",
        sdists("1.0", "1.1", "2.0a1", "2.0a2"),
        named("1.1", "2.0a2"),
        named("1.0", "1.1"),
    ),
    "the latest, and what another filter drops": Difference(
        plugins("latest_release", "prerelease_release") + "[latest_release]\nkeep = 2\n",
        sdists("1.0", "1.1", "2.0a1", "2.0a2"),
        named("1.1"),
        named("1.0", "1.1"),
    ),
    "Python 2": excluding(
        "py2", all_but("py2.py3-none-any"), all_but("py27-none-any")
    ),
    "Python 3": excluding(
        "py3",
        all_but("py3-none-any"),
        {"one-1.0.tar.gz", "one-1.0-py2.py3-none-any.whl", "one-1.0-py27-none-any.whl"},
    ),
    "one of the Pythons of a wheel": excluding(
        "py3.6",
        all_but(
            "cp36-abi3-manylinux1_x86_64", "cp36-cp36m-linux_aarch64", "cp36-cp36m-manylinux2014_riscv64",
            "cp36-cp36m-manylinux1_x86_64.linux_ppc", "cp36-cp36m-freebsd_13_amd64",
        ),
        all_but(
            "cp36-cp36m-linux_aarch64", "cp36-cp36m-manylinux2014_riscv64", "cp36-cp36m-manylinux1_x86_64.linux_ppc",
            "cp36-cp36m-freebsd_13_amd64",
        ),
    ),
    "all Pythons of a wheel": excluding(
        "py3.5 py3.6",
        all_but(
            "cp36-abi3-manylinux1_x86_64", "cp36-cp36m-linux_aarch64", "cp36-cp36m-manylinux2014_riscv64",
            "cp36-cp36m-manylinux1_x86_64.linux_ppc", "cp36-cp36m-freebsd_13_amd64",
        ),
        all_but(
            "cp35.cp36-none-any", "cp36-cp36m-linux_aarch64", "cp36-cp36m-manylinux2014_riscv64",
            "cp36-cp36m-manylinux1_x86_64.linux_ppc", "cp36-cp36m-freebsd_13_amd64",
        ),
    ),
    "the platforms of Linux": excluding(
        "linux",
        all_but("cp36-abi3-manylinux1_x86_64", "cp36-cp36m-manylinux1_x86_64.linux_ppc"),
        all_but(
            "cp36-abi3-manylinux1_x86_64", "cp36-cp36m-linux_aarch64", "cp36-cp36m-manylinux2014_riscv64",
            "cp36-cp36m-manylinux1_x86_64.linux_ppc",
        ),
    ),
    "one of the platforms of a wheel": excluding(
        "manylinux1_x86_64",
        all_but("cp36-abi3-manylinux1_x86_64", "cp36-cp36m-manylinux1_x86_64.linux_ppc"),
        all_but("cp36-abi3-manylinux1_x86_64"),
    ),
    "the platforms of Windows": excluding("windows", ALL_BUILT, all_but("cp39-cp39-win_arm32")),
    "a part of a word": excluding(
        "x",
        all_but("cp36-abi3-manylinux1_x86_64", "cp36-cp36m-manylinux1_x86_64.linux_ppc"),
        Says("platforms: x: "),
    ),
    "patterns that must not match, and a missing field": Difference(
        plugins("regex_project_metadata") + "[regex_project_metadata]\nnone:info.keywords = x\n", BOTH, set(), {ONE, TWO}
    ),
    "patterns, and values that are no text": Difference(
        plugins("regex_project_metadata") + "[regex_project_metadata]\ninfo.yanked = false\n", BOTH, Stuck(set()), {ONE, TWO}
    ),
    "a range from before PEP 440": Difference(
        plugins("version_range_release_file_metadata")
        + "[version_range_release_file_metadata]\nrelease_file.requires_python = 3.9\n",
        ("one 1.0 .tar.gz >=3.6.*", "two 1.0 .tar.gz >=3.6"),
        Stuck({TWO}),
        {ONE, TWO},
    ),
    "a range that must be there": Difference(
        plugins("version_range_release_file_metadata")
        + "[version_range_release_file_metadata]\nnot-null:release_file.requires_python = 3.11\n",
        ("one 1.0 .tar.gz", "two 1.0 .tar.gz >=3.6"),
        Stuck({TWO}),
        {TWO},
    ),
    "the range of a project": Difference(
        plugins("version_range_project_metadata")
        + "[version_range_project_metadata]\ninfo.requires_python = 2.7\n",
        ("one 1.0 .tar.gz >=2.7", "two 1.0 .tar.gz >=3.6"),
        {ONE, TWO},
        {ONE},
    ),
    "no number of versions": counting("max_versions = few", ALL_COUNTED, "max_versions: few: expected a whole number"),
    "a part of a version": counting("min_versions = 1.5", ALL_COUNTED, "min_versions: 1.5: expected a whole number"),
    "fewer versions than none": counting("max_versions = -1", set(), "max_versions: -1: expected a whole number"),
    "more versions than the most": counting(
        "min_versions = 3\nmax_versions = 1", ALL_COUNTED, "min_versions: 3: expected no more than max_versions, which is 1"
    ),
    "versions without files": Difference(
        plugins("versions_count_project_metadata") + "[versions_count_project_metadata]\nmax_versions = 1\n",
        sdists("1.0", "2.0"),
        set(),
        named("1.0"),
        afterwards=lambda pypi: pypi.remove_file("one", "one-2.0.tar.gz"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def client(old_clients: dict[str, OldClient]) -> OldClient:
    return old_clients["8.0.0"]


def upload(pypi: FakePyPI, *files: str) -> None:
    for file in files:
        project, version, tail, *requires = file.split(" ", 3)
        pypi.add_file(
            project,
            version,
            kind="wheel" if tail.endswith(".whl") else "sdist",
            filename=f"{project}-{version}{tail}",
            requires_python=requires[0] if requires else None,
        )


def on_pages(directory: Path) -> set[str]:
    pages = (directory / "web" / "simple").glob("*/index.html")
    return {name for page in pages for name in re.findall(r">([^<]+)</a>", page.read_text())}


def run_ours(config: Path) -> "subprocess.CompletedProcess[str]":
    command = [*bandersnatch_command(), "-c", str(config), "mirror"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def old_outcome(client: OldClient, config: Path, expected: Outcome) -> Outcome:
    """Run the old client, and return what it selects; its way of ending early is a traceback."""
    run, directory = client.run(config), config.parent / "mirror"
    if run.status != 0:
        return what_was_said(run.log, expected)
    is_done = (directory / "status").exists() and not (directory / "todo").exists()
    return on_pages(directory) if is_done else Stuck(on_pages(directory))


def our_outcome(config: Path, expected: Outcome) -> Outcome:
    """Run this client, and return what it selects; its way of ending early is an error of the configuration."""
    run = run_ours(config)
    if run.returncode == 0:
        return on_pages(config.parent / "mirror")
    assert run.returncode == 2, run.stderr
    assert not any((config.parent / "mirror").iterdir())
    return what_was_said(run.stderr, expected)


def what_was_said(log: str, expected: Outcome) -> Says:
    """Return what was expected where that was said, and all that was said otherwise."""
    return expected if isinstance(expected, Says) and re.search(expected.pattern, log) else Says(log)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_client_selects_what_the_documentation_says(
    pypi: FakePyPI, tmp_path: Path, client: OldClient, name: str
) -> None:
    difference = DIFFERENCES[name]
    upload(pypi, *difference.files)
    difference.afterwards(pypi)
    for filename, text in difference.requirements.items():
        (tmp_path / filename).write_text(text)
    sections = difference.sections.replace("{folder}", str(tmp_path))
    theirs = old_outcome(client, write_config(tmp_path / "old", pypi.url, sections), difference.theirs)
    ours = our_outcome(write_config(tmp_path / "new", pypi.url, sections), difference.ours)
    assert (theirs, ours) == (difference.theirs, difference.ours)


def test_a_change_of_filters_counts_for_what_is_there(pypi: FakePyPI, tmp_path: Path, client: OldClient) -> None:
    upload(pypi, "one 1.0 .tar.gz", "two 1.0 .tar.gz", "two 2.0a1 .tar.gz")
    sections = plugins("prerelease_release", "blocklist_project") + "[blocklist]\npackages = one\n"
    for folder, run in (("old", client.run), ("new", run_ours)):
        run(write_config(tmp_path / folder, pypi.url))
        run(write_config(tmp_path / folder, pypi.url, sections))
    assert on_pages(tmp_path / "old/mirror") == {ONE, TWO, "two-2.0a1.tar.gz"}
    assert on_pages(tmp_path / "new/mirror") == {TWO}


@pytest.mark.parametrize(
    ("sections", "grow"),
    [
        (
            plugins("size_project_metadata") + "[size_project_metadata]\nmax_package_size = 20K\n",
            lambda pypi: pypi.add_file("one", "1.0", filename="one-1.0-1-py3-none-any.whl", size=50_000),
        ),
        (
            plugins("versions_count_project_metadata") + "[versions_count_project_metadata]\nmax_versions = 1\n",
            lambda pypi: pypi.add_file("one", "2.0"),
        ),
    ],
)
def test_a_project_that_grows_over_a_bound_leaves_the_mirror(
    pypi: FakePyPI, tmp_path: Path, client: OldClient, sections: str, grow: Callable[[FakePyPI], object]
) -> None:
    upload(pypi, *BOTH)
    old, new = (write_config(tmp_path / folder, pypi.url, sections) for folder in ("old", "new"))
    client.run(old)
    run_ours(new)
    grow(pypi)
    client.run(old)
    assert run_ours(new).returncode == 0
    assert on_pages(tmp_path / "old/mirror") == {ONE, TWO}
    assert on_pages(tmp_path / "new/mirror") == {TWO}


def test_a_project_without_releases_has_an_empty_page(pypi: FakePyPI, tmp_path: Path, client: OldClient) -> None:
    pypi.create_project("empty")
    upload(pypi, *BOTH)
    old, new = (write_config(tmp_path / folder, pypi.url) for folder in ("old", "new"))
    assert client.run(old).status == 0
    assert run_ours(new).returncode == 0
    pages = [
        {page.parent.name for page in (tmp_path / each).glob("mirror/web/simple/*/index.html")}
        for each in ("old", "new")
    ]
    assert pages == [{"one", "two"}, {"empty", "one", "two"}]
    assert on_pages(tmp_path / "new/mirror") == {ONE, TWO}
