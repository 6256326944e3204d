"""An index like PyTorch's: large wheels with local versions, and pages and files at different hosts."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from hashlib import file_digest
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.conftest import make_mirror, run_bandersnatch
from tests.e2e.installers import FreshEnvironment
from tests.e2e.nginx import running, serving
from tests.support.fakepypi.wheels import core_metadata

pytestmark = pytest.mark.e2e

LARGE_BYTES = 200_000_000
PROJECTS = ("torch", "torchvision", "nvidia-nccl-cu12")


class SparseFile(io.FileIO):
    """A file in which zeros take no room on the disk."""

    def write(self, data: bytes) -> int:  # type: ignore[override]  # the base takes any buffer; zipfile writes bytes alone
        if data.count(0) == len(data):
            self.seek(len(data), io.SEEK_CUR)
            return len(data)
        return super().write(data)


def make_wheel(folder: Path, name: str, version: str, size: int, needs: str = "") -> Path:
    """Write a wheel that can be installed, most of which is zeros."""
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    metadata = core_metadata(name, version, ">=3.9")
    if needs:
        metadata = metadata.replace(b"\n\n", f"\nRequires-Dist: {needs}\n\n".encode(), 1)
    info = f"{stem}.dist-info"
    with SparseFile(path, "w") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name.replace('-', '_')}/__init__.py", f"version = {version!r}\n")
        with archive.open(zipfile.ZipInfo(f"{name.replace('-', '_')}/large.bin"), "w") as member:
            for _ in range(size // 1_000_000):
                member.write(bytes(1_000_000))
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def write_page(path: Path, links: Iterable[str]) -> None:
    """Write a page as PyTorch has it: without a title."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(f"    {link}<br/>\n" for link in links)
    path.write_text(f"<!DOCTYPE html>\n<html>\n  <body>\n{body}  </body>\n</html>\n<!--TIMESTAMP 1760000000-->\n")


def link_to(path: Path, url: str) -> str:
    """Return the link to a file, whose name has `%2B` in it."""
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return f'<a href="{url}/{quote(path.name)}#sha256={digest}" data-requires-python="&gt;=3.9">{path.name}</a>'


@pytest.fixture
def index_url(tmp_path: Path) -> Iterator[str]:
    """The index, at one host; its files are at another, and only there."""
    wheels, pages = tmp_path / "files/whl/cu126", tmp_path / "pages/whl/cu126"
    wheels.mkdir(parents=True)
    make_wheel(wheels, "torch", "2.6.0+cu126", 1_000_000)
    make_wheel(wheels, "torch", "2.7.0+cu126", LARGE_BYTES, needs="nvidia-nccl-cu12==2.26.2")
    make_wheel(wheels, "torchvision", "0.22.0+cu126", 1_000_000, needs="torch==2.7.0")
    make_wheel(wheels, "nvidia-nccl-cu12", "2.26.2", LARGE_BYTES)
    with ExitStack() as servers:
        files_port = servers.enter_context(running(tmp_path / "nginx-files", partial(site_of, tmp_path / "files")))
        pages_port = servers.enter_context(running(tmp_path / "nginx-pages", partial(site_of, tmp_path / "pages")))
        write_page(pages / "index.html", [f'<a href="{name}/">{name}</a>' for name in PROJECTS])
        for name in PROJECTS:
            own = sorted(wheels.glob(f"{name.replace('-', '_')}-*.whl"))
            links = [link_to(path, f"http://127.0.0.1:{files_port}/whl/cu126") for path in own]
            write_page(pages / name / "index.html", links)
        yield f"http://127.0.0.1:{pages_port}/whl/cu126"


def site_of(root: Path, port: int) -> str:
    types = "types { text/html html; } default_type application/octet-stream;"
    return f"server {{ listen 127.0.0.1:{port}; root {root}; {types} }}"


def test_large_wheels_with_local_versions_are_mirrored_and_installed(index_url: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    mirror = make_mirror(tmp_path / "made", index_url)
    assert ": 3 updated, 0 removed, 0 failed, 4 files, " in mirror.output.splitlines()[-1]
    with serving(mirror.web, tmp_path / "nginx") as site:
        environment = FreshEnvironment.make(tmp_path / "fresh", site.index_url)
        environment.pip("install", "-q", "--no-cache-dir", "torchvision==0.22.0+cu126")
        newest = {"torch": "2.7.0+cu126", "torchvision": "0.22.0+cu126", "nvidia-nccl-cu12": "2.26.2"}
        assert environment.installed() == newest
        environment.uv_pip("install", "--reinstall-package", "torch", "torch==2.7.0+cu126")
        assert environment.installed() == newest
        assert environment.says("import torch; print(torch.version)") == "2.7.0+cu126"
    log = run_bandersnatch(mirror.config)
    assert ": 0 updated, 0 removed, 0 failed, 0 files, " in log.splitlines()[-1]
