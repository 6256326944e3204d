"""What is asked of one package."""

from msgspec import Struct
from packaging.utils import NormalizedName

from bandersnatch.project.job_context import Prepared
from bandersnatch.state.todo import TodoEntry
from bandersnatch.storage.layout import StoredPath


class Job(Struct, frozen=True):
    """What is asked of a package.

    ``recheck`` looks at every file even where the page is unchanged; ``is_last_attempt`` accepts a page that is older than
    upstream's list of projects said, since only the changelog is sure; without ``may_remove``, a page that would remove
    files is not published, but reported; in a resync a page that stays older than the one that is held is accepted, too;
    ``fresh`` asks for the page whatever is held of it; ``wrong`` are paths that are
    known to be missing or bad; with what is ``prepared`` already, nothing more is asked.
    """

    project: NormalizedName
    entry: TodoEntry
    recheck: bool = False
    is_last_attempt: bool = False
    may_remove: bool = False
    is_resync: bool = False
    fresh: bool = False
    wrong: frozenset[StoredPath] = frozenset()
    prepared: Prepared | None = None
