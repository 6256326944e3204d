"""Prints what a command was asked for: a table for people, or one JSON document."""

import json
import sys
from collections.abc import Iterable, Sequence

from bandersnatch.shown_text import printable


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on standard output, with the first column left-aligned, and the others, which are numbers, to the
    right.

    On a terminal it has rules and colours; elsewhere it is plain text. Without rows nothing is printed.
    """
    lines = [[_text(cell) for cell in row] for row in rows]
    if not lines:
        return
    if sys.stdout.isatty():
        _print_rich(header, lines)
        return
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    for line in (header, *lines):
        # Numbers to the right, so that their digits line up.
        cells = (f"{cell:{'>' if number else '<'}{widths[number]}}" for number, cell in enumerate(line))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def print_line(text: str) -> None:
    """Print a line on standard output."""
    sys.stdout.writelines(f"{printable(line)}\n" for line in text.split("\n"))


def print_json(document: object) -> None:
    """Print one JSON document on standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")


def print_pieces(*pieces: Iterable[str]) -> None:
    """Print text on standard output that is too large to be joined first."""
    for some in pieces:
        sys.stdout.writelines(some)


def _text(cell: object) -> str:
    """Return a cell as text; None is shown as unknown."""
    return "?" if cell is None else printable(str(cell))


def _print_rich(header: Sequence[str], lines: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for number, title in enumerate(header):
        table.add_column(title, justify="left" if number == 0 else "right", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    Console().print(table)
