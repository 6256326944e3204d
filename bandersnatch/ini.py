"""Reads a file of INI sections, and says by lines what in it is none.

Nobody else sees ``configparser``. Values are taken as they are, without interpolation.
"""

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bandersnatch.errors import ConfigError, ConfigMissingError, shown


@dataclass(frozen=True, slots=True)
class IniFile:
    """The sections of a file, each with the texts of its options; an option's lines are separated by newlines."""

    path: Path
    text: str
    sections: Mapping[str, Mapping[str, str]]

    def line_numbers(self, section: str, option: str) -> list[int]:
        """Return the numbers of the lines on which the value of an option stands, comments and empty lines left out."""
        numbers: list[int] = []
        here, indent, is_option = "", 0, False
        for number, line in enumerate(self.text.split("\n"), 1):
            stripped = line.strip()
            if not stripped or stripped[0] in "#;":
                continue
            column = len(line) - len(line.lstrip())
            if column > indent and here:
                numbers += [number] if is_option else []
                continue
            indent = column
            if header := re.match(r"\[(.+)\]", stripped):
                here, is_option = header[1], False
                indent = len(line)  # nothing goes on from a header
                continue
            name, _, value = stripped.partition("=")
            is_option = (here, name.strip()) == (section, option)
            numbers += [number] if is_option and value.strip() else []
        return numbers


def read_ini(path: Path, problems: list[str]) -> IniFile:
    """Read a file, and add what stands in it twice to ``problems``.

    Raises:
        ConfigMissingError: there is no such file.
        ConfigError: it can't be read, or is no INI.
    """
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, default_section="", strict=False)
    parser.optionxform = str  # type: ignore[method-assign, assignment]  # names are case-sensitive, as ever
    try:
        text = path.read_text(encoding="utf-8-sig")
        parser.read_string(text, str(path))
    except FileNotFoundError as error:
        raise ConfigMissingError(path) from error
    except OSError as error:
        raise ConfigError([f"{path}: can't be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}"]) from error
    except configparser.Error as error:
        raise ConfigError([f"{path}: {line}" for line in _explain(error, text)]) from error
    problems += [f"{path}: {line}" for line in _find_duplicates(text)]
    return IniFile(path, text, {name: dict(parser[name]) for name in parser.sections()})


def _find_duplicates(text: str) -> Iterator[str]:
    """Yield what stands in a file twice; ``configparser`` itself would tell of the first one only."""
    seen: set[str] = set()
    section, indent = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\[(.+)\]", line):
            section, indent = header[1], len(line)
            what = f"the section [{section}]"
        elif (option := re.match(r"\s*([^\s;#=\[][^=]*?)\s*=", line)) and option.start(1) <= indent:  # else it goes on
            indent = option.start(1)
            what = f"[{section}] {shown(option[1])}"
        else:
            continue
        if what in seen:
            yield f"line {number}: {what} stands there twice"
        seen.add(what)


def _explain(error: configparser.Error, text: str) -> list[str]:
    """Say what is wrong with a file that is not INI, without the source's name, which stands before it anyway."""
    match error:
        case configparser.MissingSectionHeaderError():
            return [
                f"line {error.lineno}: expected a section such as [mirror] first, not {shown(error.line.strip())!r}"
            ]
        case configparser.ParsingError():
            lines = text.split("\n")  # what the error itself says of them differs from one Python to the next
            wrong = ((number, lines[number - 1].strip()) for number, _ in error.errors)
            return [f"line {number}: expected name = value, not {shown(line)!r}" for number, line in wrong]
        case _:
            return [error.message]
