"""pip and uv in fresh environments, cut off from every index but the mirror."""

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Nothing listens there, so that whatever does not go to the loopback interface fails at once.
NOWHERE = "http://127.0.0.1:9"
_OTHERS = re.compile(r"(PIP|UV|PYTHON|XDG|VIRTUAL_ENV|TOX|PYTEST)(_|$)|.*_PROXY$|HOME$", re.IGNORECASE)


def cut_off_environment(home: Path) -> dict[str, str]:
    """Return environment variables without any configuration of this machine, and without a way to other hosts."""
    kept = {name: value for name, value in os.environ.items() if not _OTHERS.match(name)}
    return kept | {
        "HOME": str(home),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "http_proxy": NOWHERE,
        "https_proxy": NOWHERE,
        "no_proxy": "127.0.0.1",
    }


@dataclass(frozen=True, slots=True)
class FreshEnvironment:
    """A virtual environment with nothing but pip in it, and installers that only know the mirror."""

    folder: Path
    index_url: str

    @classmethod
    def make(cls, folder: Path, index_url: str) -> "FreshEnvironment":
        venv.create(folder / "venv", with_pip=True)
        return cls(folder, index_url)

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    def pip(self, *arguments: str | Path) -> str:
        """Run a command of pip that takes `--index-url`; the URL stands last. Return what it printed."""
        command = [self.python, "-m", "pip", *arguments, "--index-url", self.index_url]
        return self._run([*command, "--cache-dir", self.folder / "pip-cache"])

    def uv_pip(self, *arguments: str | Path) -> str:
        """Run a command of `uv pip` that takes `--default-index`; return what it printed."""
        import uv  # only the e2e environment has it

        command = [uv.find_uv_bin(), "pip", *arguments, "--default-index", self.index_url]
        return self._run([*command, "--python", self.python, "--cache-dir", self.folder / "uv-cache"])

    def installed(self) -> dict[str, str]:
        """Return the versions of what is installed, but for pip and what came with it."""
        script = "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"
        lines = self._run([self.python, "-c", script]).splitlines()
        versions = dict(line.split(" ") for line in lines)
        return {name: version for name, version in versions.items() if name not in ("pip", "setuptools")}

    def says(self, script: str) -> str:
        """Run a script with the environment's Python; return what it printed."""
        return self._run([self.python, "-c", script]).strip()

    def _run(self, command: Iterable[str | Path]) -> str:
        finished = subprocess.run(
            list(map(str, command)),
            env=cut_off_environment(self.folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.folder,
        )
        assert finished.returncode == 0, f"{finished.args}:\n{finished.stdout}{finished.stderr}"
        return finished.stdout + finished.stderr


def bandersnatch_command() -> list[str]:
    """Return the command as pip installed it beside this Python."""
    script = Path(sys.executable).parent / "bandersnatch"
    assert script.is_file(), f"{script}: bandersnatch is not installed in this environment"
    return [str(script)]
