"""16. Each file that a run writes, on a disk that refuses it: one error that names it, and the next run goes on."""

import errno
import os
import sys
from collections.abc import Callable

import pytest

from bandersnatch.storage.layout import StoredPath
from bandersnatch.storage.unfinished_names import name_inside
from tests.support.fakepypi import FakePyPI
from tests.support.refusing_kernel import Call, Refusal, refusing_kernel
from tests.support.rig import Rig
from tests.unit.storage.test_shortcomings import RUN_IN_PROCESSES

CODES = ["ENOSPC", "EDQUOT", "EIO"]
IN_EACH_WAY = {"small file", "page", "inventory", "state"}
"""The writers that meet all errors; how the others end does not depend on which it is."""
CALLS = ("write", "pwrite64")


def world(pypi: FakePyPI) -> None:
    for number in range(4):
        pypi.add_file(f"project-{number}", "1.0", size=2_000)
        pypi.add_file(f"project-{number}", "1.1", size=1_500_000)


def part_of(*paths: str) -> Callable[[Call], bool]:
    stems = {name_inside(StoredPath(path)).partition(".")[0] for path in paths}
    return lambda call: os.path.basename(call.path).partition(".")[0] in stems


def file_of(pypi: FakePyPI, version: str, suffix: str = "") -> str:
    [url_path] = [file.url_path for file in pypi.files("project-2") if f"-{version}-" in file.filename]
    return f"web{url_path}{suffix}"


WRITERS: dict[str, Callable[[FakePyPI], tuple[Callable[[Call], bool], str]]] = {
    "small file": lambda pypi: (part_of(file_of(pypi, "1.0")), file_of(pypi, "1.0")),
    "large file": lambda pypi: (part_of(file_of(pypi, "1.1")), file_of(pypi, "1.1")),
    "metadata": lambda pypi: (part_of(file_of(pypi, "1.0", ".metadata")), file_of(pypi, "1.0", ".metadata")),
    "page": lambda _: (part_of("web/simple/project-2/index.html"), "web/simple/project-2/index.html"),
    "JSON page": lambda _: (part_of("web/simple/project-2/index.v1_json"), "web/simple/project-2/index.v1_json"),
    "root index": lambda _: (part_of("web/simple/index.html"), "web/simple/index.html"),
    "state": lambda _: (part_of("state"), "state"),
    "todo": lambda _: (part_of("todo"), "todo"),
    "fingerprint": lambda _: (part_of("fingerprint"), "fingerprint"),
    "last-modified": lambda _: (part_of("web/last-modified"), "web/last-modified"),
    "journal": lambda _: (part_of("web/changes/index.json"), "web/changes/index.json"),
    "inventory": lambda _: (lambda call: "inventory.sqlite" in call.path, "inventory.sqlite"),
    "lock": lambda _: (lambda call: call.path.endswith("/.lock"), ".lock"),
    "list of changes": lambda _: (lambda call: call.path.endswith("/changed"), "changed"),
}
IN_WORKERS = ["small file", "large file", "metadata", "page", "JSON page"]


@pytest.mark.parametrize(
    ("writer", "code"),
    [(writer, code) for writer in WRITERS for code in (CODES if writer in IN_EACH_WAY else CODES[:1])],
)
def test_writer_that_is_refused_stops_the_run_and_the_next_one_goes_on(
    rig: Rig, pypi: FakePyPI, writer: str, code: str
) -> None:
    world(pypi)
    is_meant, named = WRITERS[writer](pypi)
    rig.options["diff-file"] = str(rig.folder / "changed")
    with refusing_kernel(*(Refusal(call, getattr(errno, code), is_meant) for call in CALLS)) as kernel:
        rig.start = kernel.start
        result = rig.command("mirror")
    assert kernel.refused
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 4, result.stderr
    assert "Traceback" not in result.stderr
    assert "the run has ended: " in last
    assert named in last
    is_hidden = (writer, code) == ("inventory", "EDQUOT")  # SQLite says that it is an error of input or output
    assert os.strerror(errno.EIO if is_hidden else getattr(errno, code)) in last
    if writer not in ("last-modified", "journal"):  # these come last of all
        assert not (rig.directory / "state").exists()
    result = rig.call("mirror")
    assert result.returncode == 0, result.stderr
    rig.assert_matches()
    assert not list(rig.directory.rglob("*.part"))


@pytest.mark.parametrize("writer", IN_WORKERS)
def test_writer_in_a_worker_that_is_refused_does_the_same(rig: Rig, pypi: FakePyPI, writer: str) -> None:
    world(pypi)
    is_meant, named = WRITERS[writer](pypi)
    path = rig.write_config()
    with refusing_kernel(*(Refusal(call, errno.ENOSPC, is_meant) for call in CALLS)) as kernel:
        result = kernel.run([sys.executable, "-c", RUN_IN_PROCESSES, str(path)])
    assert pypi.pages_for_others > 0
    last = result.stderr.splitlines()[-1]
    assert last.startswith("bandersnatch.errors.StorageError: ")
    assert named in last
    assert "No space left on device" in last
    assert not (rig.directory / "state").exists()
    assert rig.command_again("mirror").returncode == 0
    rig.assert_matches()


@pytest.mark.parametrize("code", CODES)
def test_log_that_can_not_be_written_is_told_once_and_the_run_goes_on(rig: Rig, pypi: FakePyPI, code: str) -> None:
    world(pypi)
    log, settings = rig.folder / "run.log", rig.folder / "log.ini"
    settings.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=file\n[formatters]\nkeys=\n[logger_root]\nlevel=INFO\nhandlers=file\n"
        f"[handler_file]\nclass=FileHandler\nargs=({str(log)!r},)\n"
    )
    is_meant = Refusal("write", getattr(errno, code), lambda call: call.path == str(log))
    with refusing_kernel(is_meant) as kernel:
        rig.start = kernel.start
        result = rig.command("mirror", log_config=str(settings))
    assert len(kernel.refused) > 1
    assert result.returncode == 0
    told = f"{log}: the log can't be written, lines are lost: {os.strerror(getattr(errno, code))}"
    assert result.stderr.splitlines().count(told) == 1
    assert "Traceback" not in result.stderr
    assert "Logging error" not in result.stderr
    rig.assert_matches()
