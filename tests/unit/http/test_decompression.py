"""Bodies are decompressed in pieces of bounded size, and none that breaks off is taken for whole."""

import gzip
import importlib
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from types import ModuleType

import pytest

from bandersnatch.errors import BrokenBodyError, MalformedResponseError
from bandersnatch.http.decompression import ACCEPTED_ENCODINGS, ERRORS, PIECE_BYTES, unpacker_of
from tests.support.builders import make_transfer
from tests.support.fakepypi import FakePyPI
from tests.support.fetching import ok
from tests.support.transferring import ask, get

DATA = b"".join(b"%d," % number for number in range(100_000))
BOMB = bytes(20 * 1024 * 1024)


def module(*names: str) -> ModuleType | None:
    """Return the first of these modules that is there."""
    for name in names:
        with suppress(ImportError):
            return importlib.import_module(name)
    return None


brotli, zstd = module("brotli"), module("compression.zstd", "backports.zstd")
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
COMPRESS |= {"br": partial(brotli.compress, quality=1)} if brotli else {}
COMPRESS |= {"zstd": zstd.compress} if zstd else {}

every_encoding = pytest.mark.parametrize("encoding", COMPRESS)


def unpacked(encoding: str, pieces: list[bytes]) -> tuple[bytes, bool]:
    """Return what the pieces hold, and whether the end has come."""
    unpacker = unpacker_of(encoding)
    assert unpacker is not None
    out = [out for piece in pieces for out in unpacker.pieces(piece)]
    assert all(0 < len(piece) <= 2 * PIECE_BYTES for piece in out)
    return b"".join(out), unpacker.is_whole


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def test_all_that_can_be_read_is_asked_for() -> None:
    assert ACCEPTED_ENCODINGS.split(", ") == [name for name in COMPRESS if name != "deflate"]


@every_encoding
@pytest.mark.parametrize("size", [1000, 16 * 1024, 10**9])
@pytest.mark.parametrize("data", [b"", b"x", DATA, BOMB], ids=["empty", "one", "data", "bomb"])
def test_a_body_comes_whole_however_it_is_cut(encoding: str, data: bytes, size: int) -> None:
    assert unpacked(encoding, cut(COMPRESS[encoding](data), size)) == (data, True)


@every_encoding
@pytest.mark.parametrize("missing", [1, 5, 1000])
def test_a_body_that_breaks_off_is_not_whole(encoding: str, missing: int) -> None:
    data, is_whole = unpacked(encoding, [COMPRESS[encoding](DATA)[:-missing]])
    assert DATA.startswith(data)
    assert not is_whole


@every_encoding
def test_garbage_is_an_error(encoding: str) -> None:
    with pytest.raises(ERRORS):
        unpacked(encoding, [b"\xff" * 100])


@pytest.mark.parametrize("encoding", [name for name in COMPRESS if name in ("gzip", "zstd")])
@pytest.mark.parametrize("size", [7, 10**9])
def test_members_follow_each_other(encoding: str, size: int) -> None:
    parts = COMPRESS[encoding](DATA[:1000]) + COMPRESS[encoding](DATA[1000:3000])
    assert unpacked(encoding, cut(parts, size)) == (DATA[:3000], True)


@pytest.mark.parametrize("encoding", ["compress", "gzip, gzip", "x"])
def test_others_are_not_read(encoding: str) -> None:
    assert unpacker_of(encoding) is None


# As Transfer uses it


@every_encoding
def test_a_document_comes_compressed_in_each_way(pypi: FakePyPI, encoding: str) -> None:
    pypi.fault("/x", ok(COMPRESS[encoding](DATA), Content_Encoding=encoding))
    with closing(make_transfer()) as transfer:
        assert get(transfer, f"{pypi.url}/x") == DATA


@every_encoding
def test_a_document_that_breaks_off_is_asked_for_again(pypi: FakePyPI, encoding: str) -> None:
    whole = COMPRESS[encoding](DATA)
    pypi.fault("/x", ok(whole[:-1], Content_Encoding=encoding), ok(whole, Content_Encoding=encoding))
    with closing(make_transfer(attempts=2)) as transfer:
        assert get(transfer, f"{pypi.url}/x") == DATA
    pypi.fault("/x", ok(whole[:-1], Content_Encoding=encoding))
    with closing(make_transfer()) as transfer, pytest.raises(BrokenBodyError, match="the body broke off"):
        get(transfer, f"{pypi.url}/x")


@every_encoding
def test_the_size_counts_when_it_is_decompressed(pypi: FakePyPI, encoding: str) -> None:
    pypi.fault("/x", ok(COMPRESS[encoding](BOMB), Content_Encoding=encoding))
    with closing(make_transfer()) as transfer, pytest.raises(MalformedResponseError, match="larger than 100000 bytes"):
        ask(transfer, f"{pypi.url}/x", limit_bytes=100_000)


@pytest.mark.parametrize("encoding", ["gzip, gzip", "compress"])
def test_what_was_not_asked_for_is_not_decompressed(pypi: FakePyPI, encoding: str) -> None:
    pypi.fault("/x", ok(b"x", Content_Encoding=encoding))
    with closing(make_transfer()) as transfer, pytest.raises(BrokenBodyError, match="in a way that was not asked for"):
        get(transfer, f"{pypi.url}/x")
