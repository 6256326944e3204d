"""The effective configuration as text: what the file sets, with the defaults of all else as comments."""

import re
from collections.abc import Iterator
from pathlib import Path

from bandersnatch.config.config_file import read_config_file
from bandersnatch.config.option_table import ALIASES, MIRROR_OPTIONS
from bandersnatch.errors import ConfigError
from bandersnatch.inifile.ini import DEFAULT_SECTION
from bandersnatch.inifile.masking import masked


def effective_lines(path: Path) -> Iterator[str]:
    """Yield the configuration as lines that can be read back, with secrets masked.

    Raises:
        ConfigMissingError: there is no such file.
        ConfigError: it is not a valid INI file.
    """
    problems: list[str] = []
    ini = read_config_file(path, problems)
    if problems:
        raise ConfigError(problems)
    named = {name: option.text for name, option in ini.options("mirror").items()}
    given = {ALIASES[name]: text for name, text in named.items() if name in ALIASES} | named
    yield "[mirror]"
    for option in MIRROR_OPTIONS:
        # An empty value means the default, too.
        if given.get(option.name):
            yield f"{option.name} = {_written(option.name, given[option.name])}"
        elif option.default is not None:
            yield f"; {option.name} = {option.default}".rstrip()
    for section in ini.sections:
        if section in ("mirror", DEFAULT_SECTION):
            continue
        yield f"\n[{section}]"
        for name, value in ini.options(section).items():
            if not value.is_helper:
                lines = f"{name} = {_written(name, value.text)}".split("\n")
                yield "\n    ".join(line.rstrip() for line in lines)


def _written(name: str, value: str) -> str:
    """Return a value as it must be written in a file, with ``%`` doubled where it would be read as a reference."""
    text = masked(name, value)
    return text.replace("%", "%%") if re.search(r"%%|%\(", text) else text
