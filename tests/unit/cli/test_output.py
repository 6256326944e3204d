"""What commands print: plain text for pipes, a drawn table for terminals."""

import os
import pty
import subprocess
import sys

import pytest

from bandersnatch.cli.output import print_table

SCRIPT = (
    "from bandersnatch.cli.output import print_table; print_table(['name', 'n'], [['[bold]x[/bold]', 1], ['y', None]])"
)


def test_plain_text_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "n"], [["long-name", 1], ["x", None], ["", 12345]])
    assert capsys.readouterr().out == "name           n\nlong-name      1\nx              ?\n           12345\n"


def test_table_without_rows_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name"], [])
    assert capsys.readouterr().out == ""


def test_terminal_gets_a_drawn_table_with_names_as_they_are() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:
                break
            shown += data
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    assert "[bold]x[/bold]" in text
    assert "│" in text


def test_pipe_that_nobody_reads_is_no_traceback() -> None:
    command = [sys.executable, "-m", "bandersnatch", "completion", "bash"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
