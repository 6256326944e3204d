"""What an index tells, and what following it costs: found out by asking for each thing once, and for one project's page."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from bandersnatch.amounts import count_of
from bandersnatch.config.config import Config
from bandersnatch.errors import InterruptedRunError, UpstreamError
from bandersnatch.inifile.option import UpstreamKind
from bandersnatch.model import DistributionFile
from bandersnatch.names import NormalizedName
from bandersnatch.plan.allowlisted import allowlisted
from bandersnatch.plan.refresh import LEAST_OWN
from bandersnatch.plan.root_search import RootSearch
from bandersnatch.upstream.index import Upstream
from bandersnatch.upstream.root_index import RootIndex

_COST = "a run with nothing new"
_TRIED_PAGES, _RECENT = 5, 50
"""A project may have no page, or no files; so some are tried, of those that an allowlist names or the last changes."""


class Fact(Struct, frozen=True):
    """One thing that was asked about, and what is so."""

    about: str
    told: str


def upstream_facts(upstream: Upstream, config: Config) -> Iterator[Fact]:
    """Yield what the configured index has.

    Raises:
        UpstreamError: it is no index, or is away.
    """
    serial, names = _serial(upstream), allowlisted(config.filters)
    if serial is not None:  # the list of all projects is not needed, and tens of megabytes
        yield Fact("journal (XML-RPC)", f"at serial {serial}")
        yield Fact("serials", "of each project")
        recent = upstream.changes_since(max(serial - _RECENT, 0), serial)[1] if not names else []
        yield from _page(upstream, names or {change.project for change, _ in recent})
        yield Fact(_COST, "1 request")
        return
    yield Fact("journal (XML-RPC)", "none")
    has_static_journal = upstream.changes.index() is not None
    yield Fact("static journal", "changes/index.json" if has_static_journal else "none")
    root = RootSearch(upstream, None, names).root(None, may_search=upstream.kind is not UpstreamKind.WAREHOUSE)
    yield Fact("list of projects", _list(root))
    yield Fact("serials", _serials(root))
    yield from _page(upstream, root.projects)
    yield Fact(_COST, "1 request" if has_static_journal or upstream.has_local_json else _cost(root))


def _serial(upstream: Upstream) -> int | None:
    """Return the serial of the journal, if there is one."""
    if not upstream.asks_journal:
        return None
    try:
        return upstream.last_serial()
    except InterruptedRunError:
        raise
    except UpstreamError:
        return None


def _list(root: RootIndex) -> str:
    if not root.is_there:
        return "none; the allowlists name the projects"
    return f"{root.url}, {root.form}, {count_of(len(root.projects), 'project')}"


def _serials(root: RootIndex) -> str:
    if root.serial is not None:
        return "of each project"
    return "none, this mirror counts" if root.whole_serial is None else "of the list alone; this mirror counts"


def _page(upstream: Upstream, names: Iterable[NormalizedName]) -> Iterator[Fact]:
    """Yield what the page of a project tells, if there is one with files among the first."""
    for name in sorted(names)[:_TRIED_PAGES]:
        facts = _facts_of(upstream, name)
        if facts:
            yield from facts
            return
    yield Fact("pages", "none was found")


def _facts_of(upstream: Upstream, name: NormalizedName) -> list[Fact]:
    try:
        fetched, form = upstream.project_page(name, None), upstream.form_of_page(name)
    except InterruptedRunError:
        raise
    except UpstreamError as error:
        return [Fact("pages", str(error))]
    files = fetched.page.files if fetched.page is not None else ()
    if not files:
        return []
    has_metadata = [file.core_metadata_sha256 is not None or file.has_unhashed_metadata for file in files]
    return [
        Fact("pages", f"{form}, {'with' if fetched.etag else 'without'} ETag (that of {name})"),
        Fact("hashes", ", ".join(sorted({algorithm for file in files for algorithm in file.hashes})) or "none"),
        Fact("sizes", _share(files, [file.size is not None for file in files])),
        Fact("upload times", _share(files, [file.upload_time is not None for file in files])),
        Fact("core metadata", _share(files, has_metadata)),
    ]


def _share(files: tuple[DistributionFile, ...], has: list[bool]) -> str:
    if not any(has):
        return "none"
    return "of all files" if all(has) else f"of {sum(has)} of {count_of(len(files), 'file')}"


def _cost(root: RootIndex) -> str:
    if root.serial is not None:
        return "2 requests, and 1 for XML-RPC unless upstream-kind = simple"
    if root.whole_serial is not None:
        return "1 request"
    least = min(LEAST_OWN, len(root.projects))
    begin = "1 request and " if root.is_there else ""
    return f"{begin}{count_of(least, 'conditional one')} or more, each project within a day"
