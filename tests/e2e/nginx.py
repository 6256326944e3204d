"""nginx with the configuration that README gives, on a free port of the loopback interface."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.ports import LOOPBACK, bound, greet

README = Path(__file__).parents[2] / "README.md"

# All that a packaged nginx.conf would have around the site, with every path below the prefix folder.
_AROUND = """\
daemon off;
{user}
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

    port: int
    access_log: Path

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def index_url(self) -> str:
        return f"{self.url}/simple/"

    def requests(self) -> list[Asked]:
        """Return all requests that were answered so far."""
        greet(self.port)  # the one process that answers has logged all that it answered before this
        return [Asked(**json.loads(line)) for line in self.access_log.read_text().splitlines()]

    def was_asked(self, fits: Callable[[Asked], bool]) -> bool:
        """Whether there was such a request."""
        return any(fits(request) for request in self.requests())


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
        yield Site(port, prefix / "access.log")


@contextmanager
def running(prefix: Path, site_on: Callable[[int], str], port: int = 0) -> Iterator[int]:
    """Run nginx with the site that is made for a port: for a free one, if none is given; yields the port.

    nginx takes over a socket that listens already, as it does in an upgrade: what connects before it is up, waits.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert nginx is not None, "nginx is not installed"
    with bound(port) as listener:
        listener.listen(128)
        port = listener.getsockname()[1]
        prefix.mkdir(exist_ok=True)
        (prefix / "site.conf").write_text(site_on(port))
        (prefix / "nginx.conf").write_text(_AROUND.format(site=prefix / "site.conf", user=_user()))
        (prefix / "access.log").touch()
        process = subprocess.Popen(
            [nginx, "-p", str(prefix), "-e", "error.log", "-c", "nginx.conf"],
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    with process:
        try:
            try:
                greet(port)
            except OSError as error:
                process.kill()
                raise AssertionError(f"nginx does not come up: {process.communicate()[1]}") from error
            yield port
        finally:
            process.terminate()


def _user() -> str:
    """Return the line that lets nginx read, where root starts it, what root's tests have written."""
    return "" if os.geteuid() else "user root;"


def _replaced(text: str, old: str, new: str) -> str:
    assert old in text, f"README's nginx configuration has no {old!r}"
    return text.replace(old, new)
