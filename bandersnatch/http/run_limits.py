"""``RunLimits``: what conversations and engines of a run share: the retries that are spent, and the hosts that are down.

It is in memory that forked processes share, so one need not ask another: each writes only to a place of its own.
"""

import mmap
import threading
from hashlib import blake2b

from bandersnatch.http.retries import RetryPolicy

_WORD_BYTES = 8
_SPENT, _NUMBER_DOWN, _FIRST_HOST = 0, 1, 2
_MOST_HOSTS = 30
"""One process tells the others of so many hosts; a mirror has two or three."""
_PLACE_WORDS = _FIRST_HOST + _MOST_HOSTS


class RunLimits:
    """The retry policy of a run, and how much of it all its processes have used. Thread-safe."""

    def __init__(self, policy: RetryPolicy | None = None) -> None:
        self.policy = policy or RetryPolicy()
        self._guard = threading.Lock()
        self._words = memoryview(bytearray(_PLACE_WORDS * _WORD_BYTES)).cast("q")
        """For each process: the retries that it has spent, the number of hosts that it found down, and their digests."""
        self._place = 0
        self._known: set[int] = set()
        """Hosts that were down before the processes of now were forked."""

    def share(self, processes: int) -> None:
        """Count from now on what so many processes use, too, which are forked later."""
        spent = self._sum(_SPENT)
        self._known.update(self._told())
        self._words = memoryview(mmap.mmap(-1, (1 + processes) * _PLACE_WORDS * _WORD_BYTES)).cast("q")
        self._words[_SPENT] = spent

    def take_place(self, place: int) -> None:
        """Be the process of that place, from 1 on. A spare process goes on with the numbers of the one that it replaces."""
        self._place = place * _PLACE_WORDS

    def take_retry(self) -> bool:
        """Use one retry; return False if none was left. Processes that take the last ones at once may get one more each."""
        with self._guard:
            if self._sum(_SPENT) >= self.policy.retries_per_run:
                return False
            self._words[self._place + _SPENT] += 1
            return True

    def note_down(self, host: str) -> None:
        """Tell all that a host is given up."""
        with self._guard:
            number = self._words[self._place + _NUMBER_DOWN]
            if number < _MOST_HOSTS and not self.is_down(host):
                self._words[self._place + _FIRST_HOST + number] = _digest(host)
                self._words[self._place + _NUMBER_DOWN] = number + 1  # last, so that nobody reads what is not there yet

    def is_down(self, host: str) -> bool:
        """Whether any of them has given up the host."""
        if not self._known and not self._sum(_NUMBER_DOWN):  # it is asked before every request
            return False
        digest = _digest(host)
        return digest in self._known or digest in self._told()

    def _sum(self, word: int) -> int:
        return sum(self._words[word::_PLACE_WORDS])

    def _told(self) -> set[int]:
        words = self._words
        return {
            words[place + _FIRST_HOST + number]
            for place in range(0, len(words), _PLACE_WORDS)
            for number in range(words[place + _NUMBER_DOWN])
        }


def _digest(host: str) -> int:
    return int.from_bytes(blake2b(host.encode(), digest_size=_WORD_BYTES).digest(), "little", signed=True)
