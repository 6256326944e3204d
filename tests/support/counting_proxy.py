"""An HTTP proxy on loopback that hands requests on as they are, and tells which there were."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_OF_ONE_CONNECTION = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length"}


class CountingProxy:
    """``requests`` are the method, path and status of each request that was answered, in order."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[tuple[str, str, int]] = []

    def variables(self) -> dict[str, str]:
        """Return the environment variables with which a command asks this proxy for everything."""
        return {"http_proxy": self.url, "HTTP_PROXY": self.url, "no_proxy": "", "NO_PROXY": ""}


@contextmanager
def counting_proxy() -> Iterator[CountingProxy]:
    """Run a proxy for plain HTTP inside the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = parts._replace(scheme="", netloc="").geturl() or "/"
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
            server = http.client.HTTPConnection(parts.netloc, timeout=30)
            try:
                server.request(self.command, path, body or None, headers)
                response = server.getresponse()
                content = response.read()
            finally:
                server.close()
            proxy.requests.append((self.command, path, response.status))
            self.send_response_only(response.status, response.reason)
            for name, value in response.getheaders():
                if name.lower() not in _OF_ONE_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object, **__: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy = CountingProxy(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
