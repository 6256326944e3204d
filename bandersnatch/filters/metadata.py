"""The filters by metadata: patterns and version ranges at dotted paths, a project's size, its number of versions.

An option's name is ``tag:tag:dotted.path``; the path leads into the project's legacy JSON, which is fetched only if a
path asks for something that the project's page does not have.
"""

import re
from collections.abc import Mapping
from enum import Enum

from msgspec import Struct
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from bandersnatch.filters.facts import PAGE_FIELDS, FileFacts, ProjectFacts, as_text, find, parse_version
from bandersnatch.filters.name_options import allowed_names, read_patterns
from bandersnatch.filters.release_of import version_count
from bandersnatch.filters.settings import METADATA_FIELDS, METADATA_ROOTS, Entry, Settings, metadata_path
from bandersnatch.inifile.option import OptionError
from bandersnatch.inifile.readers import read_size
from bandersnatch.inifile.suggestions import suggestion
from bandersnatch.names import NormalizedName
from bandersnatch.shown_text import shown

_NULL_TAGS = {"match-null": True, "not-null": False}


class Match(Enum):
    """How many of the patterns must match: at least one, each, or none."""

    ANY = "any"
    ALL = "all"
    NONE = "none"


class Path(Struct, frozen=True):
    """Where to find values, and whether a missing value counts as a match."""

    names: tuple[str, ...]
    nulls_match: bool

    def __str__(self) -> str:
        return ".".join(self.names)


class PatternRule(Struct, frozen=True):
    """Patterns for the values at a path."""

    path: Path
    match: Match
    patterns: tuple[re.Pattern[str], ...]

    def holds(self, tree: Mapping[str, object]) -> bool:
        """Whether the values satisfy the rule."""
        texts = [as_text(value) for value in find(tree, self.path.names)]
        if not texts:
            return self.path.nulls_match
        # Matched at the beginning only, as in other bandersnatch versions.
        hits = [any(pattern.match(text) for text in texts) for pattern in self.patterns]
        match self.match:
            case Match.ANY:
                return any(hits)
            case Match.ALL:
                return all(hits)
            case Match.NONE:
                return not any(hits)

    def reason(self, tree: Mapping[str, object]) -> str:
        """Return what the values are."""
        return f"{self.match.value} of the patterns for {self.path} must match, it is {_shown(find(tree, self.path.names))}"


class VersionRule(Struct, frozen=True):
    """The version range at a path must contain at least one of ``versions``. An invalid range satisfies the rule."""

    path: Path
    versions: tuple[Version, ...]

    def holds(self, tree: Mapping[str, object]) -> bool:
        """Whether the range satisfies the rule."""
        value = next(iter(find(tree, self.path.names)), "")
        if value == "":
            return self.path.nulls_match
        try:
            specifier = SpecifierSet(as_text(value))
            # The operator names a Python such as 3.14.0rc1 on purpose: it counts even where the range names no pre-
            # release.
            return any(specifier.contains(version, prereleases=True) for version in self.versions)
        except ValueError:  # InvalidSpecifier, or an int of over 4,300 digits
            return True

    def reason(self, tree: Mapping[str, object]) -> str:
        """Return what the range is."""
        wanted = ", ".join(map(str, self.versions))
        return f"{self.path} must contain one of {wanted}, it is {_shown(find(tree, self.path.names))}"


Rule = PatternRule | VersionRule


class ProjectRules(Struct, frozen=True):
    """Keeps the projects whose legacy JSON satisfies all rules."""

    filter_name: str
    rules: tuple[Rule, ...]

    @property
    def needs_json(self) -> bool:
        """Always: a page has none of this metadata."""
        return True

    def keeps(self, facts: ProjectFacts) -> bool:
        """Whether all rules are satisfied."""
        return all(rule.holds(facts.document.tree) for rule in self.rules)

    def reason(self, facts: ProjectFacts) -> str:
        """Return what the first failing rule found, or what all found if none fails."""
        return _reason(self.rules, facts.document.tree)


class FileRules(Struct, frozen=True):
    """Keeps the files that satisfy all rules."""

    filter_name: str
    rules: tuple[Rule, ...]

    @property
    def needs_json(self) -> bool:
        """Whether a rule asks for something that the page does not have."""
        return any(str(rule.path) not in PAGE_FIELDS for rule in self.rules)

    def keeps(self, facts: FileFacts) -> bool:
        """Whether all rules are satisfied."""
        tree = facts.tree()
        return all(rule.holds(tree) for rule in self.rules)

    def reason(self, facts: FileFacts) -> str:
        """Return what the first failing rule found, or what all found if none fails."""
        return _reason(self.rules, facts.tree())


class MaxSize(Struct, frozen=True):
    """Drops projects whose files are too large in total, counting the files that other filters drop as well."""

    filter_name: str
    max_bytes: int
    exempt: frozenset[NormalizedName]
    needs_json: bool = False

    def keeps(self, facts: ProjectFacts) -> bool:
        """Whether the project is small enough, or exempt."""
        return facts.page.name in self.exempt or self._size(facts) <= self.max_bytes

    def reason(self, facts: ProjectFacts) -> str:
        """Return how large the project is."""
        if facts.page.name in self.exempt:
            return f"[allowlist] packages names {facts.page.name}"
        return f"its files have {self._size(facts)} bytes in all, max_package_size is {self.max_bytes}"

    @staticmethod
    def _size(facts: ProjectFacts) -> int:
        return sum(file.size or 0 for file in facts.page.files)


class VersionsCount(Struct, frozen=True):
    """Keeps the projects whose number of versions is within bounds; 0 means no bound."""

    filter_name: str
    min_versions: int
    max_versions: int
    exempt: frozenset[NormalizedName]
    needs_json: bool = False

    def keeps(self, facts: ProjectFacts) -> bool:
        """Whether the number of versions is within bounds, or the project is exempt."""
        count = version_count(facts.page)
        is_within = self.min_versions <= count and (not self.max_versions or count <= self.max_versions)
        return is_within or facts.page.name in self.exempt

    def reason(self, facts: ProjectFacts) -> str:
        """Return how many versions the project has."""
        if facts.page.name in self.exempt:
            return f"[allowlist] packages names {facts.page.name}"
        most = f" to {self.max_versions}" if self.max_versions else ""
        bounds = f"{self.min_versions}{most or ' and no upper bound'}"
        return f"it has {version_count(facts.page)} versions, the bounds are {bounds}"


def read_regex_project_metadata(settings: Settings) -> ProjectRules | None:
    """Read the filter of projects by patterns."""
    rules = _read_rules(settings, "regex_project_metadata", is_range=False)
    return ProjectRules("regex_project_metadata", rules) if rules else None


def read_version_range_project_metadata(settings: Settings) -> ProjectRules | None:
    """Read the filter of projects by ranges of versions."""
    rules = _read_rules(settings, "version_range_project_metadata", is_range=True)
    return ProjectRules("version_range_project_metadata", rules) if rules else None


def read_regex_release_file_metadata(settings: Settings) -> FileRules | None:
    """Read the filter of files by patterns."""
    rules = _read_rules(settings, "regex_release_file_metadata", is_range=False)
    return FileRules("regex_release_file_metadata", rules) if rules else None


def read_version_range_release_file_metadata(settings: Settings) -> FileRules | None:
    """Read the filter of files by ranges of versions."""
    rules = _read_rules(settings, "version_range_release_file_metadata", is_range=True)
    return FileRules("version_range_release_file_metadata", rules) if rules else None


def read_size_project_metadata(settings: Settings) -> MaxSize | None:
    """Read the filter by size; 0 disables it."""
    entry = settings.value("size_project_metadata", "max_package_size")
    if entry is None:
        return None
    try:
        size = read_size(entry.text)
    except OptionError as error:
        settings.add_problem(entry, str(error))
        return None
    return MaxSize("size_project_metadata", size, allowed_names(settings)) if size else None


def read_versions_count_project_metadata(settings: Settings) -> VersionsCount | None:
    """Read the filter by number of versions."""
    section = "versions_count_project_metadata"
    entries = [settings.value(section, option) for option in ("min_versions", "max_versions")]
    least, most = (settings.number(entry) for entry in entries)
    if most and least > most:
        entry = entries[0]
        assert entry is not None, "a number above 0 was written"
        settings.add_problem(entry, f"expected no more than max_versions, which is {most}")
    return VersionsCount(section, least, most, allowed_names(settings)) if least or most else None


def _read_rules(settings: Settings, section: str, *, is_range: bool) -> tuple[Rule, ...]:
    """Read all options of a section; their order in the file does not matter."""
    rules: dict[str, Rule] = {}
    roots = METADATA_ROOTS[section]
    for option in settings.options(section):
        entries = settings.entries(section, option)
        tags = [tag.strip().lower() for tag in option.split(":")[:-1]]
        names = metadata_path(option)
        head = settings.name(section, option)
        allowed_tags = {*_NULL_TAGS, Match.ANY.value} if is_range else {*_NULL_TAGS, *(each.value for each in Match)}
        if unknown := [tag for tag in tags if tag not in allowed_tags]:
            settings.add_problem(head, f'"{unknown[0]}" is not a tag: expected {", ".join(sorted(allowed_tags))}')
        elif names[0] not in roots:
            settings.add_problem(head, f"expected a path that begins with {', '.join(roots)}")
        elif "" in names:
            settings.add_problem(head, "expected a name between any two dots of the path, and after the last one")
        elif not entries:
            settings.add_problem(head, f"expected at least one {'version' if is_range else 'pattern'}")
        else:
            nulls = [_NULL_TAGS[tag] for tag in tags if tag in _NULL_TAGS]
            # As in other bandersnatch versions, missing metadata matches unless the option says not-null.
            path = Path(names, nulls[-1] if nulls else True)
            _warn_of_unknown(settings, head, path)
            if is_range:
                rules[option] = VersionRule(path, _read_versions(settings, entries))
            else:
                matches = [Match(tag) for tag in tags if tag not in _NULL_TAGS]
                rules[option] = PatternRule(
                    path, matches[-1] if matches else Match.ANY, read_patterns(settings, entries)
                )
    return tuple(rules[option] for option in sorted(rules))


def _warn_of_unknown(settings: Settings, head: Entry, path: Path) -> None:
    """Warn about a path to a field that PyPI does not have: a typo would let everything pass, or nothing."""
    known = METADATA_FIELDS.get(path.names[0])
    if known is None or len(path.names) < 2 or path.names[1] in known:
        return
    effect = "passes" if path.nulls_match else "is dropped"
    settings.add_warning(
        f"{settings.place(head.section, head.option)}: PyPI's metadata has no {'.'.join(path.names[:2])}"
        f"{suggestion(path.names[1], sorted(known))}: what has no such field {effect}"
    )


def _read_versions(settings: Settings, entries: list[Entry]) -> tuple[Version, ...]:
    versions = set()
    for entry in entries:
        version = parse_version(entry.text)
        if version is None:
            settings.add_problem(entry, "expected a version, such as 3.11")
        else:
            versions.add(version)
    return tuple(sorted(versions))


def _reason(rules: tuple[Rule, ...], tree: Mapping[str, object]) -> str:
    failed = [rule for rule in rules if not rule.holds(tree)]
    return "; ".join(rule.reason(tree) for rule in failed[:1] or rules)


def _shown(values: list[object]) -> str:
    return shown(" | ".join(map(as_text, values))) or "missing"
