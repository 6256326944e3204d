"""Limits the size of a file while it arrives: to the size on its page or, if there is none, to what the disk has room for.

For a file of unknown size, disk space is reserved step by step. So an endless file fails its project only: it does not use
up the reserve or fill the disk, which would stop the run.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bandersnatch.amounts import size_of
from bandersnatch.errors import IntegrityError, OversizedFileError, StorageError
from bandersnatch.plan.file_plan import FileTask
from bandersnatch.storage.filesystem import FilesystemStorage

STEP_BYTES = 1024 * 1024
MAX_UNKNOWN_BYTES = 16 * 1024**3
"""No file on PyPI is nearly as large."""


@contextmanager
def room_to_grow(
    storage: FilesystemStorage, task: FileTask, url: str, reserve_bytes: int
) -> Iterator[Callable[[int], None]]:
    """Reserve disk space for a file while it arrives; yield a function to call with its new size before each write.

    Raises:
        StorageError: there is no room for the file.
        IntegrityError: by that function: the file is larger than its page says.
        OversizedFileError: by that function: a file of unknown size grows larger than there is room for.
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
            held.close()  # what has arrived is on the disk now, and no longer needs a reservation
            try:
                # With a reserve of 0, `room_for` would not look at the disk at all.
                held.enter_context(storage.room_for(task.path, STEP_BYTES, max(reserve_bytes, 1)))
            except StorageError as error:
                if isinstance(error.cause, OSError):
                    raise  # the filesystem itself failed, which is not the file's fault
                room = f"leave the reserve of {size_of(reserve_bytes)}" if reserve_bytes else "fit on the disk"
                raise OversizedFileError(url, f"{size_of(size)} came, and more would not {room}") from error

        yield check
