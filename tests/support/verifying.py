"""A mirror that is verified: what is done to it, and what ``verify`` says of it."""

import json
from pathlib import Path
from typing import Any

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

NAMES = tuple(f"project-{number}" for number in range(6))


def filled(rig: Rig, pypi: FakePyPI) -> Rig:
    """Let the mirror hold six projects with two files each."""
    for name in NAMES:
        pypi.add_file(name, "1.0")
        pypi.add_file(name, "2.0", size=3000)
    rig.run()
    pypi.clear_requests()
    return rig


def verify(rig: Rig, *arguments: str, status: int, **options: str) -> dict[str, Any]:
    result = rig.call("verify", "--json", *arguments, **options)
    assert result.returncode == status, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def problems(document: dict[str, Any]) -> set[tuple[str, str, bool]]:
    return {(finding["path"], finding["problem"], finding["repaired"]) for finding in document["findings"]}


def path_of(rig: Rig, pypi: FakePyPI, number: int, suffix: str = "") -> Path:
    return rig.web / (pypi.files(NAMES[number])[0].url_path[1:] + suffix)


def damage(rig: Rig, pypi: FakePyPI) -> set[tuple[str, str]]:
    """Damage one thing of each kind; return the paths with the names of the problems."""
    missing, short, wrong = (path_of(rig, pypi, number) for number in range(3))
    metadata = path_of(rig, pypi, 3, ".metadata")
    no_page, other_page = (rig.web / "simple" / NAMES[number] / "index.html" for number in (4, 5))
    missing.unlink()
    short.write_bytes(b"short")
    wrong.write_bytes(bytes(wrong.stat().st_size))
    metadata.write_bytes(bytes(metadata.stat().st_size))
    no_page.unlink()
    other_page.write_text(other_page.read_text().replace("project", "brodject"))
    kinds = ["missing", "wrong size", "wrong digest", "wrong digest", "missing", "differs from upstream"]
    paths = [missing, short, wrong, metadata, no_page, other_page]
    return {(str(path.relative_to(rig.directory)), kind) for path, kind in zip(paths, kinds, strict=True)}
