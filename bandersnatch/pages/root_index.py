"""Writes the root index: exactly the held projects, each with its serial, so that others can mirror this mirror."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from itertools import tee, zip_longest

from msgspec import Struct
from packaging.utils import NormalizedName

from bandersnatch.config.config import PagesConfig
from bandersnatch.errors import StorageError
from bandersnatch.pages.render import IndexedProject, as_written_before, page_names, render_root_html, render_root_json
from bandersnatch.pages.root_patch import Patched, UnknownFormError, patch_html, patch_json
from bandersnatch.state.index_record import IndexRecord
from bandersnatch.storage.file_writer import FileWriter
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import ALL_PAGES, HTML_PAGES, JSON_PAGE, SIMPLE, StoredPath, page_path
from bandersnatch.storage.tree import SearchedFile

COPIED_BYTES = 1024 * 1024


class RootIndex(Struct, frozen=True):
    """The root index of one mirror."""

    storage: FilesystemStorage
    config: PagesConfig

    def is_there(self) -> bool:
        """Whether every configured form is on disk."""
        return all(self.storage.stat(page_path(SIMPLE, name)) is not None for name in page_names(self.config))

    def differing(
        self, projects: Callable[[], Iterable[IndexedProject]], serial: int, is_stopped: Callable[[], bool]
    ) -> Iterator[tuple[StoredPath, bool]]:
        """Yield the paths that ``write`` would write or delete, and whether each exists."""
        digests: dict[bool, set[str]] = {}
        for name in ALL_PAGES:
            path, is_html = page_path(SIMPLE, name), name in HTML_PAGES
            is_there = self.storage.stat(path) is not None
            if name not in page_names(self.config):
                if is_there:
                    yield path, True
                continue
            if is_html not in digests:  # the HTML pages are identical
                digests[is_html] = _digests(
                    render_root_html(projects()) if is_html else render_root_json(projects(), serial)
                )
            if not is_there or self._digest(path, is_stopped) not in digests[is_html]:
                yield path, is_there

    def write(self, projects: Iterable[IndexedProject], serial: int) -> None:
        """Write all configured forms that differ from those on disk, and delete the others.

        ``projects`` must be sorted by name; ``serial`` is the one that all of them have reached.
        """
        names = page_names(self.config)
        for name in ALL_PAGES:
            if name not in names:
                self.storage.delete(page_path(SIMPLE, name))
        forms = ((HTML_PAGES, render_root_html), ((JSON_PAGE,), partial(render_root_json, serial=serial)))
        wanted = [(form, render) for form, render in forms if form[0] in names]
        with ExitStack() as writing:
            writers = [[writing.enter_context(self._rewrite(name)) for name in form] for form, _ in wanted]
            # One pass over the projects for all forms, because reading them takes longer than rendering them.
            documents = [render(each) for (_, render), each in zip(wanted, tee(projects, len(wanted)), strict=True)]
            for pieces in zip_longest(*documents, fillvalue=b""):
                for piece, targets in zip(pieces, writers, strict=True):
                    for writer in targets:
                        writer.write(piece)

    def stamps(self) -> dict[StoredPath, str]:
        """Return the stamp of each configured form, by path."""
        paths = [page_path(SIMPLE, name) for name in page_names(self.config)]
        return {path: stamp for path in paths if (stamp := self.storage.stamp(path)) is not None}

    def patch(
        self,
        record: IndexRecord,
        changes: Mapping[NormalizedName, IndexedProject | None],
        serial: int,
        lines: int,
    ) -> bool:
        """Rewrite the lines of some projects, and copy all others; None means that a project has no line.

        Return False, with nothing written, if the files are not as we left them, or would not have ``lines`` lines.
        """
        names = page_names(self.config)
        stamps = self.stamps()
        if stamps != record.stamps or len(stamps) != len(names):
            return False
        for name in ALL_PAGES:
            if name not in names and self.storage.stat(page_path(SIMPLE, name)) is not None:
                return False
        with ExitStack() as opened:
            patched = []
            for path in stamps:
                old = opened.enter_context(self.storage.searched(path))
                is_html = path.rpartition("/")[2] in HTML_PAGES
                try:
                    new = patch_html(old, changes) if is_html else patch_json(old, changes, serial)
                except UnknownFormError:
                    return False
                # The index and the inventory disagree; writing it in full puts that right.
                if record.lines + new.more != lines:
                    return False
                patched.append((path, old, new))
            for path, old, new in patched:
                if new.is_changed:
                    self._write_patched(path, old, new)
        return True

    def _write_patched(self, path: StoredPath, old: SearchedFile, new: Patched) -> None:
        with self.storage.write(path) as writer:
            for piece in new.pieces:
                if isinstance(piece, bytes):
                    writer.write(piece)
                else:
                    for begin in range(piece[0], piece[1], COPIED_BYTES):
                        writer.write(old[begin : min(begin + COPIED_BYTES, piece[1])])

    def _rewrite(self, name: str) -> AbstractContextManager[FileWriter]:
        return self.storage.rewrite(page_path(SIMPLE, name))

    def _digest(self, path: StoredPath, is_stopped: Callable[[], bool]) -> str | None:
        """Return the SHA-256 of a stored page, or None if it can't be read."""
        try:
            return self.storage.digest(path, "sha256", is_stopped)
        except StorageError:
            return None


def _digests(pieces: Iterable[bytes]) -> set[str]:
    """Return the SHA-256 of a document, and of the same document as older code wrote it."""
    now, before = hashlib.sha256(), hashlib.sha256()
    for piece in pieces:
        now.update(piece)
        before.update(as_written_before(piece))
    return {now.hexdigest(), before.hexdigest()}
