"""``bandersnatch serve`` as a user starts it: what it says, how it stops, and how it refuses."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.rig import start_process
from tests.support.serving import Client, make_web, needs_waitress

pytestmark = needs_waitress


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bandersnatch.conf"
    path.write_text(f"[mirror]\ndirectory = {tmp_path}\nmaster = http://127.0.0.1:9\nallow-non-https = true\n")
    return path


def command_of(config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "bandersnatch", "-c", str(config), "serve", *arguments]


@contextmanager
def started(config: Path, *arguments: str) -> Iterator["tuple[subprocess.Popen[str], list[str]]"]:
    """Start the command; gives its process, and its two first lines."""
    with start_process(command_of(config, "--port", "0", *arguments)) as process:
        try:
            assert process.stderr is not None
            yield process, [process.stderr.readline(), process.stderr.readline()]
        finally:
            process.kill()


def rest_of(process: "subprocess.Popen[str]") -> str:
    """Return what the command still writes until it ends; not by ``communicate``, which forgets what was read ahead."""
    assert process.stdout is not None
    assert process.stderr is not None
    errors = process.stderr.read()
    assert (process.wait(timeout=30), process.stdout.read()) == (0, "")
    return errors


def port_of(line: str) -> int:
    found = re.search(r":(\d+)/simple/", line)
    assert found is not None, line
    return int(found[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_ends_with_status_0(tmp_path: Path, config: Path, number: signal.Signals) -> None:
    make_web(tmp_path / "web")
    with started(config) as (process, (first, second)):
        port = port_of(first)
        assert f" INFO: serving {tmp_path}/web at http://127.0.0.1:{port}/simple/ until it is stopped" in first
        assert second.endswith(f" INFO: in pip.conf, below [global]: index-url = http://127.0.0.1:{port}/simple/\n")
        with closing(Client(port)) as client:
            assert client.ask("/simple/foo-bar/").status == 200
            process.send_signal(number)
            assert rest_of(process).endswith(" INFO: stopped\n")


def test_hash_index_is_read_from_the_configuration(tmp_path: Path, config: Path) -> None:
    make_web(tmp_path / "web", hash_index=True)
    with config.open("a") as file:
        file.write("hash-index = true\n")
    with started(config, "--debug") as (process, (first, _)), closing(Client(port_of(first))) as client:
        assert client.ask("/simple/foo-bar/").status == 200
        process.send_signal(signal.SIGTERM)
        assert " DEBUG: 127.0.0.1 GET /simple/foo-bar/: 200, 15 bytes ()\n" in rest_of(process)


def test_other_machines_need_to_trust_it_and_the_operator_is_warned(tmp_path: Path, config: Path) -> None:
    make_web(tmp_path / "web")
    with started(config, "--bind", "0.0.0.0") as (process, (_, second)):
        assert re.search(r"/simple/, trusted-host = \S+\n$", second)
        process.send_signal(signal.SIGTERM)
        assert "without encryption" in rest_of(process)


def test_ipv6_address_is_in_brackets(tmp_path: Path, config: Path) -> None:
    make_web(tmp_path / "web")
    with started(config, "--bind", "::1") as (process, (first, _)):
        if "can't listen" in first or "--bind" in first:
            pytest.skip("this machine has no IPv6")
        assert " at http://[::1]:" in first
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_nothing_to_serve_is_an_error(tmp_path: Path, config: Path) -> None:
    finished = subprocess.run(command_of(config), capture_output=True, text=True)
    assert finished.returncode == 2
    assert f"{tmp_path}/web/simple: there is no such directory" in finished.stderr


@pytest.mark.parametrize("port", ["65536", "-1", "http", "٣"])
def test_port_that_is_none_is_an_error(config: Path, port: str) -> None:
    finished = subprocess.run(command_of(config, f"--port={port}"), capture_output=True, text=True)
    assert finished.returncode == 2
    assert "expected a number from 0 to 65535" in finished.stderr


def test_missing_package_is_named(tmp_path: Path, config: Path) -> None:
    make_web(tmp_path / "web")
    code = (
        "import sys; sys.modules['waitress'] = None\n"
        f"from bandersnatch.cli.app import main; sys.exit(main(['-c', {str(config)!r}, 'serve', '--port', '0']))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 2
    assert "pip install 'bandersnatch[serve]'" in finished.stderr
    assert "serving" not in finished.stderr
