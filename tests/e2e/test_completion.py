"""The scripts for completion, loaded by the shells that they are for, and asked with the Tab key."""

import os
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.installers import bandersnatch_command

pytestmark = pytest.mark.e2e

DEADLINE_SECONDS = 60.0
HOME, TAB, END = "\x01", "\t", "\x05"
LOAD = {
    "bash": "source ./_bandersnatch",
    "zsh": "bindkey -e; fpath=($PWD $fpath); autoload -U compinit; compinit -u -D",
}
START = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}
READY = "ready, steady"

CASES = {
    "bandersnatch mir": "bandersnatch mirror",
    "bandersnatch mirror --dr": "bandersnatch mirror --dry-run",
    "bandersnatch config ex": "bandersnatch config explain",
    "bandersnatch verify --del": "bandersnatch verify --delete",
    "bandersnatch --deb": "bandersnatch --debug",
    "bandersnatch -c some": "bandersnatch -c some.conf",
    "bandersnatch completion z": "bandersnatch completion zsh",
}


class Terminal:
    """A shell that is typed at; all that it says is read, so that it never waits for that."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._ours, theirs = os.openpty()
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "PS1": "> "}
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment, start_new_session=True
        )
        os.close(theirs)
        self._said = b""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> None:
        while text not in self._said.decode("utf-8", "replace"):
            assert self._read(), f"the shell has ended: {self._said!r}"

    def wait_for_the_end(self) -> None:
        while self._read():
            pass
        self._process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def _read(self) -> bool:
        """Read what the shell says next; False where it has ended."""
        readable, _, _ = select.select([self._ours], [], [], DEADLINE_SECONDS)
        assert readable, f"the shell says no more: {self._said!r}"
        try:
            some = os.read(self._ours, 65_536)
        except OSError:  # Linux says that the other end is closed by an error
            return False
        self._said += some
        return bool(some)


@pytest.mark.parametrize("typed", CASES)
@pytest.mark.parametrize("shell", LOAD)
def test_tab_completes_what_is_typed(shell: str, typed: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    assert program is not None, f"{shell} is not installed"
    script = subprocess.run([*bandersnatch_command(), "completion", shell], capture_output=True, check=True).stdout
    (tmp_path / "_bandersnatch").write_bytes(script)
    (tmp_path / "some.conf").touch()
    terminal = Terminal([program, *START[shell]], tmp_path)
    try:
        terminal.type(f"{LOAD[shell]}; echo ready, 'steady'\n")
        terminal.wait_for(READY)
        # The shell writes the completed line into a file, in place of running it.
        terminal.type(f"{typed}{TAB}{HOME}echo '{END}' > completed; exit\n")
        terminal.wait_for_the_end()
    finally:
        terminal.close()
    assert (tmp_path / "completed").read_text().strip() == CASES[typed]
