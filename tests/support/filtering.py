"""What the tests of filters share: configurations, pages that are made up, and what a configuration keeps of a page."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from bandersnatch.config.config import Config
from bandersnatch.filters.facts import ProjectDocument
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.selection import Selection
from bandersnatch.model import DistributionFile, ProjectPage
from tests.support.builders import make_file, make_page

VERSIONS = (
    "0.1-bulbasaur", "2004d", "2005r", "0.9", "1.0a1", "1.0rc1.post1", "1.0", "1.0.post1", "1.1.dev3", "1.1", "1!0.5",
    "2.0b1", "2.0", "2.0+local", "10.0",
)  # fmt: skip
SPECIFIERS = ("", "==1.0", ">=1.0", "<2", "~=1.0", "!=1.1", ">=1.0a1,<1.1", "===1.0")
REQUIREMENTS = "[allowlist]\nrequirements_path = {folder}\nrequirements = requirements.txt\n"
"""The section of `filters_of`'s requirement files."""


def filters_of(text: str, files: Mapping[str, str] | None = None) -> Filters:
    """Return the filters of a configuration's sections; `{folder}` in them is where the requirement files are."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for filename, content in (files or {}).items():
            (folder / filename).write_text(content)
        path = folder / "bandersnatch.conf"
        path.write_text("[mirror]\ndirectory = /srv/pypi\n" + text.replace("{folder}", name))
        return Config.load(path).filters


def enabled(*names: str) -> str:
    return "[plugins]\nenabled =\n" + "".join(f"    {name}\n" for name in names)


def lines(section: str, option: str, *entries: str) -> str:
    return f"[{section}]\n{option} =\n" + "".join(f"    {entry}\n" for entry in entries)


def parsed(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None


def asked_for(version: str, *specifiers: str) -> bool:
    """Whether any of the specifiers has the version, a pre-release too; no specifier has what is none of PEP 440."""
    known = parsed(version)
    return known is not None and any(SpecifierSet(each).contains(known, prereleases=True) for each in specifiers)


def kept_versions(filters: Filters, page: ProjectPage, document: ProjectDocument | None = None) -> list[str]:
    selection = Selection(filters, page, document or ProjectDocument())
    kept = list(selection.page.versions)
    # What is told of a release and its files must be what is done.
    for release in selection.releases:
        is_kept = all(verdict.keeps for verdict in selection.release_verdicts(release))
        assert is_kept == (release.version in kept) or not release.is_known
        names = {file.filename for file in selection.page.files}
        for file in release.files:
            stays = is_kept and all(each.keeps for each in selection.file_verdicts(release, file))
            assert stays == (file.filename in names)
    return kept


@st.composite
def pages(draw: st.DrawFn) -> ProjectPage:
    """Make up a page with a source distribution, or none, and a wheel, or none, for each version."""
    versions = draw(st.lists(st.sampled_from(VERSIONS), unique=True, min_size=1))
    files: list[DistributionFile] = []
    for version in versions:
        when = f"20{draw(st.integers(10, 26))}-01-01T00:00:00Z"
        yanked = draw(st.booleans())
        fields = {"upload_time": when, "yanked": yanked, "size": draw(st.integers(0, 1000))}
        kinds = draw(st.sampled_from(["s", "w", "sw"]))
        if "s" in kinds:
            files.append(make_file(f"sample-{version}.tar.gz", **fields))
        if "w" in kinds:
            files.append(make_file(f"sample-{version.replace('-', '_')}-py3-none-any.whl", **fields))
    return make_page(*files, versions=tuple(versions))
