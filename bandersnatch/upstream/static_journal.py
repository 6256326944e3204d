"""Reads the static journal of another bandersnatch: what has changed there, in files that any web server can serve."""

import logging

from bandersnatch.changes import (
    MOST_FILE_BYTES,
    MOST_INDEX_BYTES,
    Change,
    ChangesIndex,
    Position,
    parse_changes,
    parse_index,
)
from bandersnatch.errors import StaticJournalError, UpstreamError
from bandersnatch.http.conversation import Conversation

logger = logging.getLogger(__name__)

MOST_BYTES = 8_000_000
"""More than that is not read: parsed, it would take more memory and time than the root index."""


class StaticJournal:
    """The static journal of upstream, if it has one."""

    def __init__(self, conversation: Conversation, base_url: str) -> None:
        self._conversation, self._folder = conversation, f"{base_url}/changes"

    def index(self) -> ChangesIndex | None:
        """Fetch the index of the journal; None if there is none that is of use."""
        try:
            return self._index()
        except UpstreamError as error:
            logger.debug("no static journal: %s", error)
            return None

    def since(self, position: Position) -> tuple[ChangesIndex, list[Change]]:
        """Return the index, and all changes after a position, oldest first.

        Raises:
            StaticJournalError: it is another journal, or does not go back that far, or has more than is read.
            MalformedResponseError: an answer is not what it should be.
            UpstreamError: there is no answer.
        """
        index = self._index()
        files = [file for file in index.files if file.last > position.number]
        self._require(index, position, sum(file.size for file in files))
        digests = {index.begin: index.digest} | {file.last: file.digest for file in index.files}
        changes: list[Change] = []
        for file in files:
            answer = self._conversation.get(f"{self._folder}/{file.filename}", {}, MOST_FILE_BYTES)
            told = parse_changes(answer.body, file, index, answer.url)
            if file.first <= position.number:
                digests |= {change.number: digest for change, digest in told}
            changes += (change for change, _ in told if change.number > position.number)
        if digests[position.number] != position.digest:
            reason = f"what it told up to number {position.number} is not what it told us: it was restored or copied"
            raise StaticJournalError(self._folder, reason)
        return index, changes

    def _index(self) -> ChangesIndex:
        answer = self._conversation.get(f"{self._folder}/index.json", {}, MOST_INDEX_BYTES)
        return parse_index(answer.body, answer.url)

    def _require(self, index: ChangesIndex, position: Position, size: int) -> None:
        reason = None
        if index.id != position.id:
            reason = "it was begun anew"
        elif position.number < index.begin:
            reason = f"it begins after number {index.begin}, and we have read up to {position.number}"
        elif position.number > index.end:
            reason = f"it ends at number {index.end}, and we have read up to {position.number}"
        elif size > MOST_BYTES:
            reason = f"{size} bytes are new, and we read up to {MOST_BYTES}"
        if reason is not None:
            raise StaticJournalError(self._folder, reason)
