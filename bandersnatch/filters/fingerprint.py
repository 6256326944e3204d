"""Describes a filter as a text that does not depend on the order of sets or on the names of classes."""

import re
from collections.abc import Mapping
from enum import Enum

from msgspec import Struct

_VERSIONS: Mapping[str, int] = {}
"""Filters that now decide differently with the same values; all others are at 1. Only mirrors that use one re-check."""
_KINDS = {
    **dict.fromkeys(("OnlyListed", "NotListed", "NameMatchesNone", "OnlyReleases", "NotReleases", "NoPrereleases"), ""),
    **dict.fromkeys(
        ("VersionMatchesNone", "Latest", "ExcludePlatform", "ExcludeNewer", "MaxSize", "VersionsCount"), ""
    ),
    **dict.fromkeys(("ProjectRules", "FileRules"), ""),
    **dict.fromkeys(("NameContainsNone", "VersionContainsNone"), "search"),
}
"""Distinguishes filters of one name; a class that is missing here is described by its own name."""
_ONLY_FOR_WORDS = frozenset({"place", "needs_json"})
_FIELDS_BEFORE = {"ExcludePlatform": ("filter_name", "systems", "platforms", "pythons", "needs_json")}
"""The fields of classes that had other fields before 9.0."""


def described(value: object) -> str:
    """Return the text; two filters have the same text only if they decide alike.

    Empty and false values are left out, so that adding a field does not change the text until somebody sets it.
    """
    match value:
        case re.Pattern():
            return repr(value.pattern)
        # The value, since a member of an enum may be renamed.
        case Enum():
            return repr(value.value)
        case frozenset() | set():
            return "{" + ",".join(sorted(map(described, value))) + "}"
        case Mapping():
            return "{" + ",".join(sorted(f"{described(key)}:{described(value[key])}" for key in value)) + "}"
        case tuple() | list():
            return "(" + ",".join(map(described, value)) + ")"
        case Struct():
            fields = {name: getattr(value, name) for name in value.__struct_fields__ if name not in _ONLY_FOR_WORDS}
            name = fields.pop("filter_name", "")
            inner = ",".join(f"{field}={described(fields[field])}" for field in sorted(fields) if fields[field])
            kind = _KINDS.get(type(value).__name__, type(value).__name__)
            return f"{name}:{_VERSIONS.get(name, 1)}{kind and ':'}{kind}({inner})" if name else f"({inner})"
        case str() | int() | float() | None:
            return repr(value)
        case _:
            return repr(str(value))  # Version, SpecifierSet, datetime


def described_before(value: object) -> str:
    """Return the text in its form before 9.0, to recognize mirrors made then."""
    match value:
        case re.Pattern():
            return repr(value.pattern)
        case frozenset() | set():
            return "{" + ",".join(sorted(map(described_before, value))) + "}"
        case Mapping():
            entries = (f"{described_before(key)}:{described_before(value[key])}" for key in value)
            return "{" + ",".join(sorted(entries)) + "}"
        case tuple() | list():
            return "(" + ",".join(map(described_before, value)) + ")"
        case Struct():
            kind = type(value).__name__
            fields = _FIELDS_BEFORE.get(kind, value.__struct_fields__)
            return f"{kind}({','.join(f'{name}={described_before(getattr(value, name))}' for name in fields)})"
        case str() | int() | float() | None:
            return repr(value)
        case _:
            return f"{type(value).__name__}({value})"
