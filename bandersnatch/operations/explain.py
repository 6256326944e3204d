"""Explains which index owns a project, and which filter keeps or drops it, a release or a file, and why.

It asks upstream, and does not touch the mirror.
"""

import re
from collections.abc import Iterator

from msgspec import Struct
from packaging.utils import InvalidSdistFilename, parse_sdist_filename

from bandersnatch.config.config import Config
from bandersnatch.config.parts import Part, parts_of
from bandersnatch.errors import NotFoundError, UsageError
from bandersnatch.filters.facts import NO_DOCUMENT, ProjectDocument, ProjectFacts, Release, find, parse_version
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.selection import Selection
from bandersnatch.filters.verdict import Verdict
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.shown_text import without_credentials
from bandersnatch.upstream.index import Upstream
from bandersnatch.upstream.legacy_json import fetch_legacy_json

_FILE = re.compile(r"\.(whl|egg|exe|msi|dmg|rpm|zip|tgz|tar\.\w+)$", re.IGNORECASE)


class UnknownTargetError(UsageError):
    """Upstream has no such project, release or file, or the name is invalid."""


class Target(Struct, frozen=True):
    """What to explain: a project, one of its releases, or one of its files."""

    project: NormalizedName
    version: str | None = None
    filename: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Parse ``NAME``, ``NAME==VERSION`` or a file name.

        Raises:
            UnknownTargetError: it is none of these.
        """
        name, separator, version = text.partition("==")
        filename = None
        if not separator and _FILE.search(text):
            filename, name = text, _project_of(text)
        project = parse_project_name(name.strip())
        if project is None:
            raise UnknownTargetError(f"{text}: expected NAME, NAME==VERSION or the name of a file")
        return cls(project, version.strip() if separator else None, filename)


def _project_of(filename: str) -> str:
    """Return the project's name at the beginning of a file name, as far as one can tell where it ends."""
    try:
        return parse_sdist_filename(filename)[0]
    except InvalidSdistFilename:
        before_version = re.match(r"(.+?)-\d", filename)
        return filename.partition("-")[0] if filename.endswith(".whl") or before_version is None else before_version[1]


def owning_part(project: NormalizedName, config: Config) -> Part:
    """Return the part of a mirror that has a project, of those that are not served at a prefix."""
    owner = config.owners.owner_of(project)
    return next(part for part in parts_of(config) if part.name == owner)


def explain_owner(project: NormalizedName, config: Config) -> Iterator[str]:
    """Yield whose a project is, and whose files of it are refused; nothing if the mirror has only one index."""
    if not config.upstreams:
        return
    owner, claims = owning_part(project, config), config.owners.claims_on(project)
    yield f"{project}: of {owner.section}, {without_credentials(owner.config.http.upstream_url)}"
    if claims:
        yield f"    {claims[0]}"
    yield from (f"    {claim} too, but comes later in the file" for claim in claims[1:] if claim.upstream != owner.name)
    for part in parts_of(config):
        index = f"{part.section}, {without_credentials(part.config.http.upstream_url)}"
        if part.prefix:
            yield f"    what {index} has of it is apart, below {part.prefix}/simple/"
        elif part.name != owner.name:
            yield f"    refused if it comes from {index}"


def explain(target: Target, filters: Filters, upstream: Upstream) -> Iterator[str]:
    """Yield the lines of the explanation.

    Raises:
        UnknownTargetError: upstream has nothing of that name.
        UpstreamError: upstream could not be asked.
    """
    project = target.project
    try:
        page = upstream.project_page(project, None).page
    except NotFoundError:
        page = None
    if page is None:
        raise UnknownTargetError(f"{upstream.url} has no project {project}")
    fetched = upstream.finish(fetch_legacy_json(upstream.documents, project, 0))
    document = ProjectDocument.parse(fetched.body)
    display_name = next((each for each in find(document.tree, ("info", "name")) if isinstance(each, str)), project)
    verdicts = _project_verdicts(filters, project, display_name, ProjectFacts(page, document))
    yield from _told(project, verdicts)
    gone_project = project if _is_dropped(verdicts) else None
    selection = Selection(filters, page, document if filters.needs_json else NO_DOCUMENT)  # as in a run
    found = False
    for release in selection.releases:
        if not _is_meant(target, release):
            continue
        found = True
        subject = f"{project}=={release.version}" if release.is_known else f"{project}, files without a release"
        verdicts = selection.release_verdicts(release)
        yield from _told(subject, verdicts, gone_project)
        gone = gone_project or (subject if _is_dropped(verdicts) else None)
        for file in release.files:
            if target.version is not None or target.filename == file.filename:
                yield from _told(file.filename, selection.file_verdicts(release, file), gone)
    if not found and (target.version or target.filename):
        raise UnknownTargetError(f"{upstream.url} has no {target.filename or f'release {target.version}'} of {project}")


def _project_verdicts(
    filters: Filters, project: NormalizedName, display_name: str, facts: ProjectFacts
) -> list[Verdict]:
    by_name = (
        Verdict(each.keeps(project, display_name), each.filter_name, each.reason(project, display_name))
        for each in filters.projects
    )
    by_metadata = (Verdict(each.keeps(facts), each.filter_name, each.reason(facts)) for each in filters.metadata)
    return [*by_name, *by_metadata]


def _is_meant(target: Target, release: Release) -> bool:
    if target.filename is not None:
        return any(file.filename == target.filename for file in release.files)
    if target.version is None or target.version == release.version:
        return True
    version = parse_version(target.version)
    return version is not None and version == release.parsed


def _is_dropped(verdicts: list[Verdict]) -> bool:
    return not all(each.keeps for each in verdicts)


def _told(subject: str, verdicts: list[Verdict], gone: str | None = None) -> Iterator[str]:
    """Yield a line about something, and one for each filter that decides about it; ``gone`` is what it is dropped with."""
    if _is_dropped(verdicts):
        yield f"{subject}: dropped"
    elif gone is not None:
        yield f"{subject}: dropped, with {gone}"
    else:
        yield f"{subject}: kept" + ("" if verdicts else ", no filter applies to it")
    yield from (f"    {verdict}" for verdict in verdicts)
