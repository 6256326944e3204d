"""The table of all filters, and how those that are enabled become one ``Filters``.

It is imported only where a configuration enables filters: a run without any need not read all this.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bandersnatch.filters.filters import Filters
from bandersnatch.filters.names import read_allowlist_project, read_blocklist_project, read_regex_project
from bandersnatch.filters.settings import SIMILAR_ENOUGH, Settings

_T = TypeVar("_T")

PROJECT_FILTERS = {
    "allowlist_project": read_allowlist_project,
    "blocklist_project": read_blocklist_project,
    "regex_project": read_regex_project,
}

FILTER_NAMES = frozenset({*PROJECT_FILTERS})

OLD_NAMES = {
    old: old.replace("whitelist", "allowlist").replace("blacklist", "blocklist")
    for old in ("whitelist_project", "whitelist_release", "blacklist_project", "blacklist_release")
}
"""The names that bandersnatch had for these up to its version 4."""

ALL = "all"


@dataclass(frozen=True, slots=True)
class _Needs:
    """What a filter can't work without. A filter that keeps only what is listed would drop, or let pass, everything."""

    section: str
    option: str
    is_allowlist: bool = False


_NEEDS = {
    "allowlist_project": _Needs("allowlist", "packages", is_allowlist=True),
    "blocklist_project": _Needs("blocklist", "packages"),
    "regex_project": _Needs("filter_regex", "packages"),
}


def read_filters(settings: Settings) -> Filters:
    """Return the filters that ``[plugins] enabled`` asks for; what is wrong is noted in ``settings``."""
    names = _enabled(settings)
    return Filters(projects=_built(PROJECT_FILTERS, names, settings))


def _built(
    table: Mapping[str, Callable[[Settings], _T | None]], names: list[str], settings: Settings
) -> tuple[_T, ...]:
    found = (_read(name, table[name], settings) for name in names if name in table)
    return tuple(each for each in found if each is not None)


def _read(name: str, read: Callable[[Settings], _T | None], settings: Settings) -> _T | None:
    problems_before = len(settings.problems)
    found = read(settings)
    needs = _NEEDS.get(name)
    if found is None and needs is not None and len(settings.problems) == problems_before:
        if needs.is_allowlist:
            settings.add_missing(name, needs.section, needs.option, "the mirror would have nothing, or everything")
        elif not settings.has(needs.section, needs.option):
            settings.warnings.append(
                f"{settings.ini.path}: [plugins] enabled: {name}: drops nothing, "
                f"since there is no [{needs.section}] {needs.option}"
            )
    return found


def _enabled(settings: Settings) -> list[str]:
    """Return the names of the enabled filters, sorted; ``all`` stands for those that the file configures."""
    names: set[str] = set()
    for entry in settings.entries("plugins", "enabled"):
        name = OLD_NAMES.get(entry.text, entry.text)
        if name != entry.text:
            settings.remarks.append(f"{settings.ini.path}: [plugins] enabled: {entry.text}: its name is {name} today")
        if name == ALL:
            names |= {each for each in FILTER_NAMES if _is_configured(each, settings)}
        elif name in FILTER_NAMES:
            names.add(name)
        elif set(name) & set(", "):
            settings.add_problem(entry, "expected one filter on each line, without commas")
        else:
            close = difflib.get_close_matches(name, sorted(FILTER_NAMES), n=1, cutoff=SIMILAR_ENOUGH)
            suggestion = f'(did you mean "{close[0]}"?)' if close else f"({ALL}, {', '.join(sorted(FILTER_NAMES))})"
            settings.add_problem(entry, f"expected the name of a filter {suggestion}")
    return sorted(names)


def _is_configured(name: str, settings: Settings) -> bool:
    needs = _NEEDS.get(name)
    return needs is None or settings.has(needs.section, needs.option)
