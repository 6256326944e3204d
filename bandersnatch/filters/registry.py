"""The table of all filters, and how the enabled ones become one ``Filters``.

It is imported only if the configuration has sections of filters, because it takes time to load.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from bandersnatch.filters.filters import Filters
from bandersnatch.filters.metadata import (
    read_regex_project_metadata,
    read_regex_release_file_metadata,
    read_size_project_metadata,
    read_version_range_project_metadata,
    read_version_range_release_file_metadata,
    read_versions_count_project_metadata,
)
from bandersnatch.filters.name_options import read_allowlist_project, read_blocklist_project, read_regex_project
from bandersnatch.filters.platforms import read_exclude_platform
from bandersnatch.filters.releases import (
    read_allowlist_release,
    read_blocklist_release,
    read_latest_release,
    read_prerelease_release,
    read_regex_release,
)
from bandersnatch.filters.requirements import read_project_requirements, read_project_requirements_pinned
from bandersnatch.filters.settings import FILTER_READS, Settings
from bandersnatch.filters.upload_time import read_exclude_newer
from bandersnatch.inifile.suggestions import suggestion

_T = TypeVar("_T")

PROJECT_FILTERS = {
    "allowlist_project": read_allowlist_project,
    "blocklist_project": read_blocklist_project,
    "project_requirements": read_project_requirements,
    "regex_project": read_regex_project,
}
METADATA_FILTERS = {
    "regex_project_metadata": read_regex_project_metadata,
    "size_project_metadata": read_size_project_metadata,
    "version_range_project_metadata": read_version_range_project_metadata,
    "versions_count_project_metadata": read_versions_count_project_metadata,
}
FILE_FILTERS = {
    "exclude_newer": read_exclude_newer,
    "exclude_platform": read_exclude_platform,
    "regex_release_file_metadata": read_regex_release_file_metadata,
    "version_range_release_file_metadata": read_version_range_release_file_metadata,
}
RELEASE_FILTERS = {
    "allowlist_release": read_allowlist_release,
    "blocklist_release": read_blocklist_release,
    "prerelease_release": read_prerelease_release,
    "regex_release": read_regex_release,
}
PINNED_FILTERS = {"project_requirements_pinned": read_project_requirements_pinned}
LATEST_FILTERS = {"latest_release": read_latest_release}

FILTER_NAMES = frozenset(
    {*PROJECT_FILTERS, *METADATA_FILTERS, *FILE_FILTERS, *RELEASE_FILTERS, *PINNED_FILTERS, *LATEST_FILTERS}
)

OLD_NAMES = {
    old: old.replace("whitelist", "allowlist").replace("blacklist", "blocklist")
    for old in ("whitelist_project", "whitelist_release", "blacklist_project", "blacklist_release")
}
"""The names of these filters up to bandersnatch 4."""

ALL = "all"


class _Needs(Struct, frozen=True):
    """What a filter can't work without: one option, or any option of its section.

    Without it, a filter that keeps only what is listed would drop everything, or keep everything.
    """

    section: str
    option: str | None
    is_allowlist: bool = False

    def are_met(self, settings: Settings) -> bool:
        """Whether the file has it, and it is not empty."""
        options = settings.options(self.section) if self.option is None else [self.option]
        return any(settings.has(self.section, option) for option in options)

    def stand_in(self, settings: Settings) -> bool:
        """Whether the file mentions it, even if it is empty."""
        options = settings.options(self.section)
        return bool(options) if self.option is None else self.option in options

    def __str__(self) -> str:
        return f"[{self.section}]" if self.option is None else f"[{self.section}] {self.option}"


_NEEDS = {
    name: _Needs(section, option, is_allowlist=section == "allowlist")
    for name, (section, option) in FILTER_READS.items()
    if name != "prerelease_release"
}
"""All filters but prerelease_release, which needs nothing."""
_ALSO_READ = {
    ("filter_prerelease", "packages"): {"prerelease_release"},
    ("allowlist", "packages"): {"size_project_metadata", "versions_count_project_metadata"},
    ("allowlist", "requirements_path"): {"project_requirements", "project_requirements_pinned"},
    ("latest_release", "sort_by"): {"latest_release"},
}
"""Options that filters read but can work without."""
_ACTED_BY_THEMSELVES = {
    ("allowlist", "packages"): "allowlist_project",
    ("blocklist", "packages"): "blocklist_project and blocklist_release",
    ("filter_regex", "packages"): "regex_project",
    ("filter_regex", "releases"): "regex_release",
}
"""The lists that versions 2.1 to 3.1 applied without being told, and the filters that do that today."""


def read_filters(settings: Settings) -> Filters:
    """Return the filters that ``[plugins] enabled`` names; problems are added to ``settings``."""
    names = _enabled(settings)
    _check_idle(names, settings)
    return Filters(
        projects=_built(PROJECT_FILTERS, names, settings),
        metadata=_built(METADATA_FILTERS, names, settings),
        files=_built(FILE_FILTERS, names, settings),
        releases=_built(RELEASE_FILTERS, names, settings),
        pinned=_built(PINNED_FILTERS, names, settings),
        latest=_built(LATEST_FILTERS, names, settings),
    )


def _built(
    table: Mapping[str, Callable[[Settings], _T | None]], names: list[str], settings: Settings
) -> tuple[_T, ...]:
    found = (_read(name, table[name], settings) for name in names if name in table)
    return tuple(each for each in found if each is not None)


def _read(name: str, read: Callable[[Settings], _T | None], settings: Settings) -> _T | None:
    found = read(settings)
    needs = _NEEDS.get(name)
    if found is None and needs is not None:
        # A problem with its option has been reported already; one message is enough.
        is_told = any(
            settings.is_wrong(needs.section, option) and name in _readers(needs.section, option)
            for option in (needs.option or "", "requirements_path")
        )
        # An empty allowlist is an error, not a warning: nobody can tell whether nothing or everything is wanted.
        if needs.is_allowlist and not is_told:
            settings.problems.append(
                f"{settings.place(*settings.enabling)}: {name}: {needs} is empty: "
                "the mirror would have nothing, or everything"
            )
        elif not needs.are_met(settings):
            settings.warnings.append(
                f"{settings.place(*settings.enabling)}: {name}: drops nothing, since there is no {needs}"
            )
    return found


def _enabled(settings: Settings) -> list[str]:
    """Return the names of the enabled filters, sorted; ``all`` stands for those that the file configures."""
    names: set[str] = set()
    for entry in settings.entries(*settings.enabling):
        name = OLD_NAMES.get(entry.text, entry.text)
        if name != entry.text:
            place = settings.place(*settings.enabling, entry.line)
            settings.remarks.append(f"{place}: {entry.text}: it is now called {name}")
        if name == ALL:
            names |= {each for each in FILTER_NAMES if _is_configured(each, settings)}
        elif name in FILTER_NAMES:
            names.add(name)
        elif "#" in name:
            settings.add_problem(entry, "expected the name of a filter alone; a comment must be on its own line")
        elif set(name) & set(", "):
            commas = ", without commas" if "," in name else ""
            settings.add_problem(entry, f"expected one filter per line{commas}")
        else:
            hint = suggestion(name, sorted(FILTER_NAMES)) or f" ({ALL}, {', '.join(sorted(FILTER_NAMES))})"
            settings.add_problem(entry, f"expected the name of a filter{hint}")
    if settings.enabling != ("plugins", "enabled"):
        todays = f'"enabled = {", ".join(sorted(names))}", one name on each line' if names else '"enabled ="'
        place = settings.place(*settings.enabling)
        settings.add_warning(f"{place}: applied as versions up to 4 did; write it as [plugins] {todays}")
    return sorted(names)


def _check_idle(names: list[str], settings: Settings) -> None:
    """Report options that no enabled filter reads; the operator surely expects them to have an effect."""
    for section in settings.sections:
        told: set[frozenset[str]] = set()
        for option in settings.options(section):
            readers = _readers(section, option)
            if not readers or readers & set(names) or readers in told or not settings.has(section, option):
                continue
            told.add(readers)
            place = settings.place(section, option)
            todays = _ACTED_BY_THEMSELVES.get((section, option))
            # Such a file may rely on lists that act by themselves; a guess would mirror more, or less, than before.
            if todays is not None and settings.is_of_2_or_3(section) and not settings.says_what_is_enabled:
                settings.problems.append(
                    f"{place}: versions 2.1 to 3.1 applied it, newer ones only what [plugins] enables: "
                    f"to apply it, write {todays} to [plugins] enabled; "
                    'to mirror without it, remove it, or write "enabled =" there'
                )
            else:
                wanted = todays or " or ".join(sorted(readers))
                settings.add_warning(
                    f"{place}: without effect, since no filter that reads it is enabled; "
                    f"to apply it, write {wanted} to [plugins] enabled"
                )


def _readers(section: str, option: str) -> frozenset[str]:
    """Return the filters that read an option."""
    readers = {name for name, needs in _NEEDS.items() if needs.section == section and needs.option in (None, option)}
    return frozenset(readers | _ALSO_READ.get((section, option), set()))


def _is_configured(name: str, settings: Settings) -> bool:
    needs = _NEEDS.get(name)
    return needs is None or needs.stand_in(settings)
