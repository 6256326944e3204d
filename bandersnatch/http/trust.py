"""``HostTrust``: whether connections to a host may be reused, or whether it sends answers that nobody asked for."""

import logging
import time

logger = logging.getLogger(__name__)

DISTRUST_SECONDS = 300.0
"""Distrust ends some time, since the sign of it may be wrong: the answer may have changed between two requests."""


class HostTrust:
    """The hosts whose connections are not reused for a while.

    On a reused connection, an answer without a request would be taken for the answer to the next request.
    """

    def __init__(self) -> None:
        self._distrusted_until: dict[str, float] = {}

    def distrust(self, host: str) -> None:
        """Use each connection to a host only once, for a while: it seems to send answers that nobody asked for."""
        if host not in self._distrusted_until:
            logger.warning("%s sends answers that nobody asked for; requests get connections of their own", host)
        self._distrusted_until[host] = time.monotonic() + DISTRUST_SECONDS

    def is_trusted(self, host: str) -> bool:
        """Whether a connection to the host may be reused."""
        return not self._distrusted_until or time.monotonic() >= self._distrusted_until.get(host, 0.0)
