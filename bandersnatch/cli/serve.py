"""``bandersnatch serve``: a small web server for the mirror, until it is stopped."""

import argparse
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from bandersnatch.cli.exit_codes import BAD_USAGE, DONE, exit_statuses
from bandersnatch.cli.invocation import Invocation
from bandersnatch.cli.signals import STOP_SIGNALS
from bandersnatch.errors import UsageError

if TYPE_CHECKING:
    from bandersnatch.stop import StopFlag

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PORT = 8080
EXAMPLES = """\
examples:
  bandersnatch serve
  bandersnatch serve --port 0                any free port; the log names it
  bandersnatch serve --bind 0.0.0.0          for other machines, too

It is for laptops, tests and rooms without a network. A site for many clients,
or for the internet, needs a web server such as nginx; README has its
configuration. Ctrl-C or SIGTERM stop it, with status 0. It needs the package
waitress: pip install 'bandersnatch[serve]'.

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = (
        "Serve the mirror to installers of this machine, until it is stopped. The mirror is not touched."
    )
    parser.epilog = EXAMPLES + exit_statuses(DONE, BAD_USAGE).partition("  130")[0]
    parser.add_argument(
        "--bind", metavar="ADDRESS", default=LOOPBACK, help=f"the address to listen on (default: {LOOPBACK})"
    )
    parser.add_argument(
        "--port", metavar="NUMBER", type=_port, default=PORT, help=f"the port; 0 is any free one (default: {PORT})"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, invocation: Invocation) -> int:
    """Serve until a signal comes, and return the exit status.

    Raises:
        UsageError: there is nothing to serve, the address can't be used, or the package waitress is missing.
    """
    from bandersnatch.serving.app import MirrorApp
    from bandersnatch.serving.server import listening, require_waitress, serve
    from bandersnatch.serving.site import Site
    from bandersnatch.storage.layout import WEB, Layout

    config = invocation.load_config(arguments.config)
    web = config.directory / WEB
    if not os.path.isdir(web / "simple"):
        raise UsageError(f"{web / 'simple'}: there is no such directory, so there is nothing to serve")
    require_waitress()
    prefixes = [each.prefix for each in config.upstreams if each.prefix]
    app = MirrorApp(Site(web, Layout(config.pages.hash_index), prefixes))
    with listening(arguments.bind, arguments.port) as listener, _stopped_by_signals() as stop:
        _tell_clients(str(web), listener)
        for prefix in prefixes:
            logger.info("serving %s/%s at /%s/simple/, too", web, prefix, prefix)
        serve(app, listener, stop)
    logger.info("stopped")
    return DONE


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1
    if not 0 <= number < 65536:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 to 65535")
    return number


def _tell_clients(web: str, listener: socket.socket) -> None:
    """Log where the mirror is, and what a client needs to find it."""
    address, port = listener.getsockname()[:2]
    known = ipaddress.ip_address(address.partition("%")[0])
    host = socket.gethostname() if known.is_unspecified else f"[{address}]" if known.version == 6 else address
    logger.info("serving %s at http://%s:%d/simple/ until it is stopped (Ctrl-C)", web, host, port)
    trust = "" if known.is_loopback else f", trusted-host = {host}"
    logger.info("in pip.conf, below [global]: index-url = http://%s:%d/simple/%s", host, port, trust)
    if not known.is_loopback:
        logger.warning("everyone who reaches port %d of this machine can read the mirror, without encryption", port)


@contextmanager
def _stopped_by_signals() -> "Iterator[StopFlag]":
    """Let SIGINT and SIGTERM set a flag."""
    from bandersnatch.stop import StopFlag

    stop = StopFlag()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
