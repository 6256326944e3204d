"""Tracks how far upstream's journal goes, so that no serial beyond its end is believed, whoever sends it.

A page may well be newer than the plan of a run. So if a serial is beyond what we know, upstream is asked once more.
"""

import logging
import threading
from collections.abc import Callable

from bandersnatch.errors import InterruptedRunError, UpstreamError

logger = logging.getLogger(__name__)

LEEWAY = 1_000_000
"""How far a page may be beyond the root index if the journal can't be asked; PyPI takes weeks to grow by as much."""


class JournalEnd:
    """The newest known serial of the journal. Thread-safe.

    ``ask`` returns the newest serial of the journal.
    """

    def __init__(self, ask: Callable[[], int]) -> None:
        self.ask = ask
        self._can_ask = True
        self._newest: int | None = None
        self._index_serial: int | None = None
        self.own_serial: int | None = None
        """The serial of all that changes in this run, if upstream has no serials, and the mirror counts its own changes."""
        self._guard = threading.Lock()

    def twin(self, ask: Callable[[], int]) -> "JournalEnd":
        """Return a copy for another process, with the same knowledge, that asks over its own connections."""
        twin = JournalEnd(ask)
        twin._newest, twin._can_ask, twin._index_serial = self._newest, self._can_ask, self._index_serial
        twin.own_serial = self.own_serial
        return twin

    @property
    def index_serial(self) -> int | None:
        """The serial of the root index, if that was read."""
        return self._index_serial

    def learn(self, serial: int) -> None:
        """Record a serial that the journal has reached."""
        self._newest = max(self._newest or 0, serial)

    def learn_from_index(self, serial: int) -> None:
        """Record the serial of the root index, which may be old; from now on the journal can't be asked."""
        self._can_ask, self._index_serial = False, serial
        self.learn(serial + LEEWAY)

    def count_own(self, serial: int) -> None:
        """Record that upstream has no serials, and that what changes in this run gets this one."""
        self._can_ask, self._newest, self._index_serial, self.own_serial = False, None, None, serial

    def borne_out(self, serial: int) -> int:
        """Return the serial up to which a page with this serial counts as current.

        If only the root index tells of changes, a serial beyond the index's may be wrong. Recording the index's serial
        instead costs one more request when the index gets there; recording the page's could hide the project's next
        change.
        """
        return serial if self._index_serial is None else min(serial, self._index_serial)

    def must_ask(self, serial: int) -> bool:
        """Whether ``reaches`` would ask upstream, and so take a while."""
        return self._newest is not None and serial > self._newest and self._can_ask

    def reaches(self, serial: int) -> bool:
        """Whether the journal reaches this serial; true if nothing is known about the journal.

        Raises:
            InterruptedRunError: the run was asked to stop while upstream was asked.
        """
        if self._newest is not None and serial > self._newest:
            # Another thread may have asked while this one waited for the lock.
            with self._guard:
                if serial > self._newest and self._can_ask:
                    self._look(self._newest)
        return self._newest is None or serial <= self._newest

    def _look(self, known: int) -> None:
        try:
            self.learn(self.ask())
        except InterruptedRunError:
            raise
        except UpstreamError as error:
            logger.debug("%s", error)
            # The journal does not answer: from now on, only serials far beyond the known one are refused.
            self.learn_from_index(known)
