"""Describes a value in one text that does not depend on the order of what has none, nor on the process."""

import re
from collections.abc import Mapping

from msgspec import Struct


def described(value: object) -> str:
    """Return the text: two filters have the same one only where they decide alike."""
    match value:
        case re.Pattern():
            return repr(value.pattern)
        case frozenset() | set():
            return "{" + ",".join(sorted(map(described, value))) + "}"
        case Mapping():
            return "{" + ",".join(sorted(f"{described(key)}:{described(value[key])}" for key in value)) + "}"
        case tuple() | list():
            return "(" + ",".join(map(described, value)) + ")"
        case Struct():
            inner = ",".join(f"{name}={described(getattr(value, name))}" for name in value.__struct_fields__)
            return f"{type(value).__name__}({inner})"
        case str() | int() | float() | None:
            return repr(value)
        case _:
            return f"{type(value).__name__}({value})"
