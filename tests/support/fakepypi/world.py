"""The state of the index: projects, journal, stored files, frozen pages.

This module reads the state and writes journal rows; the events that change it are
in `story`. Nothing here knows about HTTP. All methods are thread-safe.
"""

import bisect
import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import RLock

from packaging.utils import canonicalize_name

from .model import JournalEntry, ListedProject, Listing, Project, Release, UploadedFile

FIRST_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
TICK = timedelta(seconds=61, microseconds=17235)


@dataclass(frozen=True)
class Backup:
    """What a world was at some time, but for the bytes of its files."""

    projects: dict[str, Project]
    journal: list[JournalEntry]
    next_serial: int


class World:
    """Projects and journal of an index that starts empty."""

    def __init__(self) -> None:
        self.lock = RLock()
        self._projects: dict[str, Project] = {}
        self._journal: list[JournalEntry] = []
        self._next_serial = 1
        self._now = FIRST_MOMENT
        self._stored: dict[str, UploadedFile] = {}
        self._used_filenames: set[str] = set()
        self._frozen_pages: dict[str, Project | None] = {}
        self._frozen_list: Listing | None = None

    def write_journal(
        self, name: str | None, version: str | None, action: str | None, timestamp: int | None = None
    ) -> int:
        """Write one row, however odd, and return its serial.

        As in PyPI's database, the row moves the last serial of the project with
        exactly this spelling, if there is one.
        """
        with self.lock:
            self._now += TICK
            entry = JournalEntry(
                name, version, int(self._now.timestamp()) if timestamp is None else timestamp, action, self._next_serial
            )
            self._next_serial += 1
            self._journal.append(entry)
            project = self._projects.get(canonicalize_name(name)) if name else None
            if project is not None and project.name == name:
                project.last_serial = entry.serial
            return entry.serial

    # Backups

    def back_up(self) -> "Backup":
        """Return a copy of projects and journal."""
        with self.lock:
            return Backup(copy.deepcopy(self._projects), list(self._journal), self._next_serial)

    def restore(self, backup: "Backup") -> None:
        """Go back to a copy: what was written after it is lost, and its serials are given once more."""
        with self.lock:
            self._projects, self._journal = copy.deepcopy(backup.projects), list(backup.journal)
            self._next_serial = backup.next_serial
            self._used_filenames = {
                name for project in self._projects.values() for each in project.releases.values() for name in each.files
            }

    # Reading

    @property
    def serial(self) -> int:
        """The serial of the newest row; 0 when there is none."""
        with self.lock:
            return self._journal[-1].serial if self._journal else 0

    def project_names(self) -> list[str]:
        """Return the normalized names of all projects, quarantined ones included."""
        with self.lock:
            return sorted(self._projects)

    def display_name(self, name: str) -> str:
        with self.lock:
            return self._project(name).name

    def project_serial(self, name: str) -> int:
        with self.lock:
            return self._project(name).last_serial

    def files(self, name: str) -> list[UploadedFile]:
        """Return the files that the project's page lists, in its order."""
        with self.lock:
            return [file for release in self._project(name).visible_releases() for file in release.sorted_files()]

    def fresh_project(self, name: str) -> Project:
        """Return a copy of the project as it is now."""
        with self.lock:
            return copy.deepcopy(self._project(name))

    def served_project(self, name: str) -> Project | None:
        """Return a copy of the project as its pages show it, frozen or not."""
        with self.lock:
            key = canonicalize_name(name)
            return copy.deepcopy(self._frozen_pages[key] if key in self._frozen_pages else self._projects.get(key))

    def fresh_listing(self) -> Listing:
        with self.lock:
            projects = (self._projects[name] for name in sorted(self._projects))
            rows = (ListedProject(each.name, each.last_serial, each.status == "quarantined") for each in projects)
            return Listing(self.serial, tuple(rows))

    def served_listing(self) -> Listing:
        with self.lock:
            return self._frozen_list or self.fresh_listing()

    def journal_since(self, serial: int, limit: int) -> list[JournalEntry]:
        """Return at most `limit` rows after `serial`, oldest first."""
        with self.lock:
            start = bisect.bisect_right(self._journal, serial, key=lambda entry: entry.serial)
            return self._journal[start : start + limit]

    def stored_file(self, url_path: str) -> UploadedFile | None:
        """Return the file at this path, also when its project is gone."""
        with self.lock:
            return self._stored.get(url_path)

    # Helpers

    def _record(self, project: str, version: str | None, action: str) -> None:
        self.write_journal(self._project(project).name, version, action)

    def _project(self, name: str) -> Project:
        try:
            return self._projects[canonicalize_name(name)]
        except KeyError:
            raise ValueError(f"there is no project {name}") from None

    def _release(self, project: str, version: str) -> Release:
        try:
            return self._project(project).releases[version]
        except KeyError:
            raise ValueError(f"{project} has no release {version}") from None

    def _release_of(self, project: str, filename: str) -> Release:
        for release in self._project(project).releases.values():
            if filename in release.files:
                return release
        raise ValueError(f"{project} has no file {filename}")
