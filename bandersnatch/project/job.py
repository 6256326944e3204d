"""The input and the result of the work on one project."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from bandersnatch.names import NormalizedName
from bandersnatch.project.prepared import Prepared
from bandersnatch.project.report import Outcome
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.state.todo import TodoEntry
from bandersnatch.storage.layout import PACKAGES, StoredPath


class Job(Struct, frozen=True):
    """A project to work on, and how.

    - ``recheck``: look at every file, even if the page is unchanged.
    - ``is_last_attempt``: accept a page that is older than upstream's list of projects says; only the changelog is reliable.
    - ``may_remove``: publish a page that removes files. Without it, the page is not published, but reported.
    - ``is_resync``: in the last attempt, accept a page that is older than the held one, too.
    - ``fresh``: fetch the page without a condition, whatever is held of it.
    - ``wrong``: paths that are known to be missing or bad.
    - ``prepared``: what an earlier job prepared; the page is not fetched again.
    - ``record``, ``unsettled``, ``partials``: what the inventory has of the project, since workers have no inventory.
      ``partials`` are the ETags of half-written files, ``files_of_others`` are files with a name as those of this project
      have that another one may list.
    """

    project: NormalizedName
    entry: TodoEntry
    recheck: bool = False
    is_last_attempt: bool = False
    may_remove: bool = False
    is_resync: bool = False
    fresh: bool = False
    wrong: frozenset[StoredPath] = frozenset()
    prepared: Prepared | None = None
    record: HeldProject | None = None
    unsettled: frozenset[StoredPath] = frozenset()
    partials: Mapping[StoredPath, str] = field(default_factory=dict)
    files_of_others: Mapping[StoredPath, NormalizedName] = field(default_factory=dict)


def with_facts(jobs: Sequence[Job], inventory: Inventory) -> list[Job]:
    """Return jobs together with what the inventory has of their projects; it is asked for all of them at once."""
    projects = [job.project for job in jobs]
    held, of_others = inventory.held_of(projects), inventory.files_of_others(projects)
    unsettled = inventory.unsettled_of(projects)
    return [
        replace(
            job,
            record=held.get(job.project),
            unsettled=frozenset(etags := unsettled.get(job.project, {})),
            # Only distribution files are resumed, never pages.
            partials={
                path: etag for path, etag in etags.items() if etag is not None and path.startswith(f"{PACKAGES}/")
            },
            files_of_others=of_others[job.project],
        )
        for job in jobs
    ]


class Result(Struct, frozen=True):
    """The result of a job, which the main process records.

    The main process deletes the files in ``deletions``, which the project's page no longer lists; then it writes ``record``
    to the inventory. Only after that the outcome counts. ``unsettled`` are paths that the job touched, or may have touched,
    and did not finish; ``partials`` are the ETags of the half-written files among them.
    """

    outcome: Outcome
    record: HeldProject | None = None
    deletions: frozenset[StoredPath] = frozenset()
    unsettled: frozenset[StoredPath] = frozenset()
    partials: Mapping[StoredPath, str] = field(default_factory=dict)
    reservations: tuple[str, ...] = ()
    """The names of the reservations that were written before anything was touched; deleted when the result is recorded."""
