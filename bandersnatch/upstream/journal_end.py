"""How far upstream's journal goes, so that a serial beyond its end is not believed, whoever tells it.

A page may well be newer than the plan of a run. So where one is beyond all that is known, upstream is asked once more.
"""

import logging
import threading
from collections.abc import Callable

from bandersnatch.errors import InterruptedRunError, MirrorError, UpstreamError

logger = logging.getLogger(__name__)

LEEWAY = 1_000_000
"""So far beyond the root index a page may be where the journal can't be asked. PyPI's takes weeks to grow by that."""


class UnaskedError(MirrorError):
    """Upstream would have to be asked how far its journal goes, which a helper leaves to the main process."""

    def __init__(self) -> None:
        super().__init__("its serial is newer than this process knows of")


class JournalEnd:
    """The newest serial that is known of. Thread-safe.

    ``ask`` returns the newest serial of the journal; None leaves that to another process.
    """

    def __init__(self, ask: Callable[[], int] | None) -> None:
        self._ask = ask
        self._can_ask = True
        self._newest: int | None = None
        self._index_serial: int | None = None
        self._guard = threading.Lock()

    def twin(self) -> "JournalEnd":
        """Return one for another process, which knows what this one knows, and asks nothing."""
        twin = JournalEnd(None)
        twin._newest, twin._can_ask, twin._index_serial = self._newest, self._can_ask, self._index_serial
        return twin

    def learn(self, serial: int) -> None:
        """Take note of a serial that the journal has."""
        self._newest = max(self._newest or 0, serial)

    def learn_from_index(self, serial: int) -> None:
        """Take note of the serial of the root index, which may be old, where nothing else can be asked."""
        self._can_ask, self._index_serial = False, serial
        self.learn(serial + LEEWAY)

    def borne_out(self, serial: int) -> int:
        """Return up to which serial a page that tells this one may be taken for known.

        Where only the root index tells of changes, what is beyond it may be wrong; then the index names the project again
        when it gets there, and the page costs one more question. Else its next change would not be noticed.
        """
        return serial if self._index_serial is None else min(serial, self._index_serial)

    def reaches(self, serial: int) -> bool:
        """Whether the journal goes as far as that; where nothing is known of it, it does.

        Raises:
            InterruptedRunError: the run was asked to stop while upstream was asked.
            UnaskedError: another process has to ask.
        """
        if self._newest is not None and serial > self._newest:
            with self._guard:
                if serial > self._newest and self._can_ask:
                    self._look(self._newest)
        return self._newest is None or serial <= self._newest

    def _look(self, known: int) -> None:
        if self._ask is None:
            raise UnaskedError
        try:
            self.learn(self._ask())
        except InterruptedRunError:
            raise
        except UpstreamError as error:
            logger.debug("%s", error)
            self.learn_from_index(known)
