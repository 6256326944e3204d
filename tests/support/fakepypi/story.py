"""The events that a test tells about the index, each with the rows PyPI would write.

The serial moves by itself, except where PyPI changes something without a row.
"""

import copy
from datetime import datetime
from pathlib import Path

from packaging.utils import canonicalize_name

from .model import Kind, Listing, Project, Release, UploadedFile
from .uploads import FileStory, Upload, upload_from_disk, upload_from_story
from .world import TICK, World

OWNER = "alice"


class Story(World):
    """A world that can be told what happens."""

    # Projects and files

    def create_project(self, name: str) -> None:
        """Register a project without any release."""
        with self.lock:
            if canonicalize_name(name) in self._projects:
                raise ValueError(f"project {name} exists already")
            self._projects[canonicalize_name(name)] = Project(name, roles=[("Owner", OWNER)])
            self.write_journal(name, None, "create")
            self.write_journal(name, None, f"add Owner {OWNER}")

    def add_file(
        self,
        project: str,
        version: str,
        *,
        kind: Kind = "wheel",
        filename: str | None = None,
        content: bytes | None = None,
        size: int | None = None,
        requires_python: str | None = None,
        core_metadata: bool = True,
        metadata_in_wheel: bool = True,
        python_tag: str = "py3",
        platform_tag: str = "any",
        upload_time: datetime | None = None,
        path: str | None = None,
    ) -> UploadedFile:
        """Upload a made-up file; the project's spelling becomes its display name.

        `path` overrides the path of its URL; `metadata_in_wheel=False` makes the
        METADATA inside the wheel differ from the advertised one.
        """
        with self.lock:
            story = FileStory(
                project=project,
                version=version,
                kind=kind,
                filename=filename,
                content=content,
                size=size,
                requires_python=requires_python,
                core_metadata=core_metadata,
                metadata_in_wheel=metadata_in_wheel,
                python_tag=python_tag,
                platform_tag=platform_tag,
                path=path,
            )
            self._check_requires_python(story)
            return self._accept(upload_from_story(story, upload_time or self._now + TICK))

    def add_local_file(self, path: Path) -> UploadedFile:
        """Upload a real wheel or sdist; its content is read from disk when asked for."""
        upload = upload_from_disk(path)
        with self.lock:
            return self._accept(upload)

    def remove_file(self, project: str, filename: str) -> None:
        with self.lock:
            release = self._release_of(project, filename)
            del release.files[filename]
            release.with_provenance.discard(filename)
            self._record(project, release.version, f"remove file {filename}")

    def remove_release(self, project: str, version: str) -> None:
        with self.lock:
            self._release(project, version)
            self._record(project, version, "remove release")
            del self._project(project).releases[version]

    def remove_project(self, project: str) -> None:
        """Remove a project; as at PyPI the URLs of its files keep working."""
        with self.lock:
            self._record(project, None, "remove project")
            del self._projects[canonicalize_name(project)]

    def rename_project(self, project: str, new_spelling: str) -> None:
        """Change the display name, which PyPI does without a row of its own."""
        with self.lock:
            if canonicalize_name(new_spelling) != canonicalize_name(project):
                raise ValueError(f"{new_spelling} is not another spelling of {project}")
            self._project(project).name = new_spelling

    # Marks

    def yank(self, project: str, version: str, reason: str = "") -> None:
        with self.lock:
            release = self._release(project, version)
            release.is_yanked, release.yanked_reason = True, reason
            self._record(project, version, "yank release")

    def unyank(self, project: str, version: str) -> None:
        with self.lock:
            release = self._release(project, version)
            release.is_yanked, release.yanked_reason = False, ""
            self._record(project, version, "unyank release")

    def quarantine_project(self, project: str) -> None:
        with self.lock:
            self._project(project).status = "quarantined"
            self._record(project, None, "project quarantined")

    def clear_quarantine(self, project: str) -> None:
        with self.lock:
            self._project(project).status = "active"
            self._record(project, None, "project quarantine cleared")

    def quarantine_release(self, project: str, version: str) -> None:
        with self.lock:
            self._release(project, version).is_quarantined = True
            self._record(project, version, "release quarantined")

    def clear_release_quarantine(self, project: str, version: str) -> None:
        with self.lock:
            self._release(project, version).is_quarantined = False
            self._record(project, version, "release quarantine cleared")

    def archive(self, project: str) -> None:
        """Archive a project: its page changes, its serial does not."""
        with self.lock:
            self._project(project).status = "archived"

    def unarchive(self, project: str) -> None:
        with self.lock:
            self._project(project).status = "active"

    def add_provenance(self, project: str, filename: str) -> None:
        """Give a file a provenance URL: its page changes, its serial does not."""
        with self.lock:
            self._release_of(project, filename).with_provenance.add(filename)

    def edit_requires_python(self, project: str, version: str, requires_python: str | None) -> None:
        """Let a release need another Python, as PyPI's staff has done: its page changes, its serial does not."""
        with self.lock:
            self._release(project, version).requires_python = requires_python

    # Roles and raw rows

    def add_role(self, project: str, role: str = "Maintainer", user: str = "bob") -> None:
        with self.lock:
            self._project(project).roles.append((role, user))
            self._record(project, None, f"add {role} {user}")

    def remove_role(self, project: str, role: str = "Maintainer", user: str = "bob") -> None:
        with self.lock:
            self._project(project).roles.remove((role, user))
            self._record(project, None, f"remove {role} {user}")

    def invite_role(self, project: str, role: str = "Maintainer", user: str = "carol") -> None:
        with self.lock:
            self._record(project, None, f"invite {role} {user}")

    def skip_serials(self, count: int) -> None:
        """Leave a gap before the serial of the next row."""
        with self.lock:
            self._next_serial += count

    # Caches that were not purged

    def freeze_page(self, name: str) -> None:
        """Let the pages of a project answer what they say now, even if that is 404."""
        with self.lock:
            key = canonicalize_name(name)
            self._frozen_pages[key] = copy.deepcopy(self._projects.get(key))

    def thaw_page(self, name: str) -> None:
        with self.lock:
            del self._frozen_pages[canonicalize_name(name)]

    def freeze_list(self, listing: Listing | None = None) -> None:
        """Let both lists of all projects answer what they say now, or what they said before."""
        with self.lock:
            self._frozen_list = listing or self.fresh_listing()

    def thaw_list(self) -> None:
        with self.lock:
            self._frozen_list = None

    # Helpers

    def _accept(self, upload: Upload) -> UploadedFile:
        """Take an upload in by PyPI's rules about names that were used before."""
        file, key = upload.file, canonicalize_name(upload.project)
        known = self._projects.get(key)
        release = known.releases.get(file.version) if known else None
        existing = release.files.get(file.filename) if release else None
        if existing is not None and existing.sha256 == file.sha256:
            return existing
        if file.filename in self._used_filenames:
            raise ValueError(f"{file.filename}: this filename was used before, and PyPI never lets it be used again")
        if known is None:
            self.create_project(upload.project)
        project = self._projects[key]
        project.name = upload.project
        if release is None:
            release = project.releases[file.version] = Release(file.version, upload.requires_python)
            self._record(upload.project, file.version, "new release")
        release.files[file.filename] = file
        self._used_filenames.add(file.filename)
        self._stored[file.url_path] = file
        self._record(upload.project, file.version, f"add {file.python_version} file {file.filename}")
        return file

    def _check_requires_python(self, story: FileStory) -> None:
        """Refuse a second Requires-Python: at PyPI it belongs to the release."""
        known = self._projects.get(canonicalize_name(story.project))
        release = known.releases.get(story.version) if known else None
        if release is not None and story.requires_python not in (None, release.requires_python):
            raise ValueError(f"{story.project} {story.version} has requires_python={release.requires_python!r} already")
