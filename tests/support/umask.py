"""What nobody else may read, unless the code under test says otherwise."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Create files with this umask, as long as the block lasts."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
