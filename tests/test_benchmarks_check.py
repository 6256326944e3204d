"""The check of a mirror that a benchmark has made: what is right passes, and damage is found."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.check import Expected, WrongMirrorError, check_files, check_mirror
from benchmarks.clients import Wishes, write_config
from benchmarks.dataset import File
from benchmarks.handler import PlainHandler
from benchmarks.index import build
from benchmarks.rpc import Journal
from benchmarks.server import REPOSITORY
from tests.support.small_index import SMALL, make


def mirror_files(folder: Path) -> list[File]:
    _, kept = make()
    for path, (_, archive) in kept.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(archive.content)
    return [file for file, _ in kept.values()]


def test_right_files_pass(tmp_path: Path) -> None:
    check_files(tmp_path, mirror_files(tmp_path), has_metadata=False)


def test_leftover_is_found(tmp_path: Path) -> None:
    files = mirror_files(tmp_path)
    (tmp_path / files[0].path).with_name(".begun.part").touch()
    with pytest.raises(WrongMirrorError, match=r"begun\.part should not be there"):
        check_files(tmp_path, files, has_metadata=False)


def test_missing_file_is_found(tmp_path: Path) -> None:
    files = mirror_files(tmp_path)
    (tmp_path / files[0].path).unlink()
    with pytest.raises(WrongMirrorError, match="is missing"):
        check_files(tmp_path, files, has_metadata=False)


def test_missing_core_metadata_is_found(tmp_path: Path) -> None:
    with pytest.raises(WrongMirrorError, match=r"\.metadata is missing"):
        check_files(tmp_path, mirror_files(tmp_path), has_metadata=True)


def test_wrong_byte_is_found(tmp_path: Path) -> None:
    files = mirror_files(tmp_path)
    with (tmp_path / files[0].path).open("r+b") as content:
        content.seek(-1, os.SEEK_END)
        content.write(b"?")
    with pytest.raises(WrongMirrorError, match="sha256"):
        check_files(tmp_path, files, has_metadata=False)


class Handler(PlainHandler):
    """Answers as the index does that is in the server's folder."""

    folder: Path

    def do_POST(self) -> None:
        call = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(Journal((self.folder / "journal").read_text()).answer(call), "text/xml")

    def do_GET(self) -> None:
        page = "index.v1_json" if self.path.endswith("/") else ""
        path = self.folder / "www" / self.path.lstrip("/") / page
        kind = "application/vnd.pypi.simple.v1+json" if page else "application/octet-stream"
        self.answer(path.read_bytes(), kind) if path.exists() else self.answer(b"", kind, 404)


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Expected]:
    """Return a mirror of a made-up index, and what must be in it."""
    folder = tmp_path_factory.mktemp("synced")
    handler = type("OfThisIndex", (Handler,), {"folder": folder / "index"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        index = build(folder / "index", f"http://127.0.0.1:{server.server_port}", SMALL)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            config = write_config(folder / "mirror", index, Wishes())
            command = [sys.executable, "-m", "bandersnatch", "--quiet", "-c", str(config), "mirror", "--init"]
            subprocess.run(command, check=True, cwd=REPOSITORY)
        finally:
            server.shutdown()
            serving.join()
    return folder / "mirror", Expected(index.projects)


def test_whole_mirror_passes(synced: tuple[Path, Expected]) -> None:
    check_mirror(*synced, "state")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


PAGE, ROOT = "web/simple/bench-000001", "web/simple"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "old state": (lambda mirror: (mirror / "state").write_text("1\n"), "state: 1 and not"),
    "work left": (lambda mirror: (mirror / "todo").touch(), "todo: there is work left"),
    "page missing": (lambda mirror: (mirror / PAGE / "index.html").unlink(), "index.html is missing"),
    "page left over": (lambda mirror: (mirror / PAGE / ".x.part").touch(), "x.part should not be there"),
    "project left over": (lambda mirror: (mirror / ROOT / "gone").mkdir(), "gone should not be there"),
    "old page": (
        lambda mirror: change(mirror / PAGE / "index.v1_json", '"_last-serial":2', '"_last-serial":1'),
        "serial",
    ),
    "wrong digest": (
        lambda mirror: change(mirror / PAGE / "index.v1_json", '"sha256":"', '"sha256":"0'),
        "bench_000001",
    ),
    "wrong link": (lambda mirror: change(mirror / PAGE / "index.html", "packages/", "elsewhere/"), "index.html"),
    "not in root": (lambda mirror: change(mirror / ROOT / "index.html", "bench-000001", "other"), "root index"),
    "not in JSON root": (lambda mirror: change(mirror / ROOT / "index.v1_json", "ench_000001", "other"), "root index"),
    "file missing": (lambda mirror: next(mirror.glob("web/packages/*/*/*/*.whl")).unlink(), "is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_a_mirror_is_found(synced: tuple[Path, Expected], tmp_path: Path, damage: str) -> None:
    mirror, expected = tmp_path / "mirror", synced[1]
    shutil.copytree(synced[0], mirror)
    make_damage, message = DAMAGES[damage]
    make_damage(mirror)
    with pytest.raises(WrongMirrorError, match=re.escape(message)):
        check_mirror(mirror, expected, "state")
