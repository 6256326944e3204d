"""Draws docs/architecture.svg from docs/architecture.toml; with ``--check`` says whether it is current."""

import sys
import tomllib
from html import escape
from pathlib import Path
from textwrap import wrap

HERE = Path(__file__).parent
TABLE, PICTURE = HERE / "architecture.toml", HERE / "architecture.svg"

_WIDTH, _ROOM, _GAP, _LEFT, _TOP = 1000, 40, 12, 20, 30
_ROOM_WIDTH, _WAY_X, _WAY_STEP = 590, 660, 165
_JOB_LETTERS, _LINE = 78, 16
_COLOURS = ("#b3541e", "#1e5fb3")
_STYLE = (
    "text{font:13px sans-serif;fill:#222}.name{font-weight:bold}.step{font-size:11px}"
    "rect{fill:#f4f1ea;stroke:#8a8272}polyline{fill:none;stroke-width:2}"
)


def draw() -> str:
    """Return the picture: rooms from the command line down to the ground, and the ways of values beside them."""
    table = tomllib.loads(TABLE.read_text("utf-8"))
    rooms = [*reversed(table["packages"].items()), ("bandersnatch/", ", ".join(table["ground"][1:]))]
    middle = {name: _TOP + row * (_ROOM + _GAP) + _ROOM // 2 for row, (name, _) in enumerate(rooms)}
    height = _TOP + len(rooms) * (_ROOM + _GAP) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<text x="{_LEFT}" y="18">A room uses only the rooms below it.</text>',
    ]
    for name, job in rooms:
        top = middle[name] - _ROOM // 2
        lines += [
            f'<rect x="{_LEFT}" y="{top}" width="{_ROOM_WIDTH}" height="{_ROOM}" rx="4"/>',
            f'<text class="name" x="{_LEFT + 12}" y="{middle[name] + 5}">{escape(name)}</text>',
        ]
        told = wrap(job, _JOB_LETTERS)
        first = middle[name] + 5 - _LINE * (len(told) - 1) // 2
        lines += [
            f'<text x="{_LEFT + 115}" y="{first + _LINE * at}">{escape(line)}</text>' for at, line in enumerate(told)
        ]
    for number, way in enumerate(table["ways"]):
        x, colour = _WAY_X + number * _WAY_STEP, _COLOURS[number]
        points = " ".join(f"{x + 4 * at},{middle[room]}" for at, room in enumerate(way["rooms"]))
        lines += [
            f'<text x="{x}" y="18" style="fill:{colour}">{escape(way["name"])}</text>',
            f'<polyline points="{points}" stroke="{colour}"/>',
        ]
        for at, (room, step) in enumerate(zip(way["rooms"], way["steps"], strict=True)):
            lines += [
                f'<circle cx="{x + 4 * at}" cy="{middle[room]}" r="4" fill="{colour}"/>',
                f'<text class="step" x="{x + 4 * at + 8}" y="{middle[room] + 4}">{at + 1} {escape(step)}</text>',
            ]
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(PICTURE.read_text("utf-8") != draw() and "docs/architecture.svg is old: run docs/draw_architecture.py")
    PICTURE.write_text(draw(), "utf-8")
