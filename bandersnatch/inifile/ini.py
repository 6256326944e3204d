"""Reads a file of INI sections, and knows the line of all that stands in it.

The rules are those of ``configparser``, which forgets the lines. Values are as they stand there; what ``%(name)s`` and
``[DEFAULT]`` mean is for ``config/config_file.py``.
"""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct, field

from bandersnatch.errors import ConfigError, ConfigMissingError, shown
from bandersnatch.inifile.masking import masked_line
from bandersnatch.refusals import reason_of

DEFAULT_SECTION = "DEFAULT"


class Line(Struct, frozen=True):
    """One line of an option's value, without the spaces around it; it may be empty."""

    number: int
    text: str


class IniOption(Struct, frozen=True):
    """An option as a file has it."""

    number: int
    """The line with its name."""
    lines: tuple[Line, ...]
    is_helper: bool = False
    """Whether it is there for other options only, which refer to it."""

    @property
    def text(self) -> str:
        """The whole value; its lines are separated by newlines."""
        return "\n".join(line.text for line in self.lines).rstrip()


class IniSection(Struct, frozen=True):
    """The options of a section, and the line on which it begins."""

    number: int
    options: Mapping[str, IniOption]
    broken: frozenset[str] = frozenset()
    """The options that are there, and that can't be read; what is wrong with them is told already."""


class IniFile(Struct, frozen=True):
    """The sections of a file."""

    path: Path
    sections: Mapping[str, IniSection]

    def options(self, section: str) -> Mapping[str, IniOption]:
        """Return the options of a section; none where it is not there."""
        return self.sections[section].options if section in self.sections else {}

    def is_broken(self, section: str, option: str) -> bool:
        """Whether it is told already why an option can't be read."""
        return section in self.sections and option in self.sections[section].broken

    def place(self, section: str, option: str | None = None, number: int | None = None) -> str:
        """Return where something stands, for the beginning of a message: file, line, section and option."""
        options = self.options(section)
        if number is None and option is not None and option in options:
            number = options[option].number
        if number is None and section in self.sections:
            number = self.sections[section].number
        line = f"line {number}: " if number is not None else ""
        return f"{self.path}: {line}[{section}]" + (f" {option}" if option is not None else "")


def read_ini(path: Path, problems: list[str]) -> IniFile:
    """Read a file, and add the lines that are no INI, and what stands there twice, to ``problems``.

    Raises:
        ConfigMissingError: there is no such file.
        ConfigError: it can't be read, or has no section at all.
    """
    try:
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
    """Return the problems of a file as one meets them in it; first what is of no line, and last what is of other files."""

    def line(problem: str) -> float:
        if not problem.startswith(f"{path}: "):
            return math.inf
        found = re.match(r"line (\d+): ", problem.removeprefix(f"{path}: "))
        return int(found[1]) if found else 0

    return sorted(problems, key=line)


class _OpenSection(Struct):
    """A section that is being read."""

    name: str
    number: int
    options: dict[str, list[Line]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def finished(self) -> IniSection:
        """Return it with all of its options."""
        options = {name: IniOption(lines[0].number, tuple(lines)) for name, lines in self.options.items()}
        return IniSection(self.number, options, frozenset(self.broken - options.keys()))


class _Reader(Struct):
    """Takes a file line by line; ``wrong`` and ``twice`` say what is no INI, and what stands there twice."""

    sections: dict[str, _OpenSection] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    _section: _OpenSection | None = None
    _lines: list[Line] | None = None
    """Those of the option that a line further in goes on with."""
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
        if self._lines is not None and indent > self._indent:
            self._lines.append(Line(number, stripped))
            return
        self._indent = indent
        if header := re.match(r"\[(.+)\]", stripped):
            self._begin_section(number, header[1])
        elif self._section is None:
            if not self.wrong:
                self.wrong.append(
                    f"line {number}: expected a section such as [mirror] first, not {shown(masked_line(stripped))!r}"
                )
        else:
            self._begin_option(self._section, number, stripped)

    def _begin_section(self, number: int, name: str) -> None:
        if name in self.sections and name != DEFAULT_SECTION:
            self.twice.append(f"line {number}: the section [{name}] stands there twice")
        self._section = self.sections.setdefault(name, _OpenSection(name, number))
        self._lines = None

    def _begin_option(self, section: _OpenSection, number: int, stripped: str) -> None:
        name, equals, value = stripped.partition("=")
        name = name.rstrip()
        if not equals or not name:
            self.wrong.append(f"line {number}: expected name = value, not {shown(masked_line(stripped))!r}")
            section.broken.add(re.split(r"[\s:=]", stripped, maxsplit=1)[0])
            self._lines = []  # what is further in goes on with it
            return
        if name in section.options:
            self.twice.append(f"line {number}: [{section.name}] {shown(name)} stands there twice")
        section.options[name] = self._lines = [Line(number, value.strip())]
