"""Checks before a run that there is enough memory for it.

If memory runs out in the middle, Python can't always report it: making the exception needs memory too, and it aborts.
"""

import mmap
from contextlib import suppress

from bandersnatch.errors import ScarceMemoryError

WORKING_BYTES = 128 * 1024 * 1024
"""What a small run needs besides its threads. A larger run may need more, and then ends with an error."""
BEGIN_BYTES = 48 * 1024 * 1024
"""What it takes to load the program and read its configuration."""
LARGE_BYTES = 8 * 1024 * 1024
TIMES_LARGER = 6
"""How much larger a list of the shortest entries is in memory; msgspec crashes if it can't allocate them."""
_STACK_BYTES = 8 * 1024 * 1024
_M_ARENA_MAX = -8


def require_memory(threads: int, working_bytes: int = WORKING_BYTES) -> None:
    """Check that the limit of the process (``ulimit -v``), if it has one, leaves room for so many threads.

    Raises:
        ScarceMemoryError: it does not.
    """
    limit = _limit()
    if limit is None:
        return
    import ctypes  # noqa: PLC0415 - most runs have no limit, and don't need it

    # glibc reserves an arena of 64 MB of addresses for each thread, which counts against the limit even if unused.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    needed = threads * _STACK_BYTES + working_bytes
    # Nothing says how much of the limit is left: a mapping that is never touched tries it, at no cost.
    try:
        mmap.mmap(-1, needed).close()
    except (OSError, MemoryError):
        what = f"{needed >> 20} MB more are needed"
        raise ScarceMemoryError(f"{what} for {threads} threads" if threads else what, limit) from None


def require_memory_to_read(document: bytes) -> None:
    """Check that there is room for the parsed form of a large document.

    Raises:
        ScarceMemoryError: there is not.
    """
    if len(document) >= LARGE_BYTES:
        require_memory(0, TIMES_LARGER * len(document))


def scarcity(error: BaseException) -> ScarceMemoryError | None:
    """Return the ``ScarceMemoryError`` that an error stands for, or None if it is not about memory or threads."""
    if isinstance(error, MemoryError):
        return ScarceMemoryError("there is none left", _limit())
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return ScarceMemoryError("no thread is available", _limit())
    return None


def _limit() -> int | None:
    """Return the process's limit on address space or data in bytes, or None if it has none."""
    try:
        import resource  # noqa: PLC0415 - not every platform has it
    except ImportError:
        return None
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=None)
