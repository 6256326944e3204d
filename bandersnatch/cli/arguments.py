"""The project names on the command line."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bandersnatch.errors import UsageError
from bandersnatch.shown_text import shown

if TYPE_CHECKING:
    from bandersnatch.names import NormalizedName


def add_names(parser: argparse.ArgumentParser) -> None:
    """Let a command take project names."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="a project, in any spelling of its name")


def read_names(names: Sequence[str]) -> "list[NormalizedName]":
    """Return the normalized names in order, each once.

    Raises:
        UsageError: one of them can't be the name of a project.
    """
    from bandersnatch.names import parse_project_name

    read = {name: parse_project_name(name) for name in names}
    wrong = [shown(repr(name)) for name, project in read.items() if project is None]
    if wrong:
        raise UsageError(
            f"{', '.join(wrong)}: no name of a project; expected letters, digits, '-', '_' and '.', "
            "with a letter or a digit at both ends"
        )
    return list(dict.fromkeys(project for project in read.values() if project is not None))
