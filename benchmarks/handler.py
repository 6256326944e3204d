"""How the made-up upstreams answer HTTP."""

from http.server import BaseHTTPRequestHandler


class PlainHandler(BaseHTTPRequestHandler):
    """Keeps connections open, answers whole bodies, and says nothing of it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, body: bytes, kind: str, status: int = 200) -> None:
        """Send a body of that media type."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""
