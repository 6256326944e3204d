"""The bandersnatch versions that people move in from, installed from the package registry, each into its own environment.

7.1 and 8.0 want Python 3.12 or newer, and 8.0 came out when 3.13 was usual: the newest interpreter from 3.12 up that this
machine has is used for all of them. Registries of packages have no interpreter, so one must be there.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

VERSIONS = ("6.8.0", "7.1.0", "8.0.0")
TRIED_MINORS = (13, 14, 12)
"""In this order: 3.13 is what the old clients were tested with by their makers."""

_NOISE = re.compile(r".*_PROXY$|PYTHON|VIRTUAL_ENV|TOX_|PYTEST_", re.IGNORECASE)
_LONGEST_RUN_SECONDS = 120


class NoInterpreterError(Exception):
    """This machine has no Python that the old clients run with."""


@dataclass(frozen=True, slots=True)
class OldRun:
    """What a run of an old client wrote, and how it ended; it ends with 0 after most errors."""

    status: int
    log: str


@dataclass(frozen=True, slots=True)
class OldClient:
    """An installed bandersnatch of another version."""

    version: str
    command: Path

    @classmethod
    def install(cls, version: str, folder: Path) -> "OldClient":
        """Install a version from the package registry into an environment below `folder`."""
        environment = folder / f"bandersnatch-{version}"
        install(environment, find_interpreter(), f"bandersnatch=={version}")
        client = cls(version, environment / "bin" / "bandersnatch")
        told = _run([str(client.command), "--version"])
        if version not in told:
            raise RuntimeError(f"bandersnatch {version} was asked for, and this was installed: {told}")
        return client

    def run(self, config: Path, *arguments: str) -> OldRun:
        """Run the client with a configuration file; without arguments, `mirror`."""
        command = [str(self.command), "-c", str(config), *(arguments or ("mirror",))]
        finished = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST_RUN_SECONDS,
            env=_quiet_environment(),
        )
        return OldRun(finished.returncode, finished.stdout)

    def mirror(self, folder: Path, upstream_url: str, sections: str = "") -> Path:
        """Let the client write a whole mirror into `folder`/mirror; return that directory.

        `sections` are lines for `[mirror]` and any sections after them; the file stays as `folder`/bandersnatch.conf, and
        can be given to any other client.

        The client must have got to its end: its `status` tells.
        """
        config = write_config(folder, upstream_url, sections)
        run = self.run(config)
        directory = folder / "mirror"
        if run.status != 0 or not (directory / "status").is_file() or (directory / "todo").exists():
            raise RuntimeError(
                f"bandersnatch {self.version} did not finish its mirror (status {run.status}):\n{run.log}"
            )
        return directory


def install(environment: Path, interpreter: Path, *requirements: str) -> None:
    """Make an environment with packages from the package registry."""
    import uv  # only the e2e environment has it

    _run([uv.find_uv_bin(), "venv", "--quiet", "--python", str(interpreter), str(environment)])
    python = str(environment / "bin" / "python")
    _run([uv.find_uv_bin(), "pip", "install", "--quiet", "--python", python, *requirements])


def write_config(folder: Path, upstream_url: str, sections: str = "") -> Path:
    """Write a configuration that every version reads, for a mirror in `folder`/mirror, which is made."""
    (folder / "mirror").mkdir(parents=True, exist_ok=True)
    config = folder / "bandersnatch.conf"
    head = f"[mirror]\ndirectory = {folder / 'mirror'}\nmaster = {upstream_url}\nallow-non-https = true\n"
    config.write_text(f"{head}{sections}", "utf-8")
    return config


def find_interpreter() -> Path:
    """Return a Python that all the old clients run with.

    Raises:
        NoInterpreterError: this machine has none.
    """
    found: dict[int, Path] = {}
    for candidate in _candidates():
        minor = _minor_of(candidate)
        if minor in TRIED_MINORS:
            found.setdefault(minor, candidate)
    for minor in TRIED_MINORS:
        if minor in found:
            return found[minor]
    raise NoInterpreterError(
        "the tests against bandersnatch 7.1 and 8.0 need Python 3.12 or newer, best 3.13: none was found on PATH, below "
        "/usr/local/bin, or among the versions of pyenv and uv. Install one, or run: tox -e e2e -- -k 'not old_clients'"
    )


def _candidates() -> Iterator[Path]:
    yield Path(sys.executable)
    names = [f"python3.{minor}" for minor in TRIED_MINORS]
    folders = [Path(folder) for folder in os.get_exec_path()] + [Path("/usr/local/bin")]
    for root in (Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions", _uv_pythons()):
        folders += sorted(root.glob("*/bin"), reverse=True)
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                yield folder / name


def _uv_pythons() -> Path:
    data = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return Path(os.environ.get("UV_PYTHON_INSTALL_DIR", data / "uv" / "python"))


def _minor_of(interpreter: Path) -> int | None:
    """Return which Python 3 this is, or None where it does not run: a shim of pyenv may have nothing behind it."""
    code = "import ssl, sqlite3, sys; print(sys.version_info[0] == 3 and sys.version_info[1])"
    try:
        finished = subprocess.run([str(interpreter), "-c", code], capture_output=True, text=True, timeout=20)
    except OSError:
        return None
    return int(finished.stdout) if finished.returncode == 0 else None


def _run(command: Iterable[str]) -> str:
    finished = subprocess.run([*command], capture_output=True, text=True, env=_install_environment())
    if finished.returncode != 0:
        raise RuntimeError(f"{' '.join(finished.args)}:\n{finished.stderr}")
    return finished.stdout


def _install_environment() -> Mapping[str, str]:
    """Return variables under which uv takes no environment but the named one, and loads no interpreter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))}
    return kept | {"UV_PYTHON_DOWNLOADS": "never"}


def _quiet_environment() -> Mapping[str, str]:
    """Return variables under which a client meets the loopback interface and no proxy, and imports nothing of ours."""
    return {name: value for name, value in os.environ.items() if not _NOISE.match(name)}
