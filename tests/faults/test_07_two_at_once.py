"""7. Two runs at once, and readers during a run. (Who holds the lock: ``tests/unit/cli/test_app.py``.)"""

import re
import threading
import urllib.error
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bandersnatch.errors import LockHeldError
from tests.support.fakepypi import Call, FakePyPI
from tests.support.rig import Rig


def test_second_run_in_the_same_process_is_refused_too(rig: Rig, pypi: FakePyPI) -> None:
    errors: list[Exception] = []

    def run_again() -> None:
        try:
            rig.run()
        except LockHeldError as error:
            errors.append(error)

    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Call(run_again))
    assert rig.run().failures == []
    assert len(errors) == 1
    rig.assert_matches()


@pytest.mark.parametrize("left", ["", "process 1, since 2001-01-01 00:00:00 UTC\n", "garbage \x00"])
def test_lock_file_of_a_dead_process_is_no_lock(rig: Rig, pypi: FakePyPI, left: str) -> None:
    pypi.add_file("foo", "1.0")
    rig.directory.mkdir()
    (rig.directory / ".lock").write_text(left)
    assert rig.run().failures == []
    rig.assert_matches()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""


class Reader(threading.Thread):
    """Fetches every page and each file that it lists, over and over, and notes what is missing or wrong."""

    def __init__(self, url: str, web: Path, names: list[str]) -> None:
        super().__init__(daemon=True)
        self.url, self.web, self.names = url, web, names
        self.enough = threading.Event()
        self.rounds = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.enough.is_set() or self.rounds == 0:
            for name in self.names:
                self.read_project(name)
            self.rounds += 1

    def read_project(self, name: str) -> None:
        page = self.get(f"/simple/{name}/")
        if page is None:
            return
        for link, digest in re.findall(r'href="../..(/packages/[^#]+)#sha256=([0-9a-f]+)"', page.decode()):
            content = self.get(link)
            if content is None:
                # Gone since the page was read: then a page that is read now lists it no more.
                now = self.get(f"/simple/{name}/")
                if now is not None and digest in now.decode():
                    self.wrong.append(f"{name}: {link} is listed and missing")
            elif self.digest(content) != digest:
                self.wrong.append(f"{name}: {link} is not whole")

    @staticmethod
    def digest(content: bytes) -> str:
        import hashlib

        return hashlib.sha256(content).hexdigest()

    def get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as response:
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            error.close()
            return None


def test_reader_never_finds_a_listed_file_missing(rig: Rig, pypi: FakePyPI) -> None:
    names = [f"project-{number}" for number in range(12)]
    rig.web.mkdir(parents=True)
    handler = partial(QuietHandler, directory=str(rig.web))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        readers = [Reader(f"http://127.0.0.1:{server.server_port}", rig.web, names) for _ in range(3)]
        for reader in readers:
            reader.start()
        for turn in range(6):
            for number, name in enumerate(names):
                pypi.add_file(name, f"{turn}.0")
                if turn and number % 3 == 2:
                    pypi.remove_release(name, f"{turn - 1}.0")
                if turn == 3 and number in (1, 4, 7):
                    pypi.remove_project(name)
                    pypi.add_file(name, "9.9")
            rig.run(allow_removals=True)
        for reader in readers:
            reader.enough.set()
        for reader in readers:
            reader.join(60)
            assert reader.wrong == []
            assert reader.rounds > 0
        server.shutdown()
    rig.assert_matches()
