"""Reads the core metadata out of a wheel, so that it need not be fetched (PEP 427, PEP 658)."""

import lzma
import zipfile
import zlib
from typing import BinaryIO

MAX_METADATA_BYTES = 16 * 1024 * 1024


def read_wheel_metadata(wheel: BinaryIO) -> bytes | None:
    """Return the bytes of the wheel's METADATA file, or None where it can't be read.

    Whoever calls it compares the bytes with the digest that upstream advertises: a wheel may hold anything.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                folder, _, name = info.filename.partition("/")
                if name == "METADATA" and folder.endswith(".dist-info") and info.file_size <= MAX_METADATA_BYTES:
                    return archive.read(info)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OSError,
    ):
        return None
    return None
