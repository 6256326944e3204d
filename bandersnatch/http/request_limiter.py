"""How many requests, and how many large documents, may be under way at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue


class RequestLimiter:
    """Leave to have requests under way, of which there are only so many. Thread-safe."""

    def __init__(self, number: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(number):
            self._free.put(None)

    def take(self) -> None:
        """Wait for a turn, and take it."""
        self._free.get()

    def take_free(self) -> bool:
        """Take a turn that nobody has; return whether there was one."""
        try:
            self._free.get_nowait()
        except Empty:
            return False
        return True

    @contextmanager
    def several(self, most: int) -> Iterator["SeveralRequests"]:
        """Wait for a turn, and take as many more as nobody has; give them back at the end of the block."""
        self.take()
        several = SeveralRequests(self, most)
        try:
            several.take_more()
            yield several
        finally:
            for _ in range(several.number):
                self.give_back()

    def give_back(self) -> None:
        """Let the next request begin."""
        self._free.put(None)


class SeveralRequests:
    """A ``number`` of turns that one thread has."""

    def __init__(self, limiter: RequestLimiter, most: int) -> None:
        self._limiter, self._most = limiter, most
        self.number = 1

    def take_more(self) -> int:
        """Take more turns, if nobody has them and there are not enough; return how many there are now."""
        while self.number < self._most and self._limiter.take_free():
            self.number += 1
        return self.number


class Turn:
    """One turn; it may be given back early, and once only."""

    def __init__(self, limiter: RequestLimiter) -> None:
        self._limiter = limiter
        self._is_taken = True
        limiter.take()

    def end(self) -> None:
        """Give the turn back."""
        if self._is_taken:
            self._is_taken = False
            self._limiter.give_back()


class OneAtATime:
    """What only one thread may have at a time, such as a large document: ten of them would take a gigabyte. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mine = threading.local()

    @contextmanager
    def room(self) -> Iterator[None]:
        """Keep what this thread takes within the block, or within another such block around it, until that ends."""
        if hasattr(self._mine, "taken"):
            yield
            return
        self._mine.taken = False
        try:
            yield
        finally:
            if self._mine.taken:
                self._lock.release()
            del self._mine.taken

    def take(self) -> None:
        """Wait until no other thread has it, and take it, if this thread has not done so before."""
        if not self._mine.taken:
            self._lock.acquire()
            self._mine.taken = True
