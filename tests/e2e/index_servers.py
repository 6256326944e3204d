"""Server software that people have in place of PyPI, installed from the package registry, with what a fake PyPI has.

Each is started as its documentation says, on the loopback interface. ``publish`` makes it have what the fake one has:
what can't be told there (who yanked a file in pypiserver?) is not among what the server ``tells``.
"""

import base64
import json
import secrets
import shutil
import subprocess
import sys
import urllib.request
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.installers import cut_off_environment
from tests.e2e.nginx import running, site_configuration
from tests.e2e.old_clients import OldClient, install
from tests.e2e.ports import await_listening
from tests.support.fakepypi import FakePyPI, UploadedFile


class IndexServer(ABC):
    """An index that can be filled, started and ended."""

    requirements: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """Lines of [mirror] without which its files are refused."""
    tells: frozenset[str] = frozenset()
    has_etags = False
    """Whether it can say that a page is the same."""
    path = ""
    """What of the URL an operator writes after the host."""

    def __init__(self, environment: Path, folder: Path, port: int) -> None:
        self.environment, self.folder, self.port = environment, folder, port
        if self.requirements and not environment.exists():
            install(environment, Path(sys.executable), *self.requirements)

    @property
    def master(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def asked_again(self, names: Iterable[str]) -> list[str]:
        """Return for which projects a run asks although nothing has changed: for all, where only their pages tell."""
        return list(names)

    @abstractmethod
    def publish(self, pypi: FakePyPI) -> None:
        """Have what the fake PyPI has; called inside and outside of ``running``, unless the server says otherwise."""

    @abstractmethod
    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve inside the block, on the same port each time."""

    def run_tool(self, name: str, *arguments: str | Path) -> None:
        """Run a command that was installed with the server."""
        command = [str(self.environment / "bin" / name), *map(str, arguments)]
        finished = subprocess.run(
            command, cwd=self.folder, env=cut_off_environment(self.folder), capture_output=True, text=True
        )
        assert finished.returncode == 0, f"{command}:\n{finished.stdout}{finished.stderr}"

    @contextmanager
    def process(self, name: str, *arguments: str | Path) -> Iterator[None]:
        """Run a command that listens on the port, from its first answer on."""
        command = [str(self.environment / "bin" / name), *map(str, arguments)]
        log = self.folder / "server.log"
        variables = cut_off_environment(self.folder) | {"no_proxy": "*"}
        with log.open("a") as output, subprocess.Popen(command, stdout=output, stderr=output, env=variables) as server:
            try:
                try:
                    await_listening(server, self.port)
                except AssertionError as error:
                    raise AssertionError(log.read_text()) from error
                yield
            finally:
                server.terminate()


class PypiServer(IndexServer):
    """pypiserver: a folder of files, HTML alone, SHA-256 in the links."""

    requirements = ("pypiserver>=2.4",)
    tells = frozenset({"sha256"})
    hash_algorithm = "sha256"

    def publish(self, pypi: FakePyPI) -> None:
        _fill(self.folder / "files", pypi)

    @contextmanager
    def running(self) -> Iterator[None]:
        arguments = ["run", "-i", "127.0.0.1", "-p", str(self.port), "--disable-fallback"]
        with self.process("pypi-server", *arguments, "--hash-algo", self.hash_algorithm, self.folder / "files"):
            yield


class PypiServerWithMd5(PypiServer):
    """The same with the digests that it had before version 2."""

    hash_algorithm = "md5"
    tells = frozenset()
    options = ("allow-weak-hashes = true",)


class SimpleRepositoryServer(IndexServer):
    """simple-repository-server: a folder for each project, JSON 1.1 without any digest."""

    requirements = ("simple-repository-server>=0.10",)
    options = ("allow-unhashed = true",)

    def publish(self, pypi: FakePyPI) -> None:
        files = self.folder / "files"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        for name in pypi.project_names():
            _fill(files / name, pypi, name)

    @contextmanager
    def running(self) -> Iterator[None]:
        arguments = ["--host", "127.0.0.1", "--port", str(self.port)]
        with self.process("simple-repository-server", *arguments, self.folder / "files"):
            yield


class Devpi(IndexServer):
    """devpi-server: JSON 1.0, the root index at ``+simple``; filled by uploads while it runs."""

    requirements = ("devpi-server>=6.20,<7",)
    tells = frozenset({"sha256", "requires_python"})
    path = "/team/dev/+simple/"

    def __init__(self, environment: Path, folder: Path, port: int) -> None:
        super().__init__(environment, folder, port)
        self._there: dict[str, set[str]] = {}
        self._login = ""

    def publish(self, pypi: FakePyPI) -> None:
        if not self._login:
            self._make_index()
        for name in self._there.keys() - set(pypi.project_names()):
            self._ask("DELETE", f"/team/dev/{name}")
            del self._there[name]
        for name in pypi.project_names():
            uploaded = self._there.setdefault(name, set())
            ranges = requires_python(pypi, name)
            for file in pypi.files(name):
                if file.filename not in uploaded:
                    self._upload(pypi.display_name(name), file, ranges[file.filename])
                    uploaded.add(file.filename)

    @contextmanager
    def running(self) -> Iterator[None]:
        if not (self.folder / "data").exists():
            self.run_tool("devpi-init", "--serverdir", self.folder / "data", "--no-root-pypi")
            (self.folder / "secret").touch(0o600)
            (self.folder / "secret").write_text(f"{secrets.token_urlsafe(48)}\n")
        arguments = ["--host", "127.0.0.1", "--port", str(self.port), "--secretfile", str(self.folder / "secret")]
        # It would begin with ten seconds of one core, which are to make its secret hard to guess.
        arguments += ["--argon2-memory-cost", "8", "--argon2-time-cost", "1", "--argon2-parallelism", "1"]
        with self.process("devpi-server", *arguments, "--serverdir", self.folder / "data", "--threads", "4"):
            yield

    def _make_index(self) -> None:
        self._ask("PUT", "/team", {"password": "known"})
        token = self._ask("POST", "/+login", {"user": "team", "password": "known"})["result"]["password"]
        self._login = base64.b64encode(f"team:{token}".encode()).decode()
        self._ask("PUT", "/team/dev", {"type": "stage", "bases": [], "volatile": True})

    def _upload(self, name: str, file: UploadedFile, requires_python: str | None) -> None:
        fields = {":action": "file_upload", "name": name, "version": file.version, "metadata_version": "2.1"}
        fields["filetype"] = "bdist_wheel" if file.filename.endswith(".whl") else "sdist"
        fields |= {"requires_python": requires_python} if requires_python else {}
        border = uuid.uuid4().hex
        head = f'--{border}\r\nContent-Disposition: form-data; name="'
        parts = [f'{head}{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields.items()]
        parts.append(f'{head}content"; filename="{file.filename}"\r\n\r\n'.encode() + file.content)
        body = b"".join(parts) + f"\r\n--{border}--\r\n".encode()
        self._send("POST", "/team/dev/", body, f"multipart/form-data; boundary={border}")

    def _ask(self, method: str, path: str, value: dict[str, Any] | None = None) -> Any:
        answer = self._send(method, path, None if value is None else json.dumps(value).encode(), "application/json")
        return json.loads(answer)

    def _send(self, method: str, path: str, body: bytes | None, content_type: str) -> bytes:
        headers = {"Accept": "application/json", "Content-Type": content_type, "X-Devpi-Auth": self._login}
        headers = {key: value for key, value in headers.items() if value}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            content: bytes = answer.read()
        return content


class Tree(IndexServer):
    """A tree of static files behind nginx, which negotiates nothing."""

    root = "tree"
    has_etags = True

    @contextmanager
    def running(self) -> Iterator[None]:
        with running(self.folder / "nginx", self.site, self.port):
            yield

    def site(self, port: int) -> str:
        types = "types { text/html html; } default_type application/octet-stream;"
        return f"server {{ listen 127.0.0.1:{port}; root {self.folder / self.root}; {types} }}"


class DumbPypi(Tree):
    """dumb-pypi: HTML, whose root index has the time of its making, and links to ``alpha/index.html``."""

    requirements = ("dumb-pypi>=1.15",)
    tells = frozenset({"sha256", "requires_python"})

    def publish(self, pypi: FakePyPI) -> None:
        shutil.rmtree(self.folder / "tree", ignore_errors=True)
        _fill(self.folder / "tree" / "pool", pypi)
        with (self.folder / "list").open("w") as lines:
            for name in pypi.project_names():
                ranges = requires_python(pypi, name)
                for file in pypi.files(name):
                    line = {"filename": file.filename, "hash": f"sha256={file.sha256}"}
                    range_ = ranges[file.filename]
                    lines.write(json.dumps(line | ({"requires_python": range_} if range_ else {})) + "\n")
        listed = ("--package-list-json", str(self.folder / "list"), "--packages-url", "../../pool/")
        self.run_tool("dumb-pypi", *listed, "--output-dir", self.folder / "tree")


class Pip2Pi(Tree):
    """pip2pi: HTML without <html> or digests; the files lie beside the page."""

    # It imports pkg_resources, which setuptools 82 no longer has.
    requirements = ("pip2pi>=0.8.2", "setuptools<81")
    options = ("allow-unhashed = true",)

    def publish(self, pypi: FakePyPI) -> None:
        shutil.rmtree(self.folder / "tree", ignore_errors=True)
        _fill(self.folder / "tree", pypi)
        self.run_tool("dir2pi", "-S", self.folder / "tree")


class OldTree(Tree):
    """The tree of another bandersnatch version, as public mirrors serve it: HTML alone."""

    root = "mirror/web"
    tells = frozenset({"sha256", "requires_python", "yanked"})

    def __init__(self, client: OldClient, folder: Path, port: int) -> None:
        super().__init__(client.command.parent.parent, folder, port)
        self._client = client

    def publish(self, pypi: FakePyPI) -> None:
        simple = self.folder / self.root / "simple"
        held = {path.name for path in simple.glob("*") if path.is_dir()}
        for name in held - set(pypi.project_names()):  # these versions remove no project by themselves
            config = self.folder / "for-delete.conf"  # which wants https, and asks nobody
            config.write_text((self.folder / "bandersnatch.conf").read_text().replace(pypi.url, "https://127.0.0.1:9"))
            run = self._client.run(config, "delete", name)
            assert run.status == 0, run.log
        self._client.mirror(self.folder, pypi.url, "json = true\n")


class NegotiatedTree(OldTree):
    """The same with content negotiation: JSON, whose root index tells a serial, if an old one."""

    def asked_again(self, names: Iterable[str]) -> list[str]:
        return []

    def site(self, port: int) -> str:
        return site_configuration(self.folder / self.root, port, hash_index=False)


def requires_python(pypi: FakePyPI, name: str) -> dict[str, str | None]:
    """Return which Pythons each file of a project is for."""
    return {file["filename"]: file.get("requires-python") for file in pypi.page(name)["files"]}


def _fill(folder: Path, pypi: FakePyPI, *names: str) -> None:
    """Make a folder of the files of all projects, or of these."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in names or pypi.project_names():
        for file in pypi.files(name):
            (folder / file.filename).write_bytes(file.content)
