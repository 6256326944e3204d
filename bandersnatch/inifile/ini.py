"""Reads INI files, and remembers the line number of every option.

The rules are those of ``configparser``, which does not keep line numbers. Values are returned as written;
``config/config_file.py`` interprets ``%(name)s`` and ``[DEFAULT]``.
"""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct, field

from bandersnatch.errors import ConfigError, ConfigMissingError
from bandersnatch.inifile.masking import masked_line
from bandersnatch.refusals import reason_of
from bandersnatch.shown_text import shown

DEFAULT_SECTION = "DEFAULT"


class Line(Struct, frozen=True):
    """One line of an option's value, stripped; it may be empty."""

    number: int
    text: str


class IniOption(Struct, frozen=True):
    """An option as written in a file."""

    number: int
    """The line of the option's name."""
    lines: tuple[Line, ...]
    is_helper: bool = False
    """Whether the option exists only for others to refer to."""

    @property
    def text(self) -> str:
        """The whole value, its lines joined by newlines."""
        return "\n".join(line.text for line in self.lines).rstrip()


class IniSection(Struct, frozen=True):
    """The options of a section, and the line of its header."""

    number: int
    options: Mapping[str, IniOption]
    broken: frozenset[str] = frozenset()
    """The options that are present but can't be read; their problems have been reported."""


class IniFile(Struct, frozen=True):
    """The sections of a file."""

    path: Path
    sections: Mapping[str, IniSection]

    def options(self, section: str) -> Mapping[str, IniOption]:
        """Return the options of a section; none if the section is missing."""
        return self.sections[section].options if section in self.sections else {}

    def is_broken(self, section: str, option: str) -> bool:
        """Whether an option can't be read, which has already been reported."""
        return section in self.sections and option in self.sections[section].broken

    def place(self, section: str, option: str | None = None, number: int | None = None) -> str:
        """Return the place of something, to begin a message with: file, line, section and option."""
        options = self.options(section)
        if number is None and option is not None and option in options:
            number = options[option].number
        if number is None and section in self.sections:
            number = self.sections[section].number
        line = f"line {number}: " if number is not None else ""
        return f"{self.path}: {line}[{section}]" + (f" {option}" if option is not None else "")


def read_ini(path: Path, problems: list[str]) -> IniFile:
    """Read a file, and add its invalid lines and its duplicates to ``problems``.

    Raises:
        ConfigMissingError: there is no such file.
        ConfigError: it can't be read, or has no section at all.
    """
    try:
        # Editors on Windows may put a byte order mark first, which would make the first header unreadable.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigMissingError(path) from error
    except OSError as error:
        raise ConfigError([f"{path}: can't be read: {reason_of(error, str(path))}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}"]) from error
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        reader.take(number, line)
    if reader.wrong and not reader.sections:
        raise ConfigError([f"{path}: {problem}" for problem in reader.wrong])
    problems += [f"{path}: {problem}" for problem in (*reader.wrong, *reader.twice)]
    return IniFile(path, {name: section.finished() for name, section in reader.sections.items()})


def in_order_of_lines(path: Path, problems: Iterable[str]) -> list[str]:
    """Return a file's problems in the order of its lines; those without a line first, those of other files last."""

    def line(problem: str) -> float:
        if not problem.startswith(f"{path}: "):
            return math.inf
        found = re.match(r"line (\d+): ", problem.removeprefix(f"{path}: "))
        return int(found[1]) if found else 0

    return sorted(problems, key=line)


class _OpenSection(Struct):
    """A section that is still being read."""

    name: str
    number: int
    options: dict[str, list[Line]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def finished(self) -> IniSection:
        """Return the section with all its options."""
        options = {name: IniOption(lines[0].number, tuple(lines)) for name, lines in self.options.items()}
        return IniSection(self.number, options, frozenset(self.broken - options.keys()))


class _Reader(Struct):
    """Takes a file line by line; ``wrong`` collects invalid lines, ``twice`` duplicates."""

    sections: dict[str, _OpenSection] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    _section: _OpenSection | None = None
    _lines: list[Line] | None = None
    """The lines of the option that a more deeply indented line continues."""
    _indent: int = 0

    def take(self, number: int, line: str) -> None:
        """Take the next line."""
        stripped = line.strip()
        if stripped.startswith(("#", ";")):
            return
        if not stripped:
            if self._lines is not None:
                self._lines.append(Line(number, ""))
            return
        indent = len(line) - len(line.lstrip())
        # The rule of configparser: deeper indentation continues a value, even if the line looks like an option.
        if self._lines is not None and indent > self._indent:
            self._lines.append(Line(number, stripped))
            return
        self._indent = indent
        if header := re.match(r"\[(.+)\]", stripped):
            self._begin_section(number, header[1])
        elif self._section is None:
            # One report is enough: without a header, every line of the file would be wrong.
            if not self.wrong:
                self.wrong.append(
                    f"line {number}: expected a section such as [mirror] first, not {shown(masked_line(stripped))!r}"
                )
        else:
            self._begin_option(self._section, number, stripped)

    def _begin_section(self, number: int, name: str) -> None:
        if name in self.sections and name != DEFAULT_SECTION:
            self.twice.append(f"line {number}: the section [{name}] is there twice")
        self._section = self.sections.setdefault(name, _OpenSection(name, number))
        self._lines = None

    def _begin_option(self, section: _OpenSection, number: int, stripped: str) -> None:
        name, equals, value = stripped.partition("=")
        name = name.rstrip()
        if not equals or not name:
            self.wrong.append(f"line {number}: expected name = value, not {shown(masked_line(stripped))!r}")
            # Its first word is probably the option that was meant, so that is not reported as missing.
            section.broken.add(re.split(r"[\s:=]", stripped, maxsplit=1)[0])
            self._lines = []  # indented lines that follow belong to it, and are not reported again
            return
        if name in section.options:
            self.twice.append(f"line {number}: [{section.name}] {shown(name)} is there twice")
        section.options[name] = self._lines = [Line(number, value.strip())]
