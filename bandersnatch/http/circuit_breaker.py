"""``CircuitBreaker``: gives up a host for the rest of the run after many failures in a row.

It counts for all processes of a run, in memory that they share. None waits for another, not even for one that is stopped:
each writes only to a place of its own, and adds up what it reads in all places.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b

from bandersnatch.http.shared_words import WORD_BYTES, SharedWords

_SUBJECTS_UNTIL_DOWN = 4
"""A host is down only after failures of so many subjects."""
_MOST_HOSTS = 30
"""A process counts the failures of so many hosts at a time; a mirror has two or three."""
_NO_SUBJECT = 0
_HOSTS_TAKEN = 0
"""In each place: how many records were given to a host. The records follow."""
_HOST, _IS_DOWN, _SUCCESSES, _ROW, _FAILURES, _FIRST_SUBJECT = range(6)
"""A record: digest of the host; whether it is given up; how often a success has ended a row of failures; the number of the
row that the failures belong to, which is the sum of all processes' ``_SUCCESSES``; how many failures; each one's subject."""


class CircuitBreaker:
    """Counts the failures in a row of each host; after so many, the host gets no more requests. Thread-safe.

    The failures of one subject count for a part of that only: all files of one project may be forbidden or broken although
    the host works.
    """

    def __init__(self, failures_until_down: int) -> None:
        self._failures_until_down = failures_until_down
        self._most_of_one = max(1, failures_until_down // _SUBJECTS_UNTIL_DOWN)
        self._record_words = _FIRST_SUBJECT + failures_until_down
        self._words = SharedWords(1 + _MOST_HOSTS * self._record_words)
        self._down_before: set[int] = set()
        """Hosts that were given up and have no record any more."""
        self._guard = threading.Lock()

    def share(self, processes: int) -> None:
        """Count from now on what so many processes find, too, which are forked later."""
        self._down_before.update(self._words[at + _HOST] for at in self._records() if self._words[at + _IS_DOWN])
        self._words.share(processes)

    def take_place(self, place: int) -> None:
        """Be the process of that place, from 1 on."""
        self._words.take_place(place)

    def is_down(self, host: str) -> bool:
        """Whether any process has given up the host."""
        if not self._is_any_known():  # it is asked before every request
            return False
        digest = _digest(host)
        return digest in self._down_before or any(self._words[at + _IS_DOWN] for at in self._records_of(digest))

    def succeeded(self, host: str) -> None:
        """Count a usable answer, which may be a 404. A host that is given up stays given up."""
        if not self._is_any_known():  # it is called for every answer
            return
        with self._guard:
            digest = _digest(host)
            if self._failed_in_row(digest):
                self._words[self._own_record(digest) + _SUCCESSES] += 1

    def failed(self, host: str, subject: str = "") -> None:
        """Count a request that got no usable answer after all its attempts."""
        with self._guard:
            words, digest = self._words, _digest(host)
            own, row = self._own_record(digest), self._row(digest)
            if words[own + _ROW] != row:
                words[own + _FAILURES] = 0
                words[own + _ROW] = row
            self._count(own, _digest(subject) if subject else _NO_SUBJECT)
            counts = Counter(self._failed_in_row(digest))
            if (
                sum(min(count, self._most_of(subject)) for subject, count in counts.items())
                >= self._failures_until_down
            ):
                words[own + _IS_DOWN] = 1

    def _count(self, own: int, subject: int) -> None:
        words, failures = self._words, self._words[own + _FAILURES]
        first = own + _FIRST_SUBJECT
        of_subject = sum(words[first + number] == subject for number in range(failures))
        if of_subject < self._most_of(subject) and failures < self._failures_until_down:
            words[first + failures] = subject
            words[own + _FAILURES] = failures + 1  # last, so that nobody reads what is not there yet

    def _most_of(self, subject: int) -> int:
        return self._failures_until_down if subject == _NO_SUBJECT else self._most_of_one

    def _is_any_known(self) -> bool:
        return bool(self._down_before) or self._words.sum(_HOSTS_TAKEN) > 0

    def _row(self, digest: int) -> int:
        return sum(self._words[at + _SUCCESSES] for at in self._records_of(digest))

    def _failed_in_row(self, digest: int) -> list[int]:
        """Return the subject of each failure since the last success, as a digest."""
        words, row = self._words, self._row(digest)
        return [
            words[at + _FIRST_SUBJECT + number]
            for at in self._records_of(digest)
            if words[at + _ROW] == row
            for number in range(words[at + _FAILURES])
        ]

    def _records(self) -> Iterator[int]:
        for place in self._words.places():
            for number in range(min(self._words[place + _HOSTS_TAKEN], _MOST_HOSTS)):
                yield self._record_at(place, number)

    def _records_of(self, digest: int) -> Iterator[int]:
        return (at for at in self._records() if self._words[at + _HOST] == digest)

    def _own_record(self, digest: int) -> int:
        """Return where this process counts for a host."""
        words, place = self._words, self._words.own_place
        taken = words[place + _HOSTS_TAKEN]
        for number in range(min(taken, _MOST_HOSTS)):
            at = self._record_at(place, number)
            if words[at + _HOST] == digest:
                return at
        at = self._record_at(place, taken % _MOST_HOSTS)  # when all are taken, each in turn is taken again
        if words[at + _IS_DOWN]:
            self._down_before.add(words[at + _HOST])
        for word in range(at, at + _FIRST_SUBJECT):
            words[word] = 0
        words[at + _HOST] = digest
        words[place + _HOSTS_TAKEN] = taken + 1
        return at

    def _record_at(self, place: int, number: int) -> int:
        return place + 1 + number * self._record_words


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=WORD_BYTES).digest(), "little", signed=True)
