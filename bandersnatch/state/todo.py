"""The todo list as a value: the projects that are not yet at its target serial, and its text form.

``saved_state.py`` loads and saves it. Invariant: every project that is not on the list is at the target serial or later.
"""

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.errors import MirrorError
from bandersnatch.model import ChangelogEntry, ListedProject, parse_serial
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.upstream.changelog_actions import Expectation

_LATE = re.compile(r"@(\d{1,12})", re.ASCII)


class TodoFormatError(MirrorError):
    """The text is not a todo list of ours."""

    def __init__(self, line_number: int, line: str) -> None:
        super().__init__(f"line {line_number} of the todo list can't be read: {line[:80]!r}")


class TodoEntry(Struct, frozen=True):
    """What one project waits for: the serial that its page must have, and why."""

    display_name: str
    serial: int
    expectation: Expectation = Expectation.CONTENT
    late_since: int | None = None
    """Since when upstream's page has been behind that serial, in seconds since 1970, if a run has noticed."""

    @property
    def is_unlisted(self) -> bool:
        """Whether the only sign that the project is gone is its absence from a list of all projects."""
        return self.expectation is Expectation.REMOVED and self.serial == 0


class TodoList:
    """The work left up to ``target_serial``, by normalized name. Not thread-safe: only the main thread uses it."""

    def __init__(self, target_serial: int, entries: dict[NormalizedName, TodoEntry] | None = None) -> None:
        self.target_serial = target_serial
        self._entries = entries if entries is not None else {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, project: NormalizedName) -> bool:
        return project in self._entries

    def __iter__(self) -> Iterator[NormalizedName]:
        return iter(self._entries)

    def __getitem__(self, project: NormalizedName) -> TodoEntry:
        return self._entries[project]

    def get(self, project: NormalizedName) -> TodoEntry | None:
        """Return what a project waits for, or None if it is not on the list."""
        return self._entries.get(project)

    def add(self, project: NormalizedName, entry: TodoEntry) -> None:
        """Put a project on the list, replacing its entry."""
        self._entries[project] = entry

    def discard(self, project: NormalizedName) -> None:
        """Take a project off the list: it has reached the target serial."""
        self._entries.pop(project, None)

    def merge(self, changes: Iterable[tuple[ChangelogEntry, Expectation]]) -> None:
        """Add changes, in any order, and advance the target serial to the newest of them."""
        for change, expectation in sorted(changes, key=lambda pair: pair[0].serial):
            self._entries[change.project] = _after(self._entries.get(change.project), change, expectation)
            self.target_serial = max(self.target_serial, change.serial)

    def add_listed(self, name: NormalizedName, project: ListedProject) -> None:
        """Add a project from the list of all projects; what the changelog said about it still counts."""
        entry = self.get(name)
        if entry is None or entry.expectation in (Expectation.ROLES, Expectation.LISTED):
            late_since = entry.late_since if entry is not None else None
            self.add(name, TodoEntry(project.display_name, project.serial, Expectation.LISTED, late_since))
        elif entry.serial < project.serial:
            expectation = (
                Expectation.REMOVALS if entry.expectation is Expectation.REMOVED else entry.expectation
            )  # it was created again
            self.add(name, TodoEntry(project.display_name, project.serial, expectation, entry.late_since))

    def add_missing(self, missing: Iterable[NormalizedName]) -> None:
        """Add projects that we hold but upstream does not list; their pages will show whether they are gone."""
        for name in missing:
            if name not in self:
                self.add(name, TodoEntry(name, 0, Expectation.REMOVED))

    def to_lines(self) -> Iterator[str]:
        """Yield the text form: the target serial, then a line ``name serial [why] [@late_since]`` per project."""
        yield f"{self.target_serial}\n"
        for entry in self._entries.values():
            words = [entry.display_name, str(entry.serial), entry.expectation.value]
            if entry.late_since is not None:
                words.append(f"@{entry.late_since}")
            yield " ".join(filter(None, words)) + "\n"

    @classmethod
    def from_text(cls, text: str) -> "TodoList":
        """Parse the text form.

        Raises:
            TodoFormatError: a line does not have that form.
        """
        lines = text.splitlines()
        if not lines or not _is_serial(lines[0]):
            raise TodoFormatError(1, lines[0] if lines else "")
        todo = cls(int(lines[0]))
        for number, line in enumerate(lines[1:], 2):
            name, *rest = line.split(" ")
            late_since = None
            if len(rest) > 1 and (late := _LATE.fullmatch(rest[-1])):
                rest, late_since = rest[:-1], int(late[1])
            project = parse_project_name(name)
            if project is None or not 1 <= len(rest) <= 2 or not _is_serial(rest[0]):
                raise TodoFormatError(number, line)
            try:
                expectation = Expectation(rest[1] if len(rest) == 2 else "")
            except ValueError as error:
                raise TodoFormatError(number, line) from error
            todo.add(project, TodoEntry(name, int(rest[0]), expectation, late_since))
        return todo


def _is_serial(text: str) -> bool:
    return parse_serial(text) is not None


def _after(entry: TodoEntry | None, change: ChangelogEntry, expectation: Expectation) -> TodoEntry:
    """Return a project's entry after one more change; a page that was late still is."""
    late_since = entry.late_since if entry is not None else None
    return replace(_expected_after(entry, change, expectation), late_since=late_since)


def _expected_after(entry: TodoEntry | None, change: ChangelogEntry, expectation: Expectation) -> TodoEntry:
    """Return a project's entry after one more change.

    A change of roles adds nothing to an existing expectation; any other change replaces it if it is newer. That files
    were removed is remembered until the project is done; a removal followed by a new creation counts as that.
    """
    if entry is None:
        return TodoEntry(change.display_name, change.serial, expectation)
    if expectation is Expectation.ROLES:
        serial = max(entry.serial, change.serial) if entry.expectation is Expectation.ROLES else entry.serial
        return TodoEntry(change.display_name, serial, entry.expectation)
    if entry.expectation in (Expectation.ROLES, Expectation.LISTED):  # the changelog is more precise than these
        return TodoEntry(change.display_name, change.serial, expectation)
    newer, older = (
        (expectation, entry.expectation) if change.serial >= entry.serial else (entry.expectation, expectation)
    )
    if newer is Expectation.CONTENT and older in (Expectation.REMOVALS, Expectation.REMOVED):
        newer = Expectation.REMOVALS
    # A quarantine must not be forgotten: it lets harmful files go without waiting for approval.
    if newer in (Expectation.CONTENT, Expectation.REMOVALS) and older is Expectation.QUARANTINES:
        newer = Expectation.QUARANTINES
    if change.serial >= entry.serial:
        return TodoEntry(change.display_name, change.serial, newer)
    return replace(entry, expectation=newer)
