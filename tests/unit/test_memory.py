"""Little memory, or no thread available: one error, status 4, and the state as it was; never a traceback."""

import resource
import subprocess
import sys
from functools import partial

import pytest

from bandersnatch.errors import ScarceMemoryError
from bandersnatch.memory import scarcity
from tests.faults.test_large_answers import JSON, packed
from tests.support.rig import Rig
from tests.support.scripted import Asked, Line, Relay, answer, scripted

MIB = 1024 * 1024
WITHOUT_THREADS = """
import sys, threading
from bandersnatch.main import main
threading.stack_size(2**46)
sys.exit(main(sys.argv[1:]))
"""
"""Runs the command where no thread can be started, as where a user or a container may have no more of them."""


def limit(mib: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (mib * MIB, mib * MIB))


def run(rig: Rig, mib: int | None, *program: str, **options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *(program or ("-m", "bandersnatch")), "-c", str(rig.write_config(**options)), "mirror"]
    before = partial(limit, mib) if mib is not None else None
    return subprocess.run(command, preexec_fn=before, capture_output=True, text=True, timeout=100)


def assert_told_once(result: "subprocess.CompletedProcess[str]") -> None:
    assert result.returncode == 4
    assert "Traceback" not in result.stderr
    (line,) = (line for line in result.stderr.splitlines() if "ERROR" in line)
    assert "the run has ended: not enough memory: " in line


@pytest.mark.parametrize("mib", [60, 80, 100, 130, 160, 200])
@pytest.mark.parametrize("workers", ["1", "10"])
def test_a_run_with_too_little_memory_ends_at_once_and_changes_nothing(rig: Rig, mib: int, workers: str) -> None:
    rig.pypi.add_file("foo", "1.0")
    rig.run()
    before = rig.tree(), (rig.directory / "state").read_bytes()
    rig.pypi.add_file("foo", "2.0")
    result = run(rig, mib, workers=workers)
    if result.returncode != 0:  # how much is too little depends on the versions of the libraries
        assert_told_once(result)
        assert (rig.tree(), (rig.directory / "state").read_bytes()) == before
    assert result.returncode == (4 if mib <= 100 else result.returncode)
    assert run(rig, None).returncode == 0
    rig.assert_matches()


def test_a_run_with_ten_workers_needs_no_gigabyte_of_addresses(rig: Rig) -> None:
    for number in range(40):
        rig.pypi.add_file(f"p{number}", "1.0", size=100_000)
    result = run(rig, 450, workers="10")
    assert (result.returncode, result.stderr.count("failed: ")) == (0, 0)
    rig.assert_matches()


def test_memory_that_ends_in_the_middle_of_a_run_ends_it_and_the_state_stays(rig: Rig) -> None:
    rig.pypi.add_file("foo", "1.0")
    rig.run()
    state = (rig.directory / "state").read_bytes()
    rig.pypi.add_file("foo", "2.0")
    begin = b'{"meta": {"api-version": "1.1", "_last-serial": 9}, "projects": ['
    bomb = answer(packed(begin, b'{"name": "x"}, ', 150, "gzip"), "Content-Encoding: gzip", JSON)
    relay = Relay(rig.pypi.url)

    def serve(line: Line, asked: Asked) -> None:
        line.send(bomb if asked.target == "/simple/" else relay.answer(asked))

    with scripted(serve) as relay.url:
        assert_told_once(run(rig, 330, workers="4", master=relay.url, api_method="simple"))
    assert (rig.directory / "state").read_bytes() == state
    assert run(rig, None).returncode == 0
    rig.assert_matches()


def test_no_thread_to_be_had_is_told_once(rig: Rig) -> None:
    rig.pypi.add_file("foo", "1.0")
    result = run(rig, None, "-c", WITHOUT_THREADS)
    assert_told_once(result)
    assert "no thread is available" in result.stderr
    assert run(rig, None).returncode == 0
    rig.assert_matches()


def test_only_errors_of_that_kind_are_taken_for_scarcity() -> None:
    assert isinstance(scarcity(MemoryError()), ScarceMemoryError)
    assert isinstance(scarcity(RuntimeError("can't start new thread")), ScarceMemoryError)
    assert scarcity(RuntimeError("dictionary changed size during iteration")) is None
    assert scarcity(OSError()) is None
