"""nginx with the configuration that README gives, on a free port of the loopback interface."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
DEADLINE_SECONDS = 20.0

# All that a packaged nginx.conf would have around the site, with every path below the prefix folder.
_AROUND = """\
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ }}
http {{
    log_format asked escape=json '{{"method":"$request_method","path":"$request_uri","status":$status,'
                                 '"accept":"$http_accept","agent":"$http_user_agent"}}';
    access_log access.log asked;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include {site};
}}
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the access log has it."""

    method: str
    path: str
    status: int
    accept: str
    agent: str


@dataclass(frozen=True, slots=True)
class Site:
    """A mirror that is being served."""

    url: str
    access_log: Path

    @property
    def index_url(self) -> str:
        return f"{self.url}/simple/"

    def requests(self) -> list[Asked]:
        """Return all requests that were answered so far."""
        return [Asked(**json.loads(line)) for line in self.access_log.read_text().splitlines()]

    def was_asked(self, fits: Callable[[Asked], bool]) -> bool:
        """Whether there was such a request; the log may be a moment behind the answer."""
        return soon(lambda: any(fits(request) for request in self.requests()))


def readme_blocks() -> tuple[str, str]:
    """Return the two nginx blocks of README: the site, and the lines for hash-index."""
    site, hash_index = re.findall(r"^```nginx\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return site, hash_index


def site_configuration(web: Path, port: int, *, hash_index: bool) -> str:
    """Return README's configuration with the placeholders filled in, as it asks the operator to."""
    site, hash_lines = readme_blocks()
    site = _replaced(site, "    listen [::]:80;\n", "")
    site = _replaced(site, "listen 80;", f"listen 127.0.0.1:{port};")
    site = _replaced(site, "<mirrorname>", "127.0.0.1")
    site = _replaced(site, "<path-to-mirror>/web", str(web))
    if hash_index:
        site = _replaced(site, "    location /simple/ {\n", f"    location /simple/ {{\n{hash_lines}")
    return site


@contextmanager
def serving(web: Path, prefix: Path, *, hash_index: bool = False) -> Iterator[Site]:
    """Run nginx on `web` inside the block; all its own files are below `prefix`."""
    with running(prefix, lambda port: site_configuration(web, port, hash_index=hash_index)) as port:
        yield Site(f"http://127.0.0.1:{port}", prefix / "access.log")


@contextmanager
def running(prefix: Path, site_on: Callable[[int], str], port: int | None = None) -> Iterator[int]:
    """Run nginx with the site that is made for a port: for a free one, if none is given; yields the port."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert nginx is not None, "nginx is not installed"
    port = port or free_port()
    prefix.mkdir(exist_ok=True)
    (prefix / "site.conf").write_text(site_on(port))
    (prefix / "nginx.conf").write_text(_AROUND.format(site=prefix / "site.conf"))
    (prefix / "access.log").touch()
    command = [nginx, "-p", str(prefix), "-e", "error.log", "-c", "nginx.conf"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            is_up = soon(lambda: process.poll() is not None or answers(port)) and process.poll() is None
            if not is_up:
                process.kill()
                raise AssertionError(f"nginx does not come up: {process.communicate()[1]}")
            yield port
        finally:
            process.terminate()


def _replaced(text: str, old: str, new: str) -> str:
    assert old in text, f"README's nginx configuration has no {old!r}"
    return text.replace(old, new)


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def soon(is_true: Callable[[], bool]) -> bool:
    """Ask until the answer is yes, or the deadline has passed."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
