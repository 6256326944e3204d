"""``RemovalPolicy``: what is deleted, hidden or kept, and how much of it a run may carry out. Pure.

A run, its dry run, a sync and a verification ask this one value, so that a forecast is what the run then does. ``delete``
does not: there the operator has named what goes.
"""

from collections.abc import Set
from typing import NamedTuple

from msgspec import Struct, field

from bandersnatch.config.option_groups import RemovalsConfig
from bandersnatch.filters.verdict import Verdict
from bandersnatch.inifile.option import DeletedPolicy, RemovalLimit
from bandersnatch.names import NormalizedName
from bandersnatch.plan.removal_brake import Doomed, excess
from bandersnatch.storage.layout import StoredPath


class Totals(NamedTuple):
    """How many projects and files are held."""

    projects: int = 0
    files: int = 0


class Removals(Struct):
    """What a run is about to remove: projects that are gone, and files that pages no longer list.

    ``excluded`` has the projects that a filter drops; ``unlisted`` those whose only sign of removal is their absence
    from a list of all projects. ``filtered_files`` says how many of a project's files upstream still has.
    """

    projects: list[NormalizedName] = field(default_factory=list)
    files: dict[NormalizedName, tuple[StoredPath, ...]] = field(default_factory=dict)
    excluded: dict[NormalizedName, Verdict] = field(default_factory=dict)
    unlisted: set[NormalizedName] = field(default_factory=set)
    filtered_files: dict[NormalizedName, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.projects or self.files)

    def add_project(self, project: NormalizedName, excluded_by: Verdict | None, *, is_unlisted: bool) -> None:
        """Add a project that is gone, or that a filter drops."""
        self.projects.append(project)
        if excluded_by is not None:
            self.excluded[project] = excluded_by
        elif is_unlisted:
            self.unlisted.add(project)

    def add_files(self, project: NormalizedName, files: tuple[StoredPath, ...], filtered: int) -> None:
        """Add the files that a project's new page no longer lists; ``filtered`` of them upstream still has."""
        self.files[project], self.filtered_files[project] = files, filtered

    def keep(self, project: NormalizedName) -> None:
        """Take a project off the list of those that are gone."""
        self.projects.remove(project)
        self.excluded.pop(project, None)
        self.unlisted.discard(project)

    def listing(self) -> str:
        """Return the text form: a line ``project NAME`` or ``file PATH`` for each."""
        lines = [f"project {name}\n" for name in sorted(self.projects)]
        lines += [f"file {path}\n" for name in sorted(self.files) for path in self.files[name]]
        return "".join(lines)

    def doomed(self, *, is_reconfigured: bool, are_named: bool, are_files_known: bool) -> Doomed:
        """Return how much this is. The files of a project that is removed whole do not count separately."""
        filtered = {name: self.filtered_files.get(name, 0) for name in self.files}
        return Doomed(
            projects=len(self.projects),
            concluded=len(self.unlisted) + (len(self.excluded) if is_reconfigured else 0),
            files=sum(map(len, self.files.values())) if are_files_known else None,
            filtered_files=sum(filtered.values()),
            # Those that lose what upstream has deleted; what filters drop is the operator's will, and no accident.
            shrinking=sum(len(paths) > filtered[name] for name, paths in self.files.items()),
            is_reconfigured=is_reconfigured,
            are_named=are_named,
        )


class RemovalPolicy(Struct, frozen=True):
    """What the configuration and the operator say about removals.

    With ``allows_all`` the operator has allowed all removals. With ``are_named`` the operator has named the projects, so
    that no accident can reach others.
    """

    deleted: DeletedPolicy
    limit: RemovalLimit
    allows_all: bool = False
    are_named: bool = False

    @classmethod
    def of(cls, config: RemovalsConfig, *, allows_all: bool = False, are_named: bool = False) -> "RemovalPolicy":
        """Return the policy of a configuration, for one command."""
        return cls(config.deleted, config.limit, allows_all, are_named)

    @property
    def keeps_bytes(self) -> bool:
        """Whether the files that upstream deletes stay on disk, be they on a page or not."""
        return self.deleted is not DeletedPolicy.REMOVE

    @property
    def keeps_on_pages(self) -> bool:
        """Whether the files that upstream deletes stay on their page."""
        return self.deleted is DeletedPolicy.KEEP

    @property
    def keeps_own(self) -> bool:
        """Whether projects stay that upstream never had: the operator's own."""
        return not self.allows_all and not self.are_named

    def policy_for(self, excluded_by: Verdict | None) -> DeletedPolicy:
        """Return what becomes of a project that is gone. The option is about upstream's deletions, and not about filters."""
        return self.deleted if excluded_by is None else DeletedPolicy.REMOVE

    def deletions(
        self, unwanted: frozenset[StoredPath], held: Set[StoredPath], filtered_out: Set[StoredPath]
    ) -> frozenset[StoredPath]:
        """Return which of the files that a project's page does not want are deleted.

        What was never on the ``held`` page, or what a filter drops, is not what upstream deleted, and goes in any case.
        """
        return unwanted - (held - filtered_out) if self.keeps_bytes else unwanted

    def excess(
        self,
        removals: Removals,
        held: Totals,
        *,
        is_reconfigured: bool = False,
        are_files_known: bool = True,
    ) -> str | None:
        """Return what is too much, in words, or None if the policy allows everything."""
        doomed = removals.doomed(
            is_reconfigured=is_reconfigured, are_named=self.are_named, are_files_known=are_files_known
        )
        return self._excess(doomed, held)

    def unlisted_excess(self, files: int, held_files: int) -> str | None:
        """Return what is too much, in words, or None if so many files that no page lists may be deleted."""
        return self._excess(Doomed(0, files=files, are_unlisted=True), Totals(0, held_files))

    def _excess(self, doomed: Doomed, held: Totals) -> str | None:
        return None if self.allows_all else excess(self.limit, doomed, held.projects, held.files)


def files_in_question(
    unwanted: Set[StoredPath], listed: Set[StoredPath], *, is_quarantined: bool
) -> tuple[StoredPath, ...]:
    """Return the ``listed`` distribution files of a held page that may go only when it is known how much a run removes.

    Nothing holds back the page of a quarantined project.
    """
    return () if is_quarantined else tuple(sorted(unwanted & listed))
