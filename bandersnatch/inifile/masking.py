"""Values of a configuration as they may be shown: without passwords, and nothing of what is secret by its name."""

import re

_SECRET_NAME = re.compile(r"password|secret|token|access_key", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?:(?<=://)|(?<=^)|(?<=\s))[^\s/]+@", re.MULTILINE)


def masked(name: str, value: str) -> str:
    """Return a value as it may be shown: without credentials in URLs, and nothing of what is secret by its name."""
    if _SECRET_NAME.search(name):
        return "***"
    return _CREDENTIALS.sub("***@", value)


def masked_wrong(name: str, value: str) -> str:
    """Return a value that can't be read, and may hold a password of any form: all before its last ``@`` may be one."""
    if _SECRET_NAME.search(name):
        return "***"
    before, at, rest = value.rpartition("@")
    if not at:
        return value
    scheme, separator, _ = before.partition("://")
    return f"{scheme if separator else ''}{separator}***@{rest}"


def masked_line(line: str) -> str:
    """Return a line that is no option with its value, though it may be meant as one."""
    name = re.split(r"[\s:=]", line, maxsplit=1)[0]
    return f"{name} ***" if _SECRET_NAME.search(line) and name != line else masked_wrong(name, line)
