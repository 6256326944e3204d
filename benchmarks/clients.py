"""The clients that are measured: this tree's bandersnatch, the registry's, and curl as the yardstick."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.check import Expected, check_files, check_mirror
from benchmarks.index import Index

WORKERS = 10
PEER_PYTHON = "3.13"
NOT_INHERITED = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "pythonpath", "pythondontwritebytecode")
"""No proxies, and modules that are compiled once, as where pip has installed them."""


@dataclass(frozen=True)
class Wishes:
    """What a scenario wants in a client's configuration beside the defaults."""

    compare_method: str | None = None
    allowlist: Sequence[str] = ()


@dataclass(frozen=True)
class Command:
    """What to run, and in which environment."""

    arguments: Sequence[str]
    environment: Mapping[str, str]


class Client(Protocol):
    """What can bring a folder up to date with an index."""

    @property
    def key(self) -> str:
        """What the command line calls it."""

    @property
    def name(self) -> str:
        """What the table calls it."""

    def version(self) -> str:
        """Return its version, for the record; also the moment to install it."""

    def command(self, tree: Path, index: Index, wishes: Wishes, /) -> Command:
        """Write its configuration beside the folder, and return what to run."""

    def forget(self, tree: Path) -> None:
        """Make it look at everything in its next run."""

    def check(self, tree: Path, expected: Expected) -> None:
        """Raise WrongMirrorError where the folder is not as it must be."""


def environment_of(source: Path | None) -> dict[str, str]:
    """Return the environment for a client, with the folder that Python imports from."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in NOT_INHERITED}
    return kept if source is None else {**kept, "PYTHONPATH": str(source)}


def write_config(tree: Path, index: Index, wishes: Wishes) -> Path:
    """Write what both bandersnatches read."""
    lines = [
        "[mirror]",
        f"directory = {tree}",
        f"master = {index.url}",
        "allow-non-https = true",
        f"workers = {WORKERS}",
    ]
    if wishes.compare_method is not None:
        lines.append(f"compare-method = {wishes.compare_method}")
    if wishes.allowlist:
        lines += ["[plugins]", "enabled =", "    allowlist_project", "[allowlist]", "packages ="]
        lines += [f"    {name}" for name in wishes.allowlist]
    path = tree.with_name(f"{tree.name}.conf")
    path.write_text("\n".join(lines) + "\n")
    return path


def run_for_output(command: list[str], source: Path | None = None) -> str:
    """Run a command that must not fail, and return what it says."""
    environment = environment_of(source)
    finished = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd="/")
    return finished.stdout.strip()


def make_environment(folder: Path, python: str, requirements: Sequence[str]) -> None:
    """Make a virtual environment with what pip finds for these requirements, where there is none with them yet."""
    made_with = folder / "made-with"
    wanted = "\n".join(requirements)
    if made_with.exists() and made_with.read_text() == wanted:
        return
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *requirements], check=True)
    made_with.write_text(wanted)


@dataclass(frozen=True)
class Ours:
    """The bandersnatch of a source tree, in an environment that has only what it needs."""

    source: Path
    environments: Path
    key: str = "ours"
    name: str = "ours"

    @property
    def _python(self) -> Path:
        return self.environments / "ours" / "bin" / "python"

    def version(self) -> str:
        """Return version and commit, and make its environment where there is none yet."""
        lines = (self.source / "requirements.txt").read_text("utf-8").splitlines()
        requirements = [line for line in lines if line and not line.startswith("#")]
        make_environment(self.environments / "ours", sys.executable, requirements)
        said = run_for_output([str(self._python), "-m", "bandersnatch", "--version"], self.source)
        commit = run_for_output(["git", "-C", str(self.source), "describe", "--always", "--dirty"])
        return f"{said.split()[1]} ({commit})"

    def command(self, tree: Path, index: Index, wishes: Wishes) -> Command:
        """Write the configuration and return what to run."""
        config = write_config(tree, index, wishes)
        arguments = [str(self._python), "-m", "bandersnatch", "--quiet", "-c", str(config), "mirror", "--init"]
        environment = {**environment_of(self.source), "XDG_STATE_HOME": str(tree.parent / "state")}
        return Command(arguments, environment)

    def forget(self, tree: Path) -> None:
        """Do what the documentation says: ``rm state todo``."""
        for name in ("state", "todo"):
            (tree / name).unlink(missing_ok=True)

    def check(self, tree: Path, expected: Expected) -> None:
        """Check pages, files, state."""
        check_mirror(tree, expected, "state")


@dataclass(frozen=True)
class Peer:
    """Another bandersnatch, from the package registry, in an environment of its own."""

    number: str
    environments: Path
    key: str = "peer"

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"bandersnatch {self.number}"

    @property
    def _python(self) -> Path:
        return self.environments / f"bandersnatch-{self.number}" / "bin" / "python"

    def version(self) -> str:
        """Return its Python, and install it where it is not yet."""
        make_environment(self._python.parents[1], peer_python(), [f"bandersnatch=={self.number}"])
        python = run_for_output([str(self._python), "-c", "import platform; print(platform.python_version())"])
        return f"on Python {python}"

    def command(self, tree: Path, index: Index, wishes: Wishes) -> Command:
        """Write the configuration and return what to run."""
        config = write_config(tree, index, wishes)
        arguments = [str(self._python.with_name("bandersnatch")), "-c", str(config), "mirror"]
        return Command(arguments, environment_of(None))

    def forget(self, tree: Path) -> None:
        """Remove its record of what it reached."""
        for name in ("status", "todo"):
            (tree / name).unlink(missing_ok=True)

    def check(self, tree: Path, expected: Expected) -> None:
        """Check pages, files, state."""
        check_mirror(tree, expected, "status")


@dataclass(frozen=True)
class Curl:
    """``curl --parallel`` with the list of all files: what the same disk and server allow."""

    key: str = "curl"
    name: str = "curl"

    def version(self) -> str:
        """Return its version."""
        return run_for_output(["curl", "--version"]).split()[1]

    def command(self, tree: Path, index: Index, _wishes: Wishes, /) -> Command:
        """Write the list of URLs and return what to run."""
        listed = tree.with_name(f"{tree.name}.list")
        lines = (f'url = "{index.url}/{file.path}"\noutput = "{tree}/{file.path}"\n' for file in index.files)
        listed.write_text("".join(lines))
        options = ["--parallel", "--parallel-max", str(WORKERS), "--create-dirs", "--fail", "--silent", "--show-error"]
        return Command(["curl", *options, "--config", str(listed)], environment_of(None))

    def forget(self, tree: Path) -> None:
        """It knows nothing."""

    def check(self, tree: Path, expected: Expected) -> None:
        """Check the files."""
        check_files(tree, expected.files, has_metadata=False)


def peer_python() -> str:
    """Return the Python that the peer needs.

    Raises:
        FileNotFoundError: there is none.
    """
    name = f"python{PEER_PYTHON}"
    built = sorted((Path.home() / ".pyenv" / "versions").glob(f"{PEER_PYTHON}.*/bin/{name}"))
    found = str(built[-1]) if built else shutil.which(name)  # what pyenv puts first into PATH may lead nowhere
    if found is None:
        raise FileNotFoundError(f"{name}: bandersnatch of the registry needs it; or leave it out: --only ours,curl")
    return found
