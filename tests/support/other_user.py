"""Another user than root, who may read neither the checkout nor the environment of the tests."""

import importlib
import os
import pkgutil
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bandersnatch

NOBODY = 65534
_COMMAND_AS_NOBODY = f"""
import importlib, os, pkgutil, sys
import bandersnatch, encodings.ascii, encodings.idna, encodings.latin_1, encodings.utf_8_sig
for module in pkgutil.walk_packages(bandersnatch.__path__, "bandersnatch."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)  # with the libraries, which may lie where that user may not read
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
from bandersnatch.main import main
sys.exit(main())
"""


@contextmanager
def folder_for_others() -> Iterator[Path]:
    """Give a temporary folder that others may enter, which those of pytest are not, nor all that ``TMPDIR`` may name."""
    places = [Path(tempfile.gettempdir()), *map(Path, ("/tmp", "/var/tmp", "/dev/shm"))]
    place = next((place for place in places if _is_open_to_all(place)), places[0])
    with tempfile.TemporaryDirectory(dir=place) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _is_open_to_all(place: Path) -> bool:
    return place.is_dir() and all(path.stat().st_mode & stat.S_IXOTH for path in (place, *place.resolve().parents))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be that user for the length of the block."""
    for module in pkgutil.walk_packages(bandersnatch.__path__, "bandersnatch."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)  # what the program imports when it needs it, that user could not read
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def start_as_nobody(folder: Path) -> Callable[[Sequence[str]], "subprocess.Popen[str]"]:
    """Return how to start ``python -m bandersnatch ...`` as that user; a copy of the program is put into the folder."""
    program = folder / "program"
    shutil.copytree(Path(bandersnatch.__file__).parent, program / "bandersnatch")  # the links in it become files
    # Without coverage, whose data file that user can't write.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}

    def start(command: Sequence[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [command[0], "-c", _COMMAND_AS_NOBODY, *command[3:]],
            cwd=program,  # where Python looks for modules first
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
