"""Whether there is memory enough for a run, found out before it begins.

Where memory ends in the middle of it, Python can't always tell: while it makes the error, it needs some, and aborts.
"""

import mmap
from contextlib import suppress

from bandersnatch.errors import ScarceMemoryError

WORKING_BYTES = 128 * 1024 * 1024
"""What a run takes beside its threads, where there is little to do. It may need more later, and then ends with an error."""
BEGIN_BYTES = 48 * 1024 * 1024
"""What it takes to load the program, and to read its configuration."""
LARGE_BYTES = 8 * 1024 * 1024
TIMES_LARGER = 6
"""A list of the shortest entries; msgspec crashes where it gets no memory for them."""
_STACK_BYTES = 8 * 1024 * 1024
_M_ARENA_MAX = -8


def require_memory(threads: int, working_bytes: int = WORKING_BYTES) -> None:
    """Do nothing where the process has no limit (``ulimit -v``), or one that leaves room for so many threads.

    Raises:
        ScarceMemoryError: it has not.
    """
    limit = _limit()
    if limit is None:
        return
    import ctypes  # noqa: PLC0415 - most runs have no limit, and need it not

    with suppress(OSError, AttributeError):  # glibc reserves 64 MB for each thread, which counts, though it is not used
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    needed = threads * _STACK_BYTES + working_bytes
    try:
        mmap.mmap(-1, needed).close()
    except (OSError, MemoryError):
        what = f"{needed >> 20} MB more are needed"
        raise ScarceMemoryError(f"{what} for {threads} threads" if threads else what, limit) from None


def require_memory_to_read(document: bytes) -> None:
    """Do nothing where there is room for what a large document says, too.

    Raises:
        ScarceMemoryError: there is not.
    """
    if len(document) >= LARGE_BYTES:
        require_memory(0, TIMES_LARGER * len(document))


def scarcity(error: BaseException) -> ScarceMemoryError | None:
    """Return what an error means, if it is that there is no memory, or no thread, to be had."""
    if isinstance(error, MemoryError):
        return ScarceMemoryError("there is none left", _limit())
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return ScarceMemoryError("no thread is to be had", _limit())
    return None


def _limit() -> int | None:
    """Return how many bytes of addresses or data the process may have, or None where there is no limit."""
    try:
        import resource  # noqa: PLC0415 - not every platform has it
    except ImportError:
        return None
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=None)
