"""How large a file may grow while it comes: as large as its page says, or, where it says nothing, as the disk has room for.

A file of unknown size holds room step by step. One that does not end so fails its project, and neither eats into the reserve
nor fills the disk, which would stop the run.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bandersnatch.amounts import size_of
from bandersnatch.errors import IntegrityError, OversizedFileError, StorageError
from bandersnatch.plan.file_plan import FileTask
from bandersnatch.storage.filesystem import FilesystemStorage

STEP_BYTES = 1024 * 1024
MAX_UNKNOWN_BYTES = 16 * 1024**3
"""No file of PyPI is nearly as large."""


@contextmanager
def room_to_grow(
    storage: FilesystemStorage, task: FileTask, url: str, reserve_bytes: int
) -> Iterator[Callable[[int], None]]:
    """Hold room for a file while it comes, and yield what is to be told its size before that is written.

    Raises:
        StorageError: there is no room for it from the beginning.
        IntegrityError: the file is larger than its page says.
        OversizedFileError: a file of unknown size becomes larger than there is room for.
    """
    whole_size = task.file.size
    held_bytes = STEP_BYTES if whole_size is None else whole_size
    with ExitStack() as held:
        held.enter_context(storage.room_for(task.path, held_bytes, reserve_bytes))

        def check(size: int) -> None:
            nonlocal held_bytes
            if size <= held_bytes:
                return
            if whole_size is not None:
                raise IntegrityError(url, "size", whole_size, f"{size} or more")
            if size > MAX_UNKNOWN_BYTES:
                raise OversizedFileError(url, f"more than {size_of(MAX_UNKNOWN_BYTES)} came")
            held_bytes = size + STEP_BYTES
            held.close()  # what has come takes its room by itself
            try:
                held.enter_context(storage.room_for(task.path, STEP_BYTES, max(reserve_bytes, 1)))
            except StorageError as error:
                if isinstance(error.cause, OSError):
                    raise
                room = f"leave the reserve of {size_of(reserve_bytes)}" if reserve_bytes else "fit on the disk"
                raise OversizedFileError(url, f"{size_of(size)} came, and more would not {room}") from error

        yield check
