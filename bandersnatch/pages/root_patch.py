"""Changes a few lines of the root index, and copies all others unchanged.

Rendering the lines of 700,000 projects because fifty have changed costs ten times as much as copying them. Lines are
sorted by project name, so each is found by bisection; everything between changed lines is copied in one piece.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from msgspec import Struct

from bandersnatch.names import NormalizedName, canonicalize_name
from bandersnatch.pages.forms import IndexedProject
from bandersnatch.pages.render import render_local_json, render_root_html, render_root_json

_MOST_HEAD_BYTES = 4096


class UnknownFormError(Exception):
    """A root index is not in the form that we write."""


class Document(Protocol):
    """The bytes of a root index, in memory or in a file."""

    def find(self, sub: bytes, start: int, end: int, /) -> int:
        """Return where ``sub`` first occurs between two offsets, or -1."""

    def __len__(self) -> int: ...
    def __getitem__(self, span: slice, /) -> bytes: ...


class _Form(Struct, frozen=True):
    """The text around the lines of one form; none of it can occur in a project's name."""

    begin: bytes
    """The beginning of a line."""
    before_name: bytes
    after_name: bytes
    separator: bytes
    """The text between two lines."""
    tail: bytes
    """The text behind the last line."""


_HTML = _Form(b'    <a href="', b'href="', b'/"', b"", b"  </body>\n</html>\n")
_JSON = _Form(b'{"_last-serial":', b'"name":"', b'"', b",", b"]}\n")
_LOCAL = _Form(b'  "', b'"', b'"', b",\n", b"\n}\n")


class Patched(Struct, frozen=True):
    """A changed document: its ``pieces``, how many lines it has ``more``, and whether it differs from the old one."""

    pieces: list[bytes | tuple[int, int]]
    """New bytes, or offsets between which the old document is copied."""
    more: int
    is_changed: bool


def patch_html(old: Document, changes: Mapping[NormalizedName, IndexedProject | None]) -> Patched:
    """Return the PEP 503 root index with other lines for some projects; None removes a project's line.

    Raises:
        UnknownFormError: ``old`` is not in the form that we write.
    """
    return _patch(old, changes, _HTML, render_root_html)


def patch_json(old: Document, changes: Mapping[NormalizedName, IndexedProject | None], serial: int) -> Patched:
    """Return the PEP 691 root index, now at ``serial``, as ``patch_html`` does."""

    def render(projects: list[IndexedProject]) -> Iterator[bytes]:
        return render_root_json(projects, serial)

    return _patch(old, changes, _JSON, render)


def patch_local(old: Document, changes: Mapping[NormalizedName, IndexedProject | None]) -> Patched:
    """Return shadowmire's ``local.json``, as ``patch_html`` does."""
    return _patch(old, changes, _LOCAL, render_local_json)


def _patch(
    old: Document,
    changes: Mapping[NormalizedName, IndexedProject | None],
    form: _Form,
    render: Callable[[list[IndexedProject]], Iterator[bytes]],
) -> Patched:
    tail = form.tail
    head = b"".join(render([]))[: -len(tail)]
    begin, end = _lines_of(old, form, head)
    spans: list[bytes | tuple[int, int]] = []
    at, more, is_changed = begin, 0, old[:begin] != head
    for name in sorted(changes):
        project = changes[name]
        line = b"" if project is None else b"".join(render([project]))[len(head) : -len(tail)]
        found = _find(old, form, name, at, end)
        following = _end_of_line(old, form, found, end)
        is_there = found < end and _name_at(old, form, found, following) == name
        more += bool(line) - is_there
        # Unchanged, so it stays in the span that is copied.
        if line == (old[found : _without_separator(form, following, end)] if is_there else b""):
            continue
        is_changed = True
        if found > at:
            spans.append((at, _without_separator(form, found, end)))
        if line:
            spans.append(line)
        at = following if is_there else found
    if at < end:
        spans.append((at, end))
    pieces: list[bytes | tuple[int, int]] = [head]
    for number, span in enumerate(spans):
        pieces += [form.separator, span] if number else [span]
    return Patched([*pieces, tail], more, is_changed)


def _lines_of(old: Document, form: _Form, head: bytes) -> tuple[int, int]:
    """Return where the lines begin and end; the head of a JSON index differs, because it has an older serial."""
    is_json = form is _JSON
    mark = b'"projects":[' if is_json else head
    place = old.find(mark, 0, _MOST_HEAD_BYTES)
    begin, end = place + len(mark), len(old) - len(form.tail)
    is_ours = place >= 0 and begin <= end and old[end : len(old)] == form.tail and (is_json or place == 0)
    if not is_ours or (begin < end and old[begin : begin + len(form.begin)] != form.begin):
        raise UnknownFormError
    return begin, end


def _find(old: Document, form: _Form, name: NormalizedName, begin: int, end: int) -> int:
    """Return where the first line begins whose name does not sort before this one, or the end of all lines."""
    low, high = begin, end
    while low < high:
        middle = (low + high) // 2
        # The middle may be within a line: go on to the next beginning of a line.
        line = old.find(form.begin, middle, end)
        if line < 0 or line >= high or _name_at(old, form, line, _end_of_line(old, form, line, end)) >= name:
            high = middle
        else:
            low = line + 1
    line = old.find(form.begin, low, end)
    return line if line >= 0 else end


def _name_at(old: Document, form: _Form, line: int, line_end: int) -> NormalizedName:
    begin = old.find(form.before_name, line, line_end)
    after = old.find(form.after_name, begin + len(form.before_name), line_end)
    if begin < 0 or after < 0:
        raise UnknownFormError
    return canonicalize_name(old[begin + len(form.before_name) : after].decode("ascii", "replace"))


def _end_of_line(old: Document, form: _Form, line: int, end: int) -> int:
    """Return where the next line begins, or the end of all lines."""
    following = old.find(form.begin, line + 1, end)
    return following if following >= 0 else end


def _without_separator(form: _Form, place: int, end: int) -> int:
    """Return where the line before this place ends, without the separator."""
    return place - len(form.separator) if place < end else end
