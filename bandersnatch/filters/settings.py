"""The filter sections of a configuration file, entry by entry, each with its line for messages.

One entry stands on each line of a value. A doubled ``%`` counts as one, since older configurations had to double it.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bandersnatch.errors import shown
from bandersnatch.ini import IniFile

ANY_OPTION = None
"""For the sections whose names of options are paths into the metadata of a project."""

FILTER_SECTIONS: Mapping[str, tuple[str, ...] | None] = {
    "plugins": ("enabled",),
    "allowlist": ("packages", "requirements", "requirements_path"),
    "blocklist": ("packages", "platforms"),
    "filter_regex": ("packages", "releases"),
    "filter_prerelease": ("packages",),
    "latest_release": ("keep", "sort_by"),
    "exclude_newer": ("date",),
    "size_project_metadata": ("max_package_size",),
    "versions_count_project_metadata": ("min_versions", "max_versions"),
    "regex_project_metadata": ANY_OPTION,
    "regex_release_file_metadata": ANY_OPTION,
    "version_range_project_metadata": ANY_OPTION,
    "version_range_release_file_metadata": ANY_OPTION,
}
OLD_SECTIONS = {"whitelist": "allowlist", "blacklist": "blocklist"}
SIMILAR_ENOUGH = 0.75


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an option's value."""

    section: str
    option: str
    text: str
    line: int | None = None

    def without_comment(self) -> "Entry":
        """Return the entry without a comment that follows after a space; for lists in which no entry can hold one."""
        return Entry(self.section, self.option, re.sub(r"(^|\s+)#.*", "", self.text), self.line)


@dataclass(slots=True)
class Settings:
    """The filter sections of one file, under today's names; what is wrong with them is gathered here."""

    ini: IniFile
    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _names_in_file: dict[str, str] = field(default_factory=dict)
    _wrong: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        for section, options in self.ini.sections.items():
            name = OLD_SECTIONS.get(section, section)
            if name not in FILTER_SECTIONS:
                continue
            if name != section:
                if name in self.ini.sections:
                    self.warnings.append(f"{self.ini.path}: [{section}]: ignored, since there is [{name}] too")
                    continue
                self.remarks.append(f"{self.ini.path}: [{section}]: its name is [{name}] today")
            self._names_in_file[name] = section
            self.sections[name] = {option: value.replace("%%", "%") for option, value in options.items()}
            self._check_options(name)

    def has(self, section: str, option: str) -> bool:
        """Whether an option is there and not empty."""
        return bool(self.sections.get(section, {}).get(option, "").strip())

    def options(self, section: str) -> list[str]:
        """Return the names of the options of a section."""
        return list(self.sections.get(section, {}))

    def entries(self, section: str, option: str) -> list[Entry]:
        """Return the lines of an option's value; none where it is empty, or not there."""
        lines = [line.strip() for line in self.sections.get(section, {}).get(option, "").split("\n")]
        texts = [line for line in lines if line and not line.startswith("#")]
        numbers = self.ini.line_numbers(self._names_in_file.get(section, section), option) if texts else []
        # Where the two ways of reading disagree, no number is better than a wrong one.
        known = numbers if len(numbers) == len(texts) else [None] * len(texts)
        return [Entry(section, option, text, number) for text, number in zip(texts, known, strict=True)]

    def value(self, section: str, option: str) -> Entry | None:
        """Return the value of an option that has one line; where there are more, that is a problem."""
        entries = self.entries(section, option)
        if len(entries) > 1:
            self.add_problem(entries[1], "expected one value, on one line")
        return entries[0] if entries else None

    def add_problem(self, entry: Entry, reason: str) -> None:
        """Note what is wrong with an entry: where it stands, and what is allowed. Several filters may read it."""
        place = f"{self.ini.path}: " + (f"line {entry.line}: " if entry.line else "")
        section = self._names_in_file.get(entry.section, entry.section)
        problem = f"{place}[{section}] {entry.option}: {shown(entry.text)}: {reason}"
        if problem not in self.problems:
            self.problems.append(problem)
        self._wrong.add((entry.section, entry.option))

    def is_wrong(self, section: str, option: str) -> bool:
        """Whether something is wrong with an entry of an option."""
        return (section, option) in self._wrong

    def number(self, entry: Entry | None) -> int:
        """Return the whole number of an entry; 0 where there is none, or where it is no number, which is a problem."""
        if entry is None:
            return 0
        if re.fullmatch(r"\d{1,9}", entry.text, re.ASCII) is None:
            self.add_problem(entry, "expected a whole number; 0 switches it off")
            return 0
        return int(entry.text)

    def _check_options(self, section: str) -> None:
        known = FILTER_SECTIONS[section]
        if known is ANY_OPTION:
            return
        for option in self.sections[section]:
            place = f"{self.ini.path}: [{self._names_in_file[section]}] {option}"
            if option == "plugins":
                self.remarks.append(f"{place}: ignored; filters are enabled by [plugins] enabled")
            elif option not in known:
                close = difflib.get_close_matches(option, known, n=1, cutoff=SIMILAR_ENOUGH)
                suggestion = f' (did you mean "{close[0]}"?)' if close else f"; expected {' or '.join(known)}"
                self.problems.append(f"{place}: unknown option{suggestion}")
