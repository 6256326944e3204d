"""SIGINT and SIGTERM while no run is there to be stopped: from the first moment of the process on."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest

from bandersnatch.__main__ import console
from tests.support.command_line import LINE
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

BOTH = pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
SIGNAL_AT_IMPORT = """
import os, runpy, sys
number, module, entry = int(sys.argv[1]), sys.argv[2], sys.argv[3]
sys.argv[1:] = ["--version"]

class AtImport:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, AtImport())
runpy.run_module(entry, run_name="__main__")
"""
"""The command, with a signal at the moment at which it begins to import a module."""


@BOTH
@pytest.mark.parametrize(
    ("entry", "module"),
    [
        ("bandersnatch", "logging"),
        ("bandersnatch", "bandersnatch.cli.invocation"),
        ("bandersnatch", "bandersnatch.main"),
        ("bandersnatch", "bandersnatch.cli.about"),
        ("bandersnatch.main", "logging"),
        ("bandersnatch.main", "bandersnatch.cli.app"),
    ],
)
def test_signal_while_the_program_is_still_imported(
    number: signal.Signals, status: int, entry: str, module: str
) -> None:
    command = [sys.executable, "-S", "-c", SIGNAL_AT_IMPORT, str(int(number)), module, entry]
    path = os.pathsep.join([os.getcwd(), *sys.path])
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert (result.returncode, result.stdout) == (status, ""), result.stderr
    assert LINE.fullmatch(result.stderr.rstrip("\n"))
    assert result.stderr.endswith(f" WARNING: stopped by {number.name}\n")


@BOTH
@pytest.mark.parametrize("command", ["mirror", "verify", "sync foo", "delete foo", "config check"])
@pytest.mark.parametrize("entry", ["bandersnatch", "bandersnatch.main"])
def test_signal_while_the_configuration_is_read(
    tmp_path: Path, number: signal.Signals, status: int, command: str, entry: str
) -> None:
    fifo = tmp_path / "bandersnatch.conf"
    os.mkfifo(fifo)
    arguments = [sys.executable, "-m", entry, "--quiet", "-c", str(fifo), *command.split()]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        writer = fifo.open("w")  # returns when the command has opened it too
        process.send_signal(number)
        writer.close()  # a signal just before a blocking call is seen only after it
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (status, "")
    assert LINE.fullmatch(stderr.rstrip("\n"))
    assert stderr.endswith(f" WARNING: stopped by {number.name}\n")


@BOTH
def test_signal_at_a_question_ends_the_command(rig: Rig, pypi: FakePyPI, number: signal.Signals, status: int) -> None:
    pypi.add_file("foo", "1.0")
    rig.run()
    before = rig.tree()
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "bandersnatch", "-c", str(rig.write_config()), "delete", "foo"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 4096)
        while process.poll() is None:  # a signal just before a blocking call is seen only with the next one
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
    shown = os.read(ours, 4096)
    os.close(ours)
    assert process.returncode == status
    assert re.search(rf"\d\d:\d\d:\d\d WARNING: stopped by {number.name}\r\n$", shown.decode())
    assert rig.tree() == before


def test_command_begins_where_signals_are_handled() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"] == {"bandersnatch": f"{console.__module__}:{console.__name__}"}
