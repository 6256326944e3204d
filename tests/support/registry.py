"""Fetches real wheels and sdists from the package registry that pip is set up for, by name."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def download(directory: Path, *requirements: str, sdists: bool = False, with_dependencies: bool = False) -> None:
    """Put distribution files into `directory`, wheels or sdists.

    One call fetches one version of each project.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--dest", str(directory), *_flags(sdists, with_dependencies)]
    finished = subprocess.run([*command, *requirements], capture_output=True, text=True)
    if finished.returncode != 0:
        raise RuntimeError(f"pip could not download {', '.join(requirements)}:\n{finished.stderr}")


def _flags(sdists: bool, with_dependencies: bool) -> Iterable[str]:
    yield from ["--no-binary", ":all:"] if sdists else ["--only-binary", ":all:"]
    if not with_dependencies:
        yield "--no-deps"
