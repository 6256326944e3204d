"""Decompresses bodies in pieces of bounded size, and tells whether their end has come.

libcurl could decompress, but it takes a body that breaks off for a whole one, be it gzip or brotli, and refuses gzip of
several members. So gzip is read here, and brotli and zstd where Python has them: by the packages ``brotli`` and
``backports.zstd``, and from Python 3.14 on.
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

from bandersnatch.errors import BrokenBodyError, MalformedResponseError, shown

PIECE_BYTES = 256 * 1024
_MOST_BYTES_FOR_NOTHING = 1024 * 1024
"""So much may come compressed beyond what has come out of it; gzip itself holds back 32 KB."""
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_MOST_ZSTD_WINDOW_LOG = 23
"""8 MB, which is all that HTTP allows (RFC 9659). A hostile body could ask for 128 MB else."""


class Unpacker(Protocol):
    """Decompresses one body."""

    @property
    def is_whole(self) -> bool:
        """Whether the end has come."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes hold; a small piece may hold a thousand times as much.

        Raises:
            one of ``ERRORS``: they are nothing compressed.
        """


class Unpacked:
    """Decompresses gzip or deflate."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)

    @property
    def is_whole(self) -> bool:
        """Whether the end has come."""
        return self._stream.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes hold.

        Raises:
            zlib.error: they are nothing compressed.
        """
        while True:
            if self._stream.eof:
                data = data.lstrip(b"\0")  # as gzip allows behind its end
                if not data:
                    return
                self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)  # RFC 1952: members follow each other
            piece = self._stream.decompress(data, PIECE_BYTES)
            if piece:
                yield piece
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            if not data and (self._stream.eof or len(piece) < PIECE_BYTES):
                return


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def is_whole(self) -> bool:
        return bool(self._stream.is_finished())

    def pieces(self, data: bytes) -> Iterator[bytes]:
        piece = self._stream.process(data, output_buffer_limit=PIECE_BYTES)
        while piece:  # more may follow although all of the data was read
            yield piece
            piece = self._stream.process(b"", output_buffer_limit=PIECE_BYTES)


class _Zstd:
    def __init__(self) -> None:
        self._stream = _new_zstd()

    @property
    def is_whole(self) -> bool:
        return bool(self._stream.eof)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._stream.eof:
                data = self._stream.unused_data + data
                if not data:
                    return
                self._stream = _new_zstd()  # RFC 8878: frames follow each other
            piece = self._stream.decompress(data, PIECE_BYTES)
            data = b""  # the stream keeps what it has not read
            if piece:
                yield piece
            if not self._stream.eof and (self._stream.needs_input or not piece):
                return


def _new_zstd() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _MOST_ZSTD_WINDOW_LOG})


_UNPACKERS: dict[str, type[Unpacker]] = {"gzip": Unpacked, "x-gzip": Unpacked, "deflate": Unpacked}
ERRORS: tuple[type[Exception], ...] = (zlib.error,)
ACCEPTED_ENCODINGS = "gzip"
"""What is asked for."""
with suppress(ImportError):
    import brotli

    if hasattr(brotli.Decompressor, "can_accept_more_data"):  # 1.2; earlier ones can't bound what comes out
        _UNPACKERS["br"] = _Brotli
        ERRORS += (brotli.error,)
        ACCEPTED_ENCODINGS += ", br"
with suppress(ImportError):
    try:
        from compression import zstd  # Python 3.14
    except ImportError:
        from backports import zstd
    _UNPACKERS["zstd"] = _Zstd
    ERRORS += (zstd.ZstdError,)
    ACCEPTED_ENCODINGS += ", zstd"


def unpacker_of(encoding: str) -> Unpacker | None:
    """Return what decompresses a body, or None where that is not known here."""
    found = _UNPACKERS.get(encoding)
    return found() if found is not None else None


class Decoder:
    """Decompresses the body of an answer."""

    def __init__(self, url: str, unpacker: Unpacker) -> None:
        self._url, self._unpacker = url, unpacker
        self._came = self._held = 0

    @property
    def is_cut_short(self) -> bool:
        """Whether the body has ended before its end, if it has ended."""
        return not self._unpacker.is_whole and self._came > 0

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes hold.

        Raises:
            BrokenBodyError: they are nothing compressed.
            MalformedResponseError: far too little comes out of them.
        """
        self._came += len(data)
        try:
            for piece in self._unpacker.pieces(data):
                self._held += len(piece)
                yield piece
        except ERRORS as error:
            raise BrokenBodyError(self._url, f"the body can't be decompressed: {error}") from error
        if self._came > self._held + _MOST_BYTES_FOR_NOTHING:
            raise MalformedResponseError(self._url, f"of {self._came} compressed bytes, only {self._held} came")


def decoder_of(url: str, encoding: str) -> Decoder | None:
    """Return what decompresses an answer, or None if it is not compressed.

    Raises:
        BrokenBodyError: it is compressed in another way than those that are asked for.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return None
    unpacker = unpacker_of(encoding)
    if unpacker is None:
        raise BrokenBodyError(url, f"compressed in a way that was not asked for: {shown(encoding)}")
    return Decoder(url, unpacker)
