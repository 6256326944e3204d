"""The XML-RPC side of the made-up index: a process of its own, beside the web server that passes the calls on to it.

``python -m benchmarks.rpc PORT JOURNAL`` serves the journal until it is ended. A journal is a text file with a line
``name serial`` for each project: what came before a project's newest change no client asks for.
"""

import re
import sys
from bisect import bisect_right
from http.server import ThreadingHTTPServer
from pathlib import Path

from benchmarks.handler import PlainHandler

CHANGES_PER_ANSWER = 50_000
UPLOAD_EPOCH = 1_767_225_600


def value(xml: str) -> bytes:
    """Return an XML-RPC answer."""
    return f"<methodResponse><params><param><value>{xml}</value></param></params></methodResponse>".encode()


def changes_of(rows: str) -> bytes:
    """Return an answer of the changelog."""
    return value(f"<array><data>{rows}</data></array>")


NO_CHANGES = changes_of("")


def row(name: str, serial: int, action: str = "yank release") -> str:
    """Return a row of the changelog."""
    fields = f"<value><string>{name}</string></value><value><string>1.0</string></value>"
    when = f"<value><int>{UPLOAD_EPOCH}</int></value><value><string>{action}</string></value>"
    return f"<value><array><data>{fields}{when}<value><int>{serial}</int></value></data></array></value>"


def listing(serials: list[tuple[str, int]]) -> bytes:
    """Return the list of all projects with their serials."""
    members = (f"<member><name>{name}</name><value><int>{serial}</int></value></member>" for name, serial in serials)
    return value(f"<struct>{''.join(members)}</struct>")


class Journal:
    """The answers of one state of the index, made before the first call."""

    def __init__(self, text: str) -> None:
        serials = [(name, int(serial)) for name, _, serial in (line.partition(" ") for line in text.splitlines())]
        self._rows = sorted((serial, name) for name, serial in serials)
        self._listing = listing(serials)

    def since(self, serial: int) -> bytes:
        """Return the changelog after a serial, as many rows as an answer may have."""
        begin = bisect_right(self._rows, (serial, "\U0010ffff"))
        rows = self._rows[begin : begin + CHANGES_PER_ANSWER]
        return changes_of("".join(row(name, serial, "new release") for serial, name in rows))

    def answer(self, call: bytes) -> bytes:
        """Return the answer to a call."""
        method = re.search(rb"<methodName>(.+?)</methodName>", call)
        match method and method[1]:
            case b"changelog_last_serial":
                return value(f"<int>{self._rows[-1][0]}</int>")
            case b"list_packages_with_serial":
                return self._listing
            case b"changelog_since_serial":
                number = re.search(rb"<int>(\d+)</int>", call)
                assert number is not None, call
                return self.since(int(number[1]))
            case _:
                raise ValueError(call)


def serve(port: int, path: Path) -> None:
    """Serve a journal on loopback until the process is ended."""
    journal = Journal(path.read_text())

    class Handler(PlainHandler):
        def do_GET(self) -> None:
            """Tell that the journal is read."""
            self.answer(b"ready", "text/plain")

        def do_POST(self) -> None:
            self.answer(journal.answer(self.rfile.read(int(self.headers["Content-Length"]))), "text/xml")

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
