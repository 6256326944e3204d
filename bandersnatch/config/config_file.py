"""Reads a configuration file, and resolves the references in its values.

``%(name)s`` in a value stands for another option of its section or of ``[DEFAULT]``, as in ``configparser``;
``{{section_option}}`` in ``diff-file`` stands for an option of any section. ``[DEFAULT]`` gives its options to every
section that knows them. Each option keeps its line number in the file.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from bandersnatch.config.option_table import ALIASES, IGNORED_MIRROR_OPTIONS, MIRROR_OPTIONS, UPSTREAM_OPTIONS
from bandersnatch.filters.settings import FILTER_SECTIONS, is_filter_option
from bandersnatch.inifile.ini import DEFAULT_SECTION, IniFile, IniOption, IniSection, Line, read_ini
from bandersnatch.inifile.suggestions import suggestion
from bandersnatch.shown_text import shown

MOST_NESTED = 10
MOST_REFERENCES = 10_000
MOST_CHARACTERS = 1_000_000
"""What the references in one value may come to. A few nested ones, each used many times, could fill all memory."""
_SECTIONS = ("mirror", *FILTER_SECTIONS)
_MIRROR_DEFAULTS = {option.name: option.default for option in MIRROR_OPTIONS}
_MIRROR_NAMES = frozenset({*_MIRROR_DEFAULTS, *ALIASES, *IGNORED_MIRROR_OPTIONS})
_UPSTREAM_NAMES = frozenset(option.name for option in UPSTREAM_OPTIONS)
_PERCENT = re.compile(r"%%|%\(([^)]+)\)s")
_BRACES = re.compile(r"\{\{\s*([^_\s{}](?:[^_{}]*[^_\s{}])?)\s*_\s*([^\s{}](?:[^{}]*[^\s{}])?)\s*\}\}")


class _ReferenceError(Exception):
    """A reference leads nowhere, or is endless; the message says which."""


def read_config_file(path: Path, problems: list[str]) -> IniFile:
    """Read a file, and add the problems of the file as a whole to ``problems``.

    Raises:
        ConfigMissingError: there is no such file.
        ConfigError: it can't be read, or has no section at all.
    """
    ini = read_ini(path, problems)
    shared = ini.options(DEFAULT_SECTION)
    sections: dict[str, IniSection] = {}
    used: set[str] = set()  # names of shared options that something uses
    for name, section in ini.sections.items():
        # Only options that the section knows: others in [DEFAULT] may exist just to be referred to.
        given = {option: value for option, value in shared.items() if is_option(name, option)}
        references = _References({**shared, **section.options})
        sections[name] = references.resolve(ini, name, replace(section, options={**given, **section.options}), problems)
        used |= references.used - (section.options.keys() if name != DEFAULT_SECTION else set())
    resolved, used_by_diff_file = _with_diff_file(IniFile(path, sections), problems)
    known = sorted({*_MIRROR_NAMES, *(each for options in FILTER_SECTIONS.values() for each in options or ())})
    for option in shared:
        if option not in used | used_by_diff_file and not any(is_option(each, option) for each in _SECTIONS):
            place = ini.place(DEFAULT_SECTION, option)
            problems.append(f"{place}: no section has such an option{suggestion(option, known)}")
    return resolved


def is_option(section: str, name: str) -> bool:
    """Whether a section has an option of this name; an unknown section has none."""
    if section == "mirror":
        return name in _MIRROR_NAMES
    if section.startswith("upstream "):
        return name in _UPSTREAM_NAMES
    return is_filter_option(section, name)


class _TooMuchError(_ReferenceError):
    """The references in a value come to more than is allowed."""


class _Room:
    """Counts what the references in one value come to, nested ones included."""

    def __init__(self) -> None:
        self._references = self._characters = 0

    def take(self, text: str) -> str:
        """Return what a reference stands for.

        Raises:
            _TooMuchError: with it, there are too many references, or too much text.
        """
        self._references += 1
        self._characters += len(text)
        if self._references > MOST_REFERENCES:
            raise _TooMuchError(f"expected at most {MOST_REFERENCES:,} references in a value, nested ones included")
        if self._characters > MOST_CHARACTERS:
            raise _TooMuchError(f"expected no more than {MOST_CHARACTERS:,} characters in a value, references included")
        return text


class _References(Struct):
    """What ``%(name)s`` may stand for in one section; ``used`` collects the names that were referred to."""

    options: Mapping[str, IniOption]
    used: set[str] = field(default_factory=set)

    def resolve(self, ini: IniFile, name: str, section: IniSection, problems: list[str]) -> IniSection:
        """Return the section with all references resolved, without the options whose references are endless."""
        resolved: dict[str, IniOption] = {}
        broken = set(section.broken)
        is_too_much = False
        for option, value in section.options.items():
            lines: list[Line] = []
            room = _Room()
            for line in value.lines:
                try:
                    texts = self._expanded(line.text, (option,), room).split("\n")
                except _ReferenceError as error:
                    problem = f"{ini.place(name, option, line.number)}: {error}"
                    broken.add(option)
                    # Where one value is too much, so are those that refer to it: the first is the one to be told.
                    if problem not in problems and not (is_too_much and isinstance(error, _TooMuchError)):
                        problems.append(problem)
                    is_too_much = is_too_much or isinstance(error, _TooMuchError)
                else:
                    lines += [Line(line.number, text.strip()) for text in texts]
            resolved[option] = replace(value, lines=tuple(lines))
        # An option that only others refer to, such as a folder written once, is legal although the section does not
        # know it.
        for option in resolved.keys() & self.used:
            resolved[option] = replace(resolved[option], is_helper=not is_option(name, option))
        options = {option: value for option, value in resolved.items() if option not in broken}
        return replace(section, options=options, broken=frozenset(broken))

    def _expanded(self, text: str, names: tuple[str, ...], room: _Room) -> str:
        """Return a text with its references resolved; ``names`` is the chain of options that led here."""

        def value(found: re.Match[str]) -> str:
            name: str | None = found[1]
            if name is None:
                return "%"  # configparser, and so other versions, want a "%" doubled
            if name not in self.options:
                return found[0]
            if name in names:
                raise _ReferenceError(f"the reference never ends: {' -> '.join((*names, name))}")
            if len(names) > MOST_NESTED:
                raise _ReferenceError(f"expected at most {MOST_NESTED} references, each of which leads to the next")
            self.used.add(name)
            return self._expanded(room.take(self.options[name].text), (*names, name), room)

        return _PERCENT.sub(value, text)


def _with_diff_file(ini: IniFile, problems: list[str]) -> tuple[IniFile, set[str]]:
    """Resolve ``{{section_option}}`` in ``diff-file``; also return the names of the options it uses."""
    option = ini.options("mirror").get("diff-file")
    if option is None or "{{" not in option.text:
        return ini, set()
    options = {name: dict(section.options) for name, section in ini.sections.items()}
    try:
        room = _Room()
        text = _BRACES.sub(lambda found: room.take(_value_of(ini, found)), option.text)
        if "{{" in text:
            raise _ReferenceError("expected {{section_option}} between the braces, such as {{mirror_directory}}")
        options["mirror"]["diff-file"] = replace(option, lines=(Line(option.number, text),))
    except _ReferenceError as error:
        problems.append(f"{ini.place('mirror', 'diff-file')} = {shown(option.text)}: {error}")
        del options["mirror"]["diff-file"]
    used = _BRACES.findall(option.text)
    for section, name in used:
        if name in options.get(section, {}):
            options[section][name] = replace(options[section][name], is_helper=not is_option(section, name))
    sections = {name: replace(section, options=options[name]) for name, section in ini.sections.items()}
    return replace(ini, sections=sections), {name for _, name in used}


def _value_of(ini: IniFile, found: re.Match[str]) -> str:
    """Return the value of an option, or its default."""
    section, name = found[1], found[2]
    given = {**ini.options(DEFAULT_SECTION), **ini.options(section)}
    known: dict[str, str | None] = {option: value.text for option, value in given.items()}
    if section == "mirror":
        written = {ALIASES.get(option, option): text for option, text in known.items() if text}
        known = {**known, **_MIRROR_DEFAULTS, **written}
        name = ALIASES.get(name, name)
    elif section not in ini.sections:
        names = ["mirror", *ini.sections]
        raise _ReferenceError(f"there is no section [{section}] for {found[0]}{suggestion(section, names)}")
    value = known.get(name)
    if value is None:
        raise _ReferenceError(f"[{section}] has no option {name} for {found[0]}{suggestion(name, known)}")
    return value
