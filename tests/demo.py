"""Shows the main job on real packages, from an upstream to an installation: `python -m tests.demo`.

The upstream is the tests' own index, filled with projects that pip downloads. All servers listen on the loopback interface
only, and everything lies in a temporary folder that is deleted in the end.
"""

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.support.fakepypi import FakePyPI
from tests.support.registry import download

# Each group is fetched by one call of pip, which takes one version of a project.
FIRST_WHEELS = (
    ("six==1.15.0", "packaging==24.1", "filelock==3.15.4", "idna==3.9"),
    ("six==1.16.0", "packaging==24.2", "filelock==3.16.1", "idna==3.10"),
)
FIRST_SDISTS = (("six==1.15.0", "idna==3.9"), ("six==1.16.0", "idna==3.10"))
SECOND_WHEELS = (("six==1.17.0",),)
SECOND_SDISTS = (("six==1.17.0",),)


class QuietHandler(SimpleHTTPRequestHandler):
    """The simplest web server that there is: files, and index.html for a folder."""

    def log_message(self, *_: object) -> None:
        """Leave the terminal to the story."""


def main() -> int:
    """Tell the story; every step raises where it does not come out as it should."""
    with tempfile.TemporaryDirectory(prefix="bandersnatch-demo-") as name:
        folder = Path(name)
        with FakePyPI() as upstream:
            mirror_twice(upstream, folder)
        step("Stop the upstream, serve the mirror, and install six from it, with its hashes required")
        with static_server(folder / "mirror" / "web") as url:
            install_six(folder, f"{url}/simple/")
    print("\nDone. pip has checked that six, as it came out of the mirror, is byte for byte what was uploaded.")
    return 0


def mirror_twice(upstream: FakePyPI, folder: Path) -> None:
    """Mirror the upstream, and once more after it has changed."""
    step("Fill an index on this machine with real packages, which pip downloads")
    upload(upstream, folder / "first", FIRST_WHEELS, FIRST_SDISTS)
    say(f"they are at {upstream.url}/simple/")
    step("Mirror it")
    config = folder / "bandersnatch.conf"
    lines = ["[mirror]", f"directory = {folder}/mirror", f"master = {upstream.url}", "allow-non-https = true"]
    config.write_text("\n".join(lines) + "\n", "utf-8")
    say(f"{config.name}:", *lines)
    mirror(config, "--init")
    step("Upstream changes: six 1.17.0 comes, idna 3.9 is yanked, and the project filelock is removed")
    upload(upstream, folder / "second", SECOND_WHEELS, SECOND_SDISTS)
    upstream.yank("idna", "3.9", "superseded")
    upstream.remove_project("filelock")
    step("Mirror it again: only what has changed is looked at")
    mirror(config)


def step(title: str) -> None:
    print(f"\n* {title}", flush=True)


def say(first: str, *lines: str) -> None:
    print(f"  {first}", *(f"    {line}" for line in lines), sep="\n", flush=True)


def upload(
    upstream: FakePyPI, folder: Path, wheels: Iterable[tuple[str, ...]], sdists: Iterable[tuple[str, ...]]
) -> None:
    """Download files with pip, and upload them to the index."""
    for requirements in wheels:
        download(folder, *requirements)
    for requirements in sdists:
        download(folder, *requirements, sdists=True)
    paths = sorted(folder.iterdir())
    for path in paths:
        upstream.add_local_file(path)
    size_bytes = sum(path.stat().st_size for path in paths)
    say(f"{len(paths)} files, {size_bytes:,} bytes:", *(path.name for path in paths))


def mirror(config: Path, *options: str) -> None:
    """Run the command, and show its log as it comes; what it records outside of the mirror goes into our folder too."""
    say(" ".join([f"$ bandersnatch -c {config.name} mirror", *options]))
    command = [sys.executable, "-m", "bandersnatch", "-c", str(config), "mirror", *options]
    environment = {**os.environ, "XDG_STATE_HOME": str(config.parent / "state")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            print(f"    {line}", end="", flush=True)
    if run.returncode != 0:
        raise RuntimeError(f"bandersnatch ended with status {run.returncode}")


@contextmanager
def static_server(web: Path) -> Iterator[str]:
    """Serve a folder as any static web server would; yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(web))) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def install_six(folder: Path, index_url: str) -> None:
    """Install the newest six with pip, which knows no other index than the mirror."""
    requirements = folder / "requirements.txt"
    digests = (sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "second").iterdir()))
    hashes = [f"--hash=sha256:{digest}" for digest in digests]
    requirements.write_text(" \\\n    ".join(["six==1.17.0", *hashes]) + "\n", "utf-8")
    say(f"{requirements.name}:", *requirements.read_text("utf-8").splitlines())
    venv.create(folder / "fresh", with_pip=True)
    say(f"$ pip install --index-url {index_url} --require-hashes -r {requirements.name}")
    python = str(folder / "fresh" / "bin" / "python")
    command = [python, "-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check"]
    command += ["--index-url", index_url, "--require-hashes", "-r", requirements.name]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    installed = subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True)
    show(installed.stdout)
    script = "import six; print('six', six.__version__, 'works')"
    show(subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout)


def show(output: str) -> None:
    print(*(f"    {line}" for line in output.splitlines()), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
