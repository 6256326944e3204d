"""The effective configuration as text: what the file says, and as comments the defaults of what it does not say."""

import re
from collections.abc import Iterator
from pathlib import Path

from bandersnatch.errors import ConfigError
from bandersnatch.ini import read_ini
from bandersnatch.option_tables import ALIASES, MIRROR_OPTIONS

_SECRET_NAME = re.compile(r"password|secret|token|access_key", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?:(?<=://)|(?<=^)|(?<=\s))[^\s/@]+@", re.MULTILINE)


def effective_lines(path: Path) -> Iterator[str]:
    """Yield the lines of the configuration in a form that can be read again, with secrets masked.

    Raises:
        ConfigMissingError: there is no such file.
        ConfigError: it is no INI file.
    """
    problems: list[str] = []
    ini = read_ini(path, problems)
    if problems:
        raise ConfigError(problems)
    named = ini.sections.get("mirror", {})
    given = {ALIASES[name]: text for name, text in named.items() if name in ALIASES} | dict(named)
    yield "[mirror]"
    for option in MIRROR_OPTIONS:
        if given.get(option.name):
            yield f"{option.name} = {masked(option.name, given[option.name])}"
        elif option.default is not None:
            yield f"; {option.name} = {option.default}".rstrip()
    for section, options in ini.sections.items():
        if section != "mirror":
            yield f"\n[{section}]"
            for name, value in options.items():
                lines = f"{name} = {masked(name, value)}".split("\n")
                yield "\n    ".join(line.rstrip() for line in lines)


def masked(name: str, value: str) -> str:
    """Return a value as it may be shown: without credentials in URLs, and nothing of what is secret by its name."""
    if _SECRET_NAME.search(name):
        return "***"
    return _CREDENTIALS.sub("***@", value)
