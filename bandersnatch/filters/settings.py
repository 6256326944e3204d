"""The filter sections of a configuration file, entry by entry, each with its line for messages.

One entry stands on each line of a value.
"""

import re
from collections.abc import Mapping

from msgspec import Struct, field

from bandersnatch.errors import shown
from bandersnatch.inifile.ini import IniFile, IniOption
from bandersnatch.inifile.option import OptionError
from bandersnatch.inifile.readers import read_bool
from bandersnatch.inifile.suggestions import suggestion

ANY_OPTION = None
"""For the sections whose names of options are paths into the metadata of a project."""
ANY_PATH = "any path"

FILTER_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "plugins": {"enabled": "3.2"},
    "allowlist": {"packages": "3.0", "requirements": "4.4", "requirements_path": "4.4"},
    "blocklist": {"packages": "2.1", "platforms": "3.3"},
    "filter_regex": {"packages": "3.1", "releases": "3.1", "search": "new"},
    "filter_prerelease": {"packages": "6.1"},
    "latest_release": {"keep": "3.3", "sort_by": "6.5"},
    "exclude_newer": {"date": "new"},
    "size_project_metadata": {"max_package_size": "5.0"},
    "versions_count_project_metadata": {"min_versions": "8.0", "max_versions": "8.0"},
    "regex_project_metadata": {ANY_PATH: "4.0"},
    "regex_release_file_metadata": {ANY_PATH: "4.0"},
    "version_range_project_metadata": {ANY_PATH: "new"},
    "version_range_release_file_metadata": {ANY_PATH: "4.0"},
}
"""All sections about filters with their options, and since which version of the older bandersnatch they are there."""
FILTER_SECTIONS: Mapping[str, tuple[str, ...] | None] = {
    section: ANY_OPTION if ANY_PATH in options else tuple(options) for section, options in FILTER_OPTIONS.items()
}
FILTER_READS: Mapping[str, tuple[str, str | None]] = {
    "allowlist_project": ("allowlist", "packages"),
    "allowlist_release": ("allowlist", "packages"),
    "blocklist_project": ("blocklist", "packages"),
    "blocklist_release": ("blocklist", "packages"),
    "exclude_newer": ("exclude_newer", "date"),
    "exclude_platform": ("blocklist", "platforms"),
    "latest_release": ("latest_release", "keep"),
    "prerelease_release": ("filter_prerelease", "packages"),
    "project_requirements": ("allowlist", "requirements"),
    "project_requirements_pinned": ("allowlist", "requirements"),
    "regex_project": ("filter_regex", "packages"),
    "regex_project_metadata": ("regex_project_metadata", ANY_OPTION),
    "regex_release": ("filter_regex", "releases"),
    "regex_release_file_metadata": ("regex_release_file_metadata", ANY_OPTION),
    "size_project_metadata": ("size_project_metadata", "max_package_size"),
    "version_range_project_metadata": ("version_range_project_metadata", ANY_OPTION),
    "version_range_release_file_metadata": ("version_range_release_file_metadata", ANY_OPTION),
    "versions_count_project_metadata": ("versions_count_project_metadata", ANY_OPTION),
}
"""The section and the option that each filter reads; ``ANY_OPTION`` stands for all options of its section."""
_PROJECT_ROOTS = ("info", "last_serial", "ownership", "releases", "urls", "vulnerabilities")
_FILE_ROOTS = ("info", "release", "release_file")
METADATA_ROOTS: Mapping[str, tuple[str, ...]] = {
    "regex_project_metadata": _PROJECT_ROOTS,
    "regex_release_file_metadata": _FILE_ROOTS,
    "version_range_project_metadata": _PROJECT_ROOTS,
    "version_range_release_file_metadata": _FILE_ROOTS,
}
"""With what such paths begin."""
METADATA_FIELDS: Mapping[str, frozenset[str]] = {
    "info": frozenset({
        "author", "author_email", "bugtrack_url", "classifiers", "description", "description_content_type", "docs_url",
        "download_url", "downloads", "dynamic", "home_page", "keywords", "license", "license_expression", "license_files",
        "maintainer", "maintainer_email", "name", "package_url", "platform", "project_url", "project_urls",
        "provides_extra", "release_url", "requires_dist", "requires_python", "summary", "version", "yanked",
        "yanked_reason",
    }),
    "release_file": frozenset({
        "comment_text", "core-metadata", "digests", "downloads", "filename", "has_sig", "md5_digest", "packagetype",
        "python_version", "requires_python", "size", "upload_time", "upload_time_iso_8601", "url", "yanked",
        "yanked_reason",
    }),
}  # fmt: skip
"""What PyPI's legacy JSON tells; that of another index may tell more."""
OLD_SECTIONS = {"whitelist": "allowlist", "blacklist": "blocklist", "regex": "filter_regex"}
_OLD_ENABLED = "plugins"
"""Up to version 4 ``[blacklist] plugins`` enabled filters; where ``[plugins] enabled`` stood there too, it was overruled."""


def is_filter_option(section: str, name: str) -> bool:
    """Whether a section about filters has such an option, under its old name too."""
    section = OLD_SECTIONS.get(section, section)
    known = FILTER_SECTIONS.get(section, ())
    return metadata_path(name)[0] in METADATA_ROOTS[section] if known is ANY_OPTION else name in known


def filter_of(section: str) -> tuple[str, str] | None:
    """Return the filter that a section which is none of ours has its name from, and what that one reads, or None."""
    name = _todays_name(section)
    if name not in FILTER_READS:
        return None
    reads, option = FILTER_READS[name]
    return name, f"[{reads}]" if option is None else f"[{reads}] {option}"


def metadata_path(option: str) -> tuple[str, ...]:
    """Return the path in the name of an option, ``tag:tag:dotted.path``."""
    return tuple(option.rpartition(":")[2].strip().split("."))


class Entry(Struct, frozen=True):
    """One line of an option's value."""

    section: str
    option: str
    text: str
    line: int

    def without_comment(self) -> "Entry":
        """Return the entry without a comment behind it; for lists in which no entry can hold a ``#``."""
        return Entry(self.section, self.option, self.text.partition("#")[0].rstrip(), self.line)


class Settings(Struct):
    """The filter sections of one file, under today's names; what is wrong with them is gathered here."""

    ini: IniFile
    sections: dict[str, dict[str, IniOption]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    enabling: tuple[str, str] = ("plugins", "enabled")
    """The section and the option that say which filters are enabled."""
    _enabled_in: str = "blocklist"
    _names_in_file: dict[str, str] = field(default_factory=dict)
    _wrong: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        for section in self.ini.sections:
            name = OLD_SECTIONS.get(section, section)
            if name not in FILTER_SECTIONS:
                continue
            if name != section and name in self.ini.sections:
                self._compare_with_todays(section, name)
                continue
            if name != section:
                self.remarks.append(f"{self.ini.place(section)}: its name is [{name}] today")
            self._names_in_file[name] = section
            self._wrong |= {(name, option) for option in self.ini.sections[section].broken}
            options = self.ini.options(section)
            self.sections[name] = {each: option for each, option in options.items() if not option.is_helper}
            self._check_options(name)
        for section in ("blacklist", "blocklist"):
            if _OLD_ENABLED in self.ini.options(section):
                self._take_old_enabled(section)

    @property
    def says_what_is_enabled(self) -> bool:
        """Whether the file says which filters are enabled, be it that none is."""
        section, option = self.enabling
        return option in self.sections.get(section, {})

    def is_of_2_or_3(self, section: str) -> bool:
        """Whether a section may be of the versions 2.1 to 3.1, in which lists acted without being enabled."""
        return section == "filter_regex" or self._names_in_file.get(section) in OLD_SECTIONS

    def has(self, section: str, option: str) -> bool:
        """Whether an option is there and not empty."""
        return bool(self.entries(section, option))

    def options(self, section: str) -> list[str]:
        """Return the names of the options of a section."""
        return list(self.sections.get(section, {}))

    def entries(self, section: str, option: str) -> list[Entry]:
        """Return the lines of an option's value; none where it is empty, or not there."""
        found = self.sections.get(section, {}).get(option)
        lines = found.lines if found is not None else ()
        return [Entry(section, option, line.text, line.number) for line in lines if line.text and line.text[0] != "#"]

    def name(self, section: str, option: str) -> Entry:
        """Return the name of an option as an entry, for what is wrong with that."""
        return Entry(section, option, option, self.sections[section][option].number)

    def place(self, section: str, option: str | None = None, line: int | None = None) -> str:
        """Return where something stands, for the beginning of a message."""
        is_old = (section, option) == ("blocklist", _OLD_ENABLED)
        in_file = self._enabled_in if is_old else self._names_in_file.get(section, section)
        return self.ini.place(in_file, option, line)

    def value(self, section: str, option: str) -> Entry | None:
        """Return the value of an option that has one line; where there are more, that is a problem."""
        entries = self.entries(section, option)
        if len(entries) > 1:
            self.add_problem(entries[1], "expected one value, on one line")
        return entries[0] if entries else None

    def add_problem(self, entry: Entry, reason: str) -> None:
        """Note what is wrong with an entry: where it stands, and what is allowed. Several filters may read it."""
        place = self.place(entry.section, entry.option, entry.line)
        problem = f"{place}: {reason}" if entry.text == entry.option else f"{place}: {shown(entry.text)}: {reason}"
        if problem not in self.problems:
            self.problems.append(problem)
        self._wrong.add((entry.section, entry.option))

    def add_warning(self, warning: str) -> None:
        """Note a warning, once, whichever filters read what it is about."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def is_wrong(self, section: str, option: str) -> bool:
        """Whether something is wrong with an entry of an option."""
        return (section, option) in self._wrong

    def is_true(self, entry: Entry | None) -> bool:
        """Return the truth value of an entry; False where there is none, or where it is none, which is a problem."""
        try:
            return entry is not None and read_bool(entry.text)
        except OptionError as error:
            assert entry is not None, "it has been read"
            self.add_problem(entry, str(error))
            return False

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
            if option in known or (section == "blocklist" and option == _OLD_ENABLED):
                continue
            hint = suggestion(option, known) or f"; expected {' or '.join(known)}"
            if option == _OLD_ENABLED:
                hint = "; what enables filters is [plugins] enabled, and was [blacklist] plugins up to version 4"
            self.problems.append(f"{self.place(section, option)}: unknown option{hint}")

    def _compare_with_todays(self, old: str, name: str) -> None:
        """Refuse what a section says that is there under its present name too, and says something else."""
        todays = self.ini.options(name)
        for option, value in self.ini.options(old).items():
            words = _words(value)
            if option == _OLD_ENABLED or value.is_helper or not words:
                continue
            if option not in todays or words != _words(todays[option]):
                self.problems.append(
                    f"{self.ini.place(old, option)}: [{name}] {option} says something else; "
                    f"versions up to 4 read this one, newer ones that: write all that counts to [{name}]"
                )
        self.warnings.append(f"{self.ini.place(old)}: not needed, since there is [{name}] too")

    def _take_old_enabled(self, section: str) -> None:
        """Take the filters that ``[blacklist] plugins`` enables, unless the file says so in the present way too."""
        old, place = self.ini.options(section)[_OLD_ENABLED], self.ini.place(section, _OLD_ENABLED)
        enabled = self.sections.get(self.enabling[0], {}).get(self.enabling[1])
        if enabled is None:
            self.enabling = ("blocklist", _OLD_ENABLED)
            self._enabled_in = section
            self.sections.setdefault("blocklist", {})[_OLD_ENABLED] = old
        elif {_todays_name(each) for each in _words(old)} != {_todays_name(each) for each in _words(enabled)}:
            self.problems.append(
                f"{place}: [plugins] enabled says something else; versions 3.3 and 4 read this one, newer ones that: "
                "write all filters that count to [plugins] enabled, and take this one out"
            )
        else:
            self.remarks.append(f"{place}: not needed, since [plugins] enabled says the same")


def _words(option: IniOption) -> set[str]:
    """Return the entries of an option's value."""
    return {line.text for line in option.lines if line.text and not line.text.startswith("#")}


def _todays_name(filter_name: str) -> str:
    return filter_name.replace("whitelist", "allowlist").replace("blacklist", "blocklist")
