"""The body of a large document that comes on a lane: read from the socket into one buffer, again and again.

Of 100 MB that come through urllib3, a third of the CPU time beside the hashing is the making of new pieces
(docs/performance.md). What is asked for in this way is a whole document; where it breaks off, ``fetch.Fetcher`` goes on.
"""

import time
from collections.abc import Callable, Iterator
from http.client import HTTPException

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import BrokenBodyError, TimeLimitError, without_credentials
from bandersnatch.http.body import reason_of
from bandersnatch.http.connections import LeastSpeed
from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.http.lane import Lane

BUFFER_BYTES = 1024 * 1024


class PlainBody:
    """The body of the answer that a lane is about to receive; read it once.

    Raises:
        UnfitAnswerError, OSError, HTTPException: there is none.
    """

    offset = 0
    """Where in the document it begins, as other bodies have it."""

    def __init__(self, lane: Lane, config: HttpConfig, received: Callable[[], None]) -> None:
        self._lane, self._config, self._received = lane, config, received
        self._began = time.monotonic()
        self._speed = LeastSpeed(config.timeout_seconds)
        self._answer, self._begin = lane.begin_answer()
        self.is_whole = False
        """Whether all of it is there, so that the lane is ready for another request."""
        self.url, self.etag = without_credentials(lane.question.url), entity_tag(self._answer.etag)

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes as they come; each piece holds only until the next one is asked for.

        Raises:
            BrokenBodyError: the body broke off, or upstream fell silent.
            TimeLimitError: it takes too long as a whole, however busy it looks.
        """
        buffer = memoryview(bytearray(BUFFER_BYTES))
        piece: bytes | memoryview = self._begin
        left = self._answer.length
        while True:
            left -= len(piece)
            if left == 0:
                self.is_whole = True
                self._lane.end_answer(is_last=self._answer.is_last)
                self._received()  # before the last piece is written: the next request need not wait for the disk
            yield piece
            if left == 0:
                return
            limit = self._config.global_timeout_seconds
            if limit and time.monotonic() - self._began > limit:
                raise TimeLimitError(self.url, limit)
            piece = buffer[: self._receive(buffer[:left])]

    def _receive(self, buffer: memoryview) -> int:
        begun = time.monotonic()
        try:
            count = self._lane.socket.recv_into(buffer)
            if 0 < count < len(buffer):  # else it is the end, or comes fast
                self._speed.count(time.monotonic() - begun, count)
        except (OSError, HTTPException) as error:
            raise BrokenBodyError(self.url, reason_of(error, self._config.timeout_seconds)) from error
        if count == 0:
            raise BrokenBodyError(self.url, "the body broke off")
        return count
