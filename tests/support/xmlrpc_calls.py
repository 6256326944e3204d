"""The calls for mirrors, by the names that faults have for them; what is answered to them, and how they are made."""

import xmlrpc.client
from collections.abc import Iterator
from contextlib import closing, contextmanager

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.names import NormalizedName
from bandersnatch.upstream.changelog import Changelog
from tests.support.fakepypi import Body

LAST = "rpc:changelog_last_serial"
SINCE = "rpc:changelog_since_serial"
LIST = "rpc:list_packages_with_serial"


def everything(project: NormalizedName, display_name: str) -> bool:
    return True


class Waits:
    """Stands for the clock: remembers how long it was asked to wait, and may say that the run shall stop."""

    def __init__(self, *, stops: bool = False) -> None:
        self.seconds: list[float] = []
        self._stops = stops

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return self._stops


@contextmanager
def connected(url: str, waits: Waits | None = None) -> Iterator[Changelog]:
    config = HttpConfig(url, timeout_seconds=5.0, allow_non_https=True)
    with closing(Conversation(config, RunLimits(), waits or Waits())) as conversation:
        yield Changelog(conversation, url)


def response(value: object) -> Body:
    """Return an XML-RPC answer with any value."""
    return Body(xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True).encode())  # type: ignore[arg-type]
