"""``SharedWords``: numbers in memory that forked processes share, so that one need not ask another."""

import mmap

WORD_BYTES = 8


class SharedWords:
    """A list of numbers from -2**63 up to 2**63 - 1, at first 0, with as many for each process: its place.

    A process writes only to the place of its own, and reads all. The main process, and its threads, have the first one.
    """

    def __init__(self, words_per_place: int) -> None:
        self._words_per_place = words_per_place
        self._words = memoryview(bytearray(words_per_place * WORD_BYTES)).cast("q")
        self.own_place = 0
        """The index of the first number of this process."""

    def share(self, processes: int) -> None:
        """Have new numbers, all 0, with a place for this process and for each of so many that are forked later."""
        self._words = memoryview(mmap.mmap(-1, (1 + processes) * self._words_per_place * WORD_BYTES)).cast("q")

    def take_place(self, place: int) -> None:
        """Be the process of that place, from 1 on. A spare process goes on with the numbers of the one that it replaces."""
        self.own_place = place * self._words_per_place

    def places(self) -> range:
        """Return the index of each place's first number."""
        return range(0, len(self._words), self._words_per_place)

    def sum(self, offset: int) -> int:
        """Return the sum over all places of the number with this offset in its place."""
        return sum(self._words[offset :: self._words_per_place])

    def __getitem__(self, index: int) -> int:
        return self._words[index]

    def __setitem__(self, index: int, value: int) -> None:
        self._words[index] = value
