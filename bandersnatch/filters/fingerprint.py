"""Describes a value in one text that does not depend on the order of what has none, nor on the process."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass


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
        case _ if is_dataclass(value) and not isinstance(value, type):
            inner = ",".join(f"{each.name}={described(getattr(value, each.name))}" for each in fields(value))
            return f"{type(value).__name__}({inner})"
        case str() | int() | float() | None:
            return repr(value)
        case _:
            return f"{type(value).__name__}({value})"
