"""Decompresses bodies in pieces of limited size, and knows whether a body is complete.

libcurl could decompress, but takes an interrupted body, be it gzip or brotli, for a complete one, and refuses gzip with
several members. So it is done here; brotli needs the package ``brotli``, and zstd needs ``backports.zstd`` or Python 3.14.
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

from bandersnatch.errors import BrokenBodyError, MalformedResponseError
from bandersnatch.shown_text import shown

PIECE_BYTES = 256 * 1024
_MAX_BYTES_WITHOUT_OUTPUT = 1024 * 1024
"""By so much the compressed bytes may exceed the decompressed ones; gzip itself holds back 32 KB."""
_GZIP_OR_ZLIB = (
    zlib.MAX_WBITS | 32
)  # zlib sees which one it is; "deflate" is the zlib format (RFC 9110, section 8.4.1.2)
_MAX_ZSTD_WINDOW_LOG = 23
"""8 MB, the most that HTTP allows (RFC 9659). Without this, a hostile body could claim 128 MB of memory."""


class Unpacker(Protocol):
    """Decompresses one body."""

    @property
    def is_whole(self) -> bool:
        """Whether the end of the body was read."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed data in pieces, since it may be a thousand times as large.

        Raises:
            one of ``ERRORS``: the data is not validly compressed.
        """


class _Gzip:
    """Decompresses gzip or deflate."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)

    @property
    def is_whole(self) -> bool:
        """Whether the end of the body was read."""
        return self._stream.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed data in pieces.

        Raises:
            zlib.error: the data is not validly compressed.
        """
        while True:
            if self._stream.eof:
                data = data.lstrip(b"\0")  # zeros may follow the end, as gzip(1) allows
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
        while piece:  # there may be more output, although all input was read
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
            data = b""  # the stream keeps the input that it has not used
            if piece:
                yield piece
            if not self._stream.eof and (self._stream.needs_input or not piece):
                return


def _new_zstd() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _MAX_ZSTD_WINDOW_LOG})


_UNPACKERS: dict[str, type[Unpacker]] = {"gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Gzip}
ERRORS: tuple[type[Exception], ...] = (zlib.error,)
ACCEPTED_ENCODINGS = "gzip"
"""The value of the header Accept-Encoding."""
with suppress(ImportError):
    import brotli

    if hasattr(brotli.Decompressor, "can_accept_more_data"):  # 1.2; earlier ones can't limit the output
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
    """Return the decompressor of an encoding, or None if there is none."""
    found = _UNPACKERS.get(encoding)
    return found() if found is not None else None


class Decoder:
    """Decompresses the body of an answer."""

    def __init__(self, url: str, unpacker: Unpacker) -> None:
        self._url, self._unpacker = url, unpacker
        self._in_bytes = self._out_bytes = 0

    @property
    def is_cut_short(self) -> bool:
        """Whether the body is incomplete, if no more of it follows."""
        return not self._unpacker.is_whole and self._in_bytes > 0

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed data in pieces.

        Raises:
            BrokenBodyError: the data is not validly compressed.
            MalformedResponseError: far too little comes out of it.
        """
        self._in_bytes += len(data)
        try:
            for piece in self._unpacker.pieces(data):
                self._out_bytes += len(piece)
                yield piece
        except ERRORS as error:
            raise BrokenBodyError(self._url, f"the body can't be decompressed: {error}") from error
        if self._in_bytes > self._out_bytes + _MAX_BYTES_WITHOUT_OUTPUT:
            raise MalformedResponseError(
                self._url, f"of {self._in_bytes} compressed bytes, only {self._out_bytes} came"
            )


def decoder_of(url: str, encoding: str) -> Decoder | None:
    """Return the decoder of an answer, or None if the answer is not compressed.

    Raises:
        BrokenBodyError: it is compressed in a way that was not accepted.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return None
    unpacker = unpacker_of(encoding)
    if unpacker is None:
        raise BrokenBodyError(url, f"compressed in a way that was not asked for: {shown(encoding)}")
    return Decoder(url, unpacker)
