"""Reads the core metadata from a wheel, so that it need not be fetched (PEP 427, PEP 658)."""

import lzma
import struct
import zipfile
import zlib
from typing import BinaryIO

MAX_METADATA_BYTES = 16 * 1024 * 1024
"""A limit against decompression bombs: a small wheel may claim a METADATA file of any size."""

_NAME_END = b".dist-info/METADATA"
_ENTRY, _ENTRY_BYTES, _LOCAL_HEADER_BYTES = b"PK\x01\x02", 46, 30


def read_wheel_metadata(wheel: BinaryIO) -> bytes | None:
    """Return the bytes of the wheel's METADATA file, or None if it can't be read, or the wheel has several.

    Installers refuse a wheel with several, and one of them could say what the other does not.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [info for info in archive.infolist() if _is_metadata(info)]
            if len(found) == 1 and found[0].file_size <= MAX_METADATA_BYTES:
                return archive.read(found[0])
    except (  # all that zipfile raises for malformed, encrypted or unsupported archives
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


def _is_metadata(info: zipfile.ZipInfo) -> bool:
    folder, _, name = info.filename.partition("/")
    return name == "METADATA" and folder.endswith(".dist-info")


def guess_wheel_metadata(wheel: bytes) -> bytes | None:
    """Return what is most probably the wheel's METADATA, or None; the caller must check its digest.

    ``zipfile`` reads all names first and takes four times as long, which for a small wheel is more than its download
    (docs/performance.md).
    """
    # Offsets in the central directory's entry (APPNOTE.TXT, section 4.3.12): method 10, sizes and name length 20,
    # local header 42. The local header (section 4.3.7) has the lengths of its name and extra field at 26.
    name_end = wheel.rfind(_NAME_END) + len(_NAME_END)
    entry = wheel.rfind(_ENTRY, 0, name_end)
    if entry < 0:
        return None
    try:
        (method,) = struct.unpack_from("<H", wheel, entry + 10)
        packed_bytes, _, name_bytes = struct.unpack_from("<LLH", wheel, entry + 20)
        (local_header,) = struct.unpack_from("<L", wheel, entry + 42)
        if entry + _ENTRY_BYTES + name_bytes != name_end:
            return None
        begin = local_header + _LOCAL_HEADER_BYTES + sum(struct.unpack_from("<HH", wheel, local_header + 26))
        packed = wheel[begin : begin + min(packed_bytes, MAX_METADATA_BYTES)]
        if method == zipfile.ZIP_DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, MAX_METADATA_BYTES)
    except (struct.error, zlib.error):
        return None
    return packed if method == zipfile.ZIP_STORED else None
