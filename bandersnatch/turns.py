"""How many requests may be under way at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue


class Turns:
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
    def several(self, most: int) -> Iterator[int]:
        """Wait for a turn, and take as many more as nobody has; give their number, and them back at the end."""
        self.take()
        number = 1
        while number < most and self.take_free():
            number += 1
        try:
            yield number
        finally:
            for _ in range(number):
                self.give_back()

    def give_back(self) -> None:
        """Let the next request begin."""
        self._free.put(None)


class Turn:
    """One turn; it may be given back early, and once only."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._is_taken = True
        turns.take()

    def end(self) -> None:
        """Give the turn back."""
        if self._is_taken:
            self._is_taken = False
            self._turns.give_back()
