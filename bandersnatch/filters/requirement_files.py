"""Reads requirement files as pip does: which projects they name, and in which versions.

Lines that end with a backslash continue, comments begin at the start of a line or after a space, ``-r`` and ``-c`` name
further files, relative to the current one. Markers, extras and hashes are parsed and ignored, because a mirror serves
every environment. Whatever does not come from an index (paths, URLs, ``-e``) is skipped, and so are all other options
of pip. Unlike pip, we fetch nothing: further files behind a URL are skipped with a warning.
"""

import codecs
import locale
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from msgspec import Struct, field
from packaging.requirements import InvalidRequirement, Requirement

from bandersnatch.filters.name_options import parse_requirement
from bandersnatch.refusals import reason_of
from bandersnatch.shown_text import shown, without_credentials

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is a prefix of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CODING = re.compile(rb"^\s*#.*coding[:=]\s*([-\w.]+)")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_FURTHER = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}
"""The options that name further files, and whether those are constraints."""
_EDITABLE = ("-e", "--editable")
_WITH_VALUE = (
    *_FURTHER, *_EDITABLE, "-i", "--index-url", "--pypi-url", "--extra-index-url", "-f", "--find-links", "--no-binary",
    "--only-binary", "--trusted-host", "--use-feature", "--hash", "-C", "--config-settings", "--config-setting",
    "--global-option",
)  # fmt: skip
_ARCHIVE = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")


class RequirementFileError(Exception):
    """A file can't be read, or one of its lines is not a requirement; the message names file and line."""


class RequirementFiles(Struct):
    """What a set of requirement files asks for."""

    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    """The lines that name files which are not read, and why."""
    _read: set[tuple[Path, bool]] = field(default_factory=set)

    def add(self, path: Path, *, is_constraint: bool = False) -> None:
        """Read a file, and those that it names.

        Raises:
            RequirementFileError: one of them can't be read or parsed.
        """
        # Files may include each other in a circle, and pip accepts that as well.
        if (path, is_constraint) in self._read:
            return
        self._read.add((path, is_constraint))
        for number, line in logical_lines(_text_of(path)):
            self._add_line(path, number, line, is_constraint=is_constraint)

    def _add_line(self, path: Path, number: int, line: str, *, is_constraint: bool) -> None:
        place = f"{path}: line {number}"
        if (further := _further_file(line)) is not None:
            name, is_nested_constraint = further
            if _URL.match(name):
                secretless = without_credentials(name)
                self.passed_over.append(f"{place}: {shown(secretless)}: not read: only files on this machine are")
            else:
                self.add(_joined(path.parent, name), is_constraint=is_constraint or is_nested_constraint)
            return
        text = _without_options(line)
        if not text or _is_no_project(text):
            return
        try:
            requirement = parse_requirement(text)
        except InvalidRequirement as error:
            reason = str(error).partition("\n")[0]
            raise RequirementFileError(f"{place}: {shown(text)}: expected a requirement: {reason}") from error
        (self.constraints if is_constraint else self.requirements).append(requirement)


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the logical lines of a requirement file with their numbers: joined, without comments, none empty."""
    pending: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        if line.endswith("\\") and not _COMMENT.match(line):
            pending.append(line.strip("\\"))  # all trailing backslashes, as pip does
            continue
        # A comment ends a continued line, as in pip; the space keeps it a comment when it is joined.
        pending.append(f" {line}" if _COMMENT.match(line) else line)
        yield from _finished(first, pending)
        pending, first = [], 0
    yield from _finished(first, pending)


def _finished(number: int, parts: list[str]) -> Iterator[tuple[int, str]]:
    line = _COMMENT.sub("", "".join(parts)).strip()
    if line:
        # An unset variable stays as it is written, as in pip.
        yield number, _VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[0], line)


def _text_of(path: Path) -> str:
    """Return the text of a file, in the encoding it declares, in UTF-8, or in the locale's."""
    try:
        # Reading a pipe that nobody writes to would block the run for ever.
        if path.is_fifo():
            raise RequirementFileError(f"{path}: can't be read: it is a pipe, and nobody may ever write to it")
        data = path.read_bytes()
    except OSError as error:
        raise RequirementFileError(f"{path}: can't be read: {reason_of(error, str(path))}") from error
    except ValueError as error:  # a NUL in the path
        raise RequirementFileError(f"{shown(str(path))}: can't be read: {error}") from error
    # The order in which pip tries them.
    encodings = ["utf-8", locale.getpreferredencoding(do_setlocale=False)]
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            data, encodings = (data[len(bom) :] if encoding == "utf-8" else data), [encoding]
            break
    else:
        # As in Python source (PEP 263), a coding line counts only among the first two.
        for line in data.split(b"\n")[:2]:
            if told := _CODING.match(line):
                encodings = [told[1].decode("ascii")]
    reason = ""
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError) as error:
            reason = reason or str(error)
    raise RequirementFileError(f"{path}: is not text: {reason}")


def _joined(folder: Path, name: str) -> Path:
    if name.lower().startswith("file:"):
        # file:///path, file://localhost/path and file:path all mean a path on this machine.
        name = unquote(name[len("file:") :].removeprefix("//localhost"))
        name = re.sub("^//+", "/", name)
    return Path(os.path.normpath(folder / name))


def _further_file(line: str) -> tuple[str, bool] | None:
    """Return the file that a line's options name, and whether it is a constraints file; None if they name none.

    As with pip, the first of several requirement files counts, and constraints only if there is none.
    """
    if not line.startswith("-"):
        return None
    found: dict[bool, str] = {}
    for option, value in _options(line):
        if option in _EDITABLE:
            return None
        if option in _FURTHER:
            found.setdefault(_FURTHER[option], value)
    for is_constraint in (False, True):
        if is_constraint in found:
            return found[is_constraint], is_constraint
    return None


def _options(line: str) -> Iterator[tuple[str, str]]:
    """Yield the options of a line with their values, which may be empty."""
    try:
        words = iter(shlex.split(line))
    except ValueError:  # an unclosed quotation mark
        words = iter(line.split())
    for word in words:
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            yield option, value if equals or option not in _WITH_VALUE else next(words, "")
        elif word.startswith("-"):
            option, value = word[:2], word[2:]
            yield option, value if value or option not in _WITH_VALUE else next(words, "")


def _without_options(line: str) -> str:
    """Return the requirement without the options that may follow it, such as ``--hash``."""
    words = line.split(" ")
    kept = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    return " ".join(words[:kept]).strip()


def _is_no_project(text: str) -> bool:
    """Whether a line names a path or a bare URL; ``name @ URL`` has a project's name."""
    target = text.partition(";")[0].strip()
    has_name = re.match(r"[A-Za-z0-9._-]+\s*(\[.*?\])?\s*@", target) is not None
    looks_like_path = target.startswith((".", "/", "~")) or target.lower().endswith(_ARCHIVE) or os.sep in target
    return not has_name and ("://" in target or looks_like_path)
