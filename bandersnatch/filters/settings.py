"""The filter sections of a configuration file, entry by entry, each with its line number for messages.

Each line of a value is one entry.
"""

import re
from collections.abc import Mapping

from msgspec import Struct, field

from bandersnatch.inifile.ini import IniFile, IniOption
from bandersnatch.inifile.option import OptionError
from bandersnatch.inifile.readers import read_bool
from bandersnatch.inifile.suggestions import suggestion
from bandersnatch.shown_text import shown

ANY_OPTION = None
"""For sections whose option names are paths into a project's metadata."""
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
"""All filter sections with their options, and the first version of the older bandersnatch that had each."""
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
"""The section and option that each filter reads; ``ANY_OPTION`` means all options of the section."""
_PROJECT_ROOTS = ("info", "last_serial", "ownership", "releases", "urls", "vulnerabilities")
_FILE_ROOTS = ("info", "release", "release_file")
METADATA_ROOTS: Mapping[str, tuple[str, ...]] = {
    "regex_project_metadata": _PROJECT_ROOTS,
    "regex_release_file_metadata": _FILE_ROOTS,
    "version_range_project_metadata": _PROJECT_ROOTS,
    "version_range_release_file_metadata": _FILE_ROOTS,
}
"""What the paths of these sections may begin with."""
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
"""The fields of PyPI's legacy JSON; another index may have more."""
OLD_SECTIONS = {"whitelist": "allowlist", "blacklist": "blocklist", "regex": "filter_regex"}
_OLD_ENABLED = "plugins"
"""Up to version 4 ``[blacklist] plugins`` enabled filters, and overruled ``[plugins] enabled`` if both were there."""


def is_filter_option(section: str, name: str) -> bool:
    """Whether a filter section has such an option; the section may go by its old name."""
    section = OLD_SECTIONS.get(section, section)
    known = FILTER_SECTIONS.get(section, ())
    return metadata_path(name)[0] in METADATA_ROOTS[section] if known is ANY_OPTION else name in known


def filter_of(section: str) -> tuple[str, str] | None:
    """Return the filter that an unknown section is named after, and what that filter reads; or None."""
    name = _todays_name(section)
    if name not in FILTER_READS:
        return None
    reads, option = FILTER_READS[name]
    return name, f"[{reads}]" if option is None else f"[{reads}] {option}"


def metadata_path(option: str) -> tuple[str, ...]:
    """Return the path in an option's name, ``tag:tag:dotted.path``."""
    return tuple(option.rpartition(":")[2].strip().split("."))


class Entry(Struct, frozen=True):
    """One line of an option's value."""

    section: str
    option: str
    text: str
    line: int

    def without_comment(self) -> "Entry":
        """Return the entry without a trailing comment; for lists whose entries can't contain ``#``."""
        return Entry(self.section, self.option, self.text.partition("#")[0].rstrip(), self.line)


class Settings(Struct):
    """The filter sections of one file, under their current names; their problems are collected here."""

    ini: IniFile
    sections: dict[str, dict[str, IniOption]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    enabling: tuple[str, str] = ("plugins", "enabled")
    """The section and option that say which filters are enabled."""
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
                self.remarks.append(f"{self.ini.place(section)}: it is now called [{name}]")
            self._names_in_file[name] = section
            self._wrong |= {(name, option) for option in self.ini.sections[section].broken}
            options = self.ini.options(section)
            self.sections[name] = {each: option for each, option in options.items() if not option.is_helper}
            self._check_options(name)
        # After all sections, since [plugins] may come last in the file.
        for section in ("blacklist", "blocklist"):
            if _OLD_ENABLED in self.ini.options(section):
                self._take_old_enabled(section)

    @property
    def says_what_is_enabled(self) -> bool:
        """Whether the file says which filters are enabled, even if it says none."""
        section, option = self.enabling
        return option in self.sections.get(section, {})

    def is_of_2_or_3(self, section: str) -> bool:
        """Whether a section may come from versions 2.1 to 3.1, where lists took effect without being enabled."""
        return section == "filter_regex" or self._names_in_file.get(section) in OLD_SECTIONS

    def has(self, section: str, option: str) -> bool:
        """Whether an option is present and not empty."""
        return bool(self.entries(section, option))

    def options(self, section: str) -> list[str]:
        """Return the names of the options of a section."""
        return list(self.sections.get(section, {}))

    def entries(self, section: str, option: str) -> list[Entry]:
        """Return the lines of an option's value; none if it is empty or missing."""
        found = self.sections.get(section, {}).get(option)
        lines = found.lines if found is not None else ()
        return [Entry(section, option, line.text, line.number) for line in lines if line.text and line.text[0] != "#"]

    def name(self, section: str, option: str) -> Entry:
        """Return an option's name as an entry, to report what is wrong with the name."""
        return Entry(section, option, option, self.sections[section][option].number)

    def place(self, section: str, option: str | None = None, line: int | None = None) -> str:
        """Return where something is in the file, to begin a message with."""
        is_old = (section, option) == ("blocklist", _OLD_ENABLED)
        in_file = self._enabled_in if is_old else self._names_in_file.get(section, section)
        return self.ini.place(in_file, option, line)

    def value(self, section: str, option: str) -> Entry | None:
        """Return the value of an option that must be on one line; more lines are reported."""
        entries = self.entries(section, option)
        if len(entries) > 1:
            self.add_problem(entries[1], "expected one value, on one line")
        return entries[0] if entries else None

    def add_problem(self, entry: Entry, reason: str) -> None:
        """Report, once, where an entry is wrong and what is allowed; several filters may read the same entry."""
        place = self.place(entry.section, entry.option, entry.line)
        problem = f"{place}: {reason}" if entry.text == entry.option else f"{place}: {shown(entry.text)}: {reason}"
        if problem not in self.problems:
            self.problems.append(problem)
        self._wrong.add((entry.section, entry.option))

    def add_warning(self, warning: str) -> None:
        """Report a warning, once, although several filters may read what it is about."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def is_wrong(self, section: str, option: str) -> bool:
        """Whether a problem was reported for an option."""
        return (section, option) in self._wrong

    def is_true(self, entry: Entry | None) -> bool:
        """Return the boolean value of an entry; False if it is missing, or invalid, which is reported."""
        try:
            return entry is not None and read_bool(entry.text)
        except OptionError as error:
            assert entry is not None, "it has been read"
            self.add_problem(entry, str(error))
            return False

    def number(self, entry: Entry | None) -> int:
        """Return the whole number in an entry; 0 if it is missing, or invalid, which is reported."""
        if entry is None:
            return 0
        if re.fullmatch(r"\d{1,9}", entry.text, re.ASCII) is None:
            self.add_problem(entry, "expected a whole number; 0 disables it")
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
                hint = "; [plugins] enabled enables filters; up to version 4, [blacklist] plugins did"
            self.problems.append(f"{self.place(section, option)}: unknown option{hint}")

    def _compare_with_todays(self, old: str, name: str) -> None:
        """Report what an old section says differently from the current section of the same meaning."""
        todays = self.ini.options(name)
        for option, value in self.ini.options(old).items():
            words = _words(value)
            # Which of the two wins depended on the version, so guessing would mirror more or less than before.
            if option == _OLD_ENABLED or value.is_helper or not words:
                continue
            if option not in todays or words != _words(todays[option]):
                self.problems.append(
                    f"{self.ini.place(old, option)}: [{name}] {option} says something else; "
                    f"versions up to 4 read this one, newer ones that: write everything that should apply to [{name}]"
                )
        self.warnings.append(f"{self.ini.place(old)}: not needed, since there is [{name}] too")

    def _take_old_enabled(self, section: str) -> None:
        """Take the filters that ``[blacklist] plugins`` enables, unless ``[plugins] enabled`` is there too."""
        old, place = self.ini.options(section)[_OLD_ENABLED], self.ini.place(section, _OLD_ENABLED)
        enabled = self.sections.get(self.enabling[0], {}).get(self.enabling[1])
        if enabled is None:
            self.enabling = ("blocklist", _OLD_ENABLED)
            self._enabled_in = section
            self.sections.setdefault("blocklist", {})[_OLD_ENABLED] = old
        elif {_todays_name(each) for each in _words(old)} != {_todays_name(each) for each in _words(enabled)}:
            self.problems.append(
                f"{place}: [plugins] enabled says something else; versions 3.3 and 4 read this one, newer ones that: "
                "write all filters that should apply to [plugins] enabled, and remove this one"
            )
        else:
            self.remarks.append(f"{place}: not needed, since [plugins] enabled says the same")


def _words(option: IniOption) -> set[str]:
    """Return the entries of an option's value."""
    return {line.text for line in option.lines if line.text and not line.text.startswith("#")}


def _todays_name(filter_name: str) -> str:
    return filter_name.replace("whitelist", "allowlist").replace("blacklist", "blocklist")
