"""Writes the root index: exactly the held projects, each with its serial, so that others can mirror this mirror."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import tee, zip_longest

from msgspec import Struct

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.errors import StorageError
from bandersnatch.names import NormalizedName
from bandersnatch.pages.forms import IndexedProject, root_paths
from bandersnatch.pages.render import (
    as_written_before,
    render_local_json,
    render_root_html,
    render_root_json,
)
from bandersnatch.pages.root_patch import Patched, UnknownFormError, patch_html, patch_json, patch_local
from bandersnatch.state.index_record import IndexRecord
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import (
    HTML_PAGES,
    JSON_PAGE,
    LOCAL_JSON,
    LOCAL_SERIAL,
    SIMPLE,
    StoredPath,
    page_path,
)
from bandersnatch.storage.tree import SearchedFile

COPIED_BYTES = 1024 * 1024
_HTML = tuple(page_path(SIMPLE, name) for name in HTML_PAGES)
_JSON = page_path(SIMPLE, JSON_PAGE)
_ALL = (*_HTML, _JSON, LOCAL_JSON)
_OUR_END = b"\n}\n"
"""How our ``local.json`` ends, and shadowmire's own does not."""

Render = Callable[[Iterable[IndexedProject]], Iterator[bytes]]


class RootIndex(Struct, frozen=True):
    """The root index of one mirror."""

    storage: FilesystemStorage
    config: PagesConfig

    def differing(
        self, projects: Callable[[], Iterable[IndexedProject]], serial: int, is_stopped: Callable[[], bool]
    ) -> Iterator[tuple[StoredPath, bool]]:
        """Yield the paths that ``write`` would write or delete, and whether each exists."""
        for paths, render in self._forms(serial):
            digests: set[str] = set()
            for path in paths:  # the HTML pages are identical
                is_there = self.storage.stat(path) is not None
                digests = digests or _digests(render(projects()))
                if not is_there or self._digest(path, is_stopped) not in digests:
                    yield path, is_there
        for path in self._not_wanted():
            yield path, True
        if self.config.legacy_json and (told := self.storage.read(LOCAL_SERIAL)) != _serial_line(serial):
            yield LOCAL_SERIAL, told is not None

    def write(self, projects: Iterable[IndexedProject], serial: int) -> None:
        """Write all configured forms that differ from those on disk, and delete the others.

        ``projects`` must be sorted by name; ``serial`` is the one that all of them have reached.
        """
        for path in self._not_wanted():
            self.storage.delete(path)
        forms = self._forms(serial)
        with ExitStack() as writing:
            writers = [[writing.enter_context(self.storage.rewrite(path)) for path in paths] for paths, _ in forms]
            # One pass over the projects for all forms, because reading them takes longer than rendering them.
            documents = [render(each) for (_, render), each in zip(forms, tee(projects, len(forms)), strict=True)]
            for pieces in zip_longest(*documents, fillvalue=b""):
                for piece, targets in zip(pieces, writers, strict=True):
                    for writer in targets:
                        writer.write(piece)
        self._write_serial(serial)

    def stamps(self) -> dict[StoredPath, str]:
        """Return the stamp of each configured form, by path."""
        return {path: stamp for path in root_paths(self.config) if (stamp := self.storage.stamp(path)) is not None}

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
        stamps = self.stamps()
        if stamps != record.stamps or len(stamps) != len(root_paths(self.config)) or self._not_wanted():
            return False
        with ExitStack() as opened:
            patched = []
            for path in stamps:
                old = opened.enter_context(self.storage.searched(path))
                try:
                    new = _patched(path, old, changes, serial)
                except UnknownFormError:
                    return False
                # The index and the inventory disagree; writing it in full puts that right.
                if record.lines + new.more != lines:
                    return False
                patched.append((path, old, new))
            for path, old, new in patched:
                if new.is_changed:
                    self._write_patched(path, old, new)
        self._write_serial(serial)
        return True

    def _forms(self, serial: int) -> list[tuple[Sequence[StoredPath], Render]]:
        """Return the configured forms: the paths of the files of each, which are identical, and what renders it."""
        forms: tuple[tuple[Sequence[StoredPath], Render], ...] = (
            (_HTML, render_root_html),
            ((_JSON,), partial(render_root_json, serial=serial)),
            ((LOCAL_JSON,), render_local_json),
        )
        wanted = root_paths(self.config)
        return [form for form in forms if form[0][0] in wanted]

    def _not_wanted(self) -> list[StoredPath]:
        """Return the files of forms that are not configured; a ``local.json`` that shadowmire left is not ours."""
        wanted = root_paths(self.config)
        found = [path for path in _ALL if path not in wanted and self.storage.stat(path) is not None]
        if LOCAL_JSON in found:
            if not self._is_our_local_json():
                found.remove(LOCAL_JSON)
            elif self.storage.stat(LOCAL_SERIAL) is not None:
                found.append(LOCAL_SERIAL)
        return found

    def _is_our_local_json(self) -> bool:
        with self.storage.searched(LOCAL_JSON) as document:
            return document[len(document) - len(_OUR_END) : len(document)] == _OUR_END

    def _write_serial(self, serial: int) -> None:
        """Write the mirror's serial for shadowmire, which reads it after ``local.json``, so it comes last."""
        if self.config.legacy_json:
            self.storage.write_bytes(LOCAL_SERIAL, _serial_line(serial))

    def _write_patched(self, path: StoredPath, old: SearchedFile, new: Patched) -> None:
        with self.storage.write(path) as writer:
            for piece in new.pieces:
                if isinstance(piece, bytes):
                    writer.write(piece)
                else:
                    for begin in range(piece[0], piece[1], COPIED_BYTES):
                        writer.write(old[begin : min(begin + COPIED_BYTES, piece[1])])

    def _digest(self, path: StoredPath, is_stopped: Callable[[], bool]) -> str | None:
        """Return the SHA-256 of a stored page, or None if it can't be read."""
        try:
            return self.storage.digest(path, "sha256", is_stopped)
        except StorageError:
            return None


def _patched(
    path: StoredPath, old: SearchedFile, changes: Mapping[NormalizedName, IndexedProject | None], serial: int
) -> Patched:
    if path == LOCAL_JSON:
        return patch_local(old, changes)
    return patch_json(old, changes, serial) if path == _JSON else patch_html(old, changes)


def _serial_line(serial: int) -> bytes:
    return f"{serial}\n".encode()


def _digests(pieces: Iterable[bytes]) -> set[str]:
    """Return the SHA-256 of a document, and of the same document as older code wrote it."""
    now, before = hashlib.sha256(), hashlib.sha256()
    for piece in pieces:
        now.update(piece)
        before.update(as_written_before(piece))
    return {now.hexdigest(), before.hexdigest()}
