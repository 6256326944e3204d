"""Serves an index on loopback: nginx for all that is a file, and beside it the process that answers XML-RPC."""

import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.certificate import make_certificate, trusting
from benchmarks.index import HTML_PAGE, JSON_PAGE, Index

REPOSITORY = Path(__file__).parents[1]
MODULES = Path("/usr/lib/nginx/modules")
LUA_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
TEMPLATE = """\
{modules}{user}
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  map_hash_max_size 262144;
  map_hash_bucket_size 128;
  map $http_accept $page {{ default {html_page}; "~application/vnd\\.pypi\\.simple\\.v1\\+json" {json_page}; }}
  map $project $serial {{ include {folder}/serials.map; }}
  log_format kinds '$request_method $request_uri $status $body_bytes_sent "$http_range"';
  access_log {folder}/access.log kinds;
  client_body_temp_path {folder}/temp; proxy_temp_path {folder}/temp; fastcgi_temp_path {folder}/temp;
  uwsgi_temp_path {folder}/temp; scgi_temp_path {folder}/temp;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 600s;
  keepalive_requests 100000000;
  client_max_body_size 1m;
  types {{ {json_type} v1_json; text/html html; application/octet-stream whl gz metadata; }}
  default_type application/octet-stream;
  upstream rpc {{ server 127.0.0.1:{rpc_port}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port}{tls} backlog=1024;
    root {folder}/www;
    {keys}
    {latency}
    location = /pypi {{
      {refusal}
      proxy_pass http://rpc;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffers 64 64k;
      proxy_max_temp_file_size 0;
    }}
    location = /simple {{ return 301 /simple/; }}
    location = /simple/ {{
      set $project "";
      add_header X-PyPI-Last-Serial $serial;
      add_header Vary Accept;
      rewrite ^ /simple/$page break;
    }}
    location ~ "^/simple/(?<project>[^/]+)/$" {{
      add_header X-PyPI-Last-Serial $serial;
      add_header Vary Accept;
      rewrite ^ /simple/$project/$page break;
    }}
    location ~ "^/pypi/(?<project>[^/]+)/json$" {{
      add_header X-PyPI-Last-Serial $serial;
      default_type application/json;
    }}
    location /packages/ {{ add_header Cache-Control "max-age=365000000, immutable"; }}
    location / {{ return 404; }}
    absolute_redirect off;
  }}
}}
"""


class Server:
    """Serves an index at its URL; each answer comes ``latency_seconds`` later than it could."""

    def __init__(self, index: Index, latency_seconds: float = 0) -> None:
        self.index = index
        self._port = urlsplit(index.url).port or 80
        self._config, self._errors = index.folder / "nginx.conf", index.folder / "nginx-error.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        (index.folder / "temp").mkdir(exist_ok=True)
        self._certificate = make_certificate(index.folder) if index.is_secure else None
        self._config.write_text(config_of(index, self._port, latency_seconds, self._certificate))

    @property
    def access_log(self) -> Path:
        """A line for each request that was answered."""
        return self.index.folder / "access.log"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client must have in its environment, so that it trusts the server."""
        return {} if self._certificate is None else trusting(self._certificate)

    def start(self) -> None:
        """Serve the index as it is; return when it is served."""
        rpc_port = rpc_port_of(self._port)
        check_free(self._port, rpc_port)
        rpc = [sys.executable, "-m", "benchmarks.rpc", str(rpc_port), str(self.index.folder / "journal")]
        self._processes.append(subprocess.Popen(rpc, cwd=REPOSITORY))
        self._processes.append(subprocess.Popen(["nginx", "-c", self._config, "-e", self._errors]))
        wait_for(f"http://127.0.0.1:{rpc_port}/")
        wait_for(f"{self.index.url}/simple/", self._certificate)

    def stop(self) -> None:
        """Serve nothing any more."""
        while self._processes:
            process = self._processes.pop()
            process.terminate()
            process.wait()


def url_of(port: int, *, is_secure: bool = False) -> str:
    """Return the URL of the index that is served on a port."""
    return f"{'https' if is_secure else 'http'}://127.0.0.1:{port}"


def rpc_port_of(port: int) -> int:
    """Return the port of the process that answers XML-RPC for the web server on a port."""
    return port + 1


def config_of(index: Index, port: int, latency_seconds: float, certificate: Path | None = None) -> str:
    """Return nginx's configuration; with a certificate, it speaks TLS, and HTTP/2 with those who ask for it."""
    needs_lua = latency_seconds > 0
    tls = "" if certificate is None else " ssl http2"
    return TEMPLATE.format(
        modules="".join(f"load_module {MODULES}/{name};\n" for name in LUA_MODULES if needs_lua),
        user="user root;" if os.geteuid() == 0 else "",
        folder=index.folder,
        html_page=HTML_PAGE,
        json_page=HTML_PAGE if index.form.is_html else JSON_PAGE,
        json_type=SIMPLE_JSON,
        port=port,
        tls=tls,
        keys="" if certificate is None else f"ssl_certificate {certificate}; ssl_certificate_key {certificate};",
        rpc_port=rpc_port_of(port),
        refusal="" if index.form.has_journal else "return 405;",
        latency=f"access_by_lua_block {{ ngx.sleep({latency_seconds}) }}" if needs_lua else "",
    )


@contextmanager
def serving(index: Index, latency_seconds: float = 0) -> Iterator[Server]:
    """Serve an index as long as the ``with`` lasts."""
    server = Server(index, latency_seconds)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def check_free(*ports: int) -> None:
    """Raise OSError where somebody else listens on one of the ports."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def wait_for(url: str, certificate: Path | None = None) -> None:
    """Ask until there is an answer, for half a minute."""
    context = None if certificate is None else ssl.create_default_context(cafile=str(certificate))
    request = urllib.request.Request(url, headers={"Accept": SIMPLE_JSON})
    for _ in range(300):
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                answer.read()
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)
