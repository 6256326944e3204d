"""Values of a configuration as they may be shown, without passwords and other secrets."""

import re

_SECRET_NAME = re.compile(r"password|secret|token|access_key", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?:(?<=://)|(?<=^)|(?<=\s))[^\s/]+@", re.MULTILINE)


def masked(name: str, value: str) -> str:
    """Return a value without the credentials in its URLs; the value of an option named like a secret is masked whole."""
    if _SECRET_NAME.search(name):
        return "***"
    return _CREDENTIALS.sub("***@", value)


def masked_wrong(name: str, value: str) -> str:
    """Return a malformed value, in which everything before the last ``@`` may be a password."""
    if _SECRET_NAME.search(name):
        return "***"
    before, at, rest = value.rpartition("@")
    if not at:
        return value
    scheme, separator, _ = before.partition("://")
    return f"{scheme if separator else ''}{separator}***@{rest}"


def masked_line(line: str) -> str:
    """Return a line that is not a valid option, but may have been meant as one, without secrets."""
    name = re.split(r"[\s:=]", line, maxsplit=1)[0]
    return f"{name} ***" if _SECRET_NAME.search(line) and name != line else masked_wrong(name, line)
