"""What was removed without a word of the journal is asked for again, whatever times are on record."""

import json
from pathlib import Path

from bandersnatch.state.todo import TodoList
from bandersnatch.state.unconfirmed import Unconfirmed
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import UNCONFIRMED

NOW = 1_800_000_000.0


def test_a_time_in_the_future_is_no_time_at_which_a_project_was_asked_for(tmp_path: Path) -> None:
    known = [{"project": "foo", "removed": NOW - 86_400, "asked": 9e10}]
    (tmp_path / UNCONFIRMED).write_text(json.dumps(known))
    todo = TodoList(0)
    assert Unconfirmed(FilesystemStorage(tmp_path), NOW).add_to(todo, lambda _: False)
    assert list(todo) == ["foo"]
