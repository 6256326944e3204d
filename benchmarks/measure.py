"""Runs a client once, and says what it took and what it asked for."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")
KINDS = ("page", "file", "metadata", "xmlrpc", "json", "other")
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run took. The peak is that of the whole process tree."""

    status: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Request:
    """A line of the access log. ``is_partial`` says that the client asked for a part of the document."""

    method: str
    uri: str
    status: int
    body_bytes: int
    is_partial: bool

    @property
    def kind(self) -> str:
        """What was asked for: one of ``KINDS``."""
        parts = self.uri.split("/")
        match parts[1:]:
            case ["pypi"] if self.method == "POST":
                return "xmlrpc"
            case ["simple", _, ""]:
                return "page"
            case ["packages", *_]:
                return "metadata" if self.uri.endswith(".metadata") else "file"
            case ["pypi", _, "json"]:
                return "json"
            case _:
                return "other"


def read_requests(lines: Iterable[str]) -> list[Request]:
    """Read the access log."""
    requests = []
    for line in lines:
        method, uri, status, size, byte_range = line.rstrip("\n").split(" ", 4)
        requests.append(Request(method, uri, int(status), int(size), byte_range != '"-"'))
    return requests


def count_kinds(requests: Iterable[Request]) -> dict[str, int]:
    """Return how many requests there were of each kind."""
    counted = Counter(request.kind for request in requests)
    return {kind: counted[kind] for kind in KINDS}


def run(
    command: list[str], environment: Mapping[str, str], output: Path, is_enough: Callable[[], bool] | None = None
) -> Usage:
    """Run a command, its output into a file; kill it with all its processes as soon as ``is_enough``."""
    launch = [sys.executable, "-I", "-S", str(LAUNCHER), *command]
    with output.open("wb") as written:
        launcher = subprocess.Popen(
            launch, env=dict(environment), cwd=output.parent, stdout=subprocess.PIPE, stderr=written, text=True
        )
    with launcher:
        assert launcher.stdout is not None
        group = int(launcher.stdout.readline())
        try:
            while is_enough is not None and launcher.poll() is None:
                if is_enough():
                    os.killpg(group, signal.SIGKILL)
                    break
                time.sleep(POLL_SECONDS)
            return Usage(**json.loads(launcher.stdout.readline()))
        except BaseException:
            os.killpg(group, signal.SIGKILL)
            raise
