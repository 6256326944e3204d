"""Whether the connections to a host are used again: not while it answers what nobody asked."""

import logging
import time

logger = logging.getLogger(__name__)

LOST_SECONDS = 300.0
"""What looked like an answer to another request may have been a change of upstream's mind."""


class HostTrust:
    """The hosts whose connections are not used again for a while.

    An answer that comes without a request would be taken for the answer to the next one.
    """

    def __init__(self) -> None:
        self._lost_until: dict[str, float] = {}

    def lose(self, host: str) -> None:
        """The host seems to have answered what nobody asked: use each of its connections once, for a while."""
        if host not in self._lost_until:
            logger.warning("%s sends answers that nobody asked for; requests get connections of their own", host)
        self._lost_until[host] = time.monotonic() + LOST_SECONDS

    def has(self, host: str) -> bool:
        """Whether a connection to the host may be used again."""
        return not self._lost_until or time.monotonic() >= self._lost_until.get(host, 0.0)
