"""Serves an index on loopback: nginx for all that is a file, and beside it the process that answers XML-RPC."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    listen 127.0.0.1:{port} backlog=1024;
    root {folder}/www;
    {latency}
    location = /pypi {{
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


@dataclass(frozen=True)
class Address:
    """Where an index is served; pages name the port, so that it is fixed for an index on disk."""

    port: int

    @property
    def url(self) -> str:
        """The index's URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def rpc_port(self) -> int:
        """The port of the process that answers XML-RPC."""
        return self.port + 1


@dataclass(frozen=True)
class Server:
    """An index that is being served."""

    index: Index
    address: Address
    nginx: "subprocess.Popen[bytes]"

    @property
    def access_log(self) -> Path:
        """A line for each request that was answered."""
        return self.index.folder / "access.log"

    def reload(self) -> None:
        """Serve what the index has become."""
        self.nginx.send_signal(signal.SIGHUP)
        _get(f"http://127.0.0.1:{self.address.rpc_port}/")


def config_of(index: Index, address: Address, latency_seconds: float) -> str:
    """Return nginx's configuration."""
    needs_lua = latency_seconds > 0
    return TEMPLATE.format(
        modules="".join(f"load_module {MODULES}/{name};\n" for name in LUA_MODULES if needs_lua),
        user="user root;" if os.geteuid() == 0 else "",
        folder=index.folder,
        html_page=HTML_PAGE,
        json_page=JSON_PAGE,
        json_type=SIMPLE_JSON,
        port=address.port,
        rpc_port=address.rpc_port,
        latency=f"access_by_lua_block {{ ngx.sleep({latency_seconds}) }}" if needs_lua else "",
    )


@contextmanager
def serving(index: Index, address: Address, latency_seconds: float = 0) -> Iterator[Server]:
    """Serve an index, each answer so much later."""
    config = index.folder / "nginx.conf"
    config.write_text(config_of(index, address, latency_seconds))
    (index.folder / "temp").mkdir(exist_ok=True)
    _check_free(address)
    rpc = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.rpc", str(address.rpc_port), str(index.folder / "journal")], cwd=REPOSITORY
    )
    nginx = subprocess.Popen(["nginx", "-c", str(config), "-e", str(index.folder / "error.log")])
    try:
        _get(f"http://127.0.0.1:{address.rpc_port}/")
        _get(f"{address.url}/simple/")
        yield Server(index, address, nginx)
    finally:
        for process in (nginx, rpc):
            process.terminate()
            process.wait()


def _check_free(address: Address) -> None:
    for port in (address.port, address.rpc_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def _get(url: str) -> None:
    """Ask until there is an answer."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                answer.read()
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)
