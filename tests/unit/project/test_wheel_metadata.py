"""Core metadata is read out of wheels, whatever the bytes are."""

import io
import struct
import zipfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.project.wheel_metadata import MAX_METADATA_BYTES, guess_wheel_metadata, read_wheel_metadata
from tests.support.builders import make_wheel, unhurried

METADATA = b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n" * 20
COMPRESSIONS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
NAME_END = b".dist-info/METADATA"
DEFLATED_AT_MOST = 1032
"""So many times its own size is what deflated bytes can hold."""


def read(wheel: bytes) -> bytes | None:
    return read_wheel_metadata(io.BytesIO(wheel))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_metadata_of_a_wheel_is_read(compression: int) -> None:
    assert read(make_wheel(METADATA, compression)) == METADATA


def test_a_wheel_without_metadata_has_none() -> None:
    assert read(make_wheel(None)) is None


@pytest.mark.parametrize("name", ["sample-1.0.dist-info/deeper", "sub/sample-1.0", "sample-1.0.dist-info.not"])
def test_metadata_in_another_place_does_not_count(name: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"{name}/METADATA", METADATA)
        archive.writestr("METADATA", METADATA)
        archive.writestr("sample-1.0.dist-info/METADATA.txt", METADATA)
    assert read(stream.getvalue()) is None


@pytest.mark.parametrize(
    "wheel",
    [b"", b"PK", b"PK\x03\x04", b"<html>", make_wheel(METADATA)[:-30]],
    ids=["empty", "short", "header", "html", "cut off"],
)
def test_what_is_no_zip_file_has_none(wheel: bytes) -> None:
    assert read(wheel) is None


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_metadata_whose_bytes_are_broken_is_none(compression: int) -> None:
    wheel = bytearray(make_wheel(METADATA, compression))
    start = wheel.index(b"METADATA") + len(b"METADATA")
    wheel[start + 12 : start + 24] = bytes(byte ^ 0xFF for byte in wheel[start + 12 : start + 24])
    assert read(bytes(wheel)) is None


def test_metadata_that_needs_a_password_is_none() -> None:
    wheel = bytearray(make_wheel(METADATA))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for at in range(len(wheel)):
            if wheel[at : at + 4] == signature:
                wheel[at + flags] |= 1
    assert read(bytes(wheel)) is None


def test_a_compression_that_is_unknown_is_none() -> None:
    wheel = bytearray(make_wheel(METADATA))
    for signature, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        for at in range(len(wheel)):
            if wheel[at : at + 4] == signature:
                wheel[at + method : at + method + 2] = struct.pack("<H", 97)
    assert read(bytes(wheel)) is None


def test_metadata_larger_than_any_is_not_unpacked() -> None:
    assert read(make_wheel(b"x" * (MAX_METADATA_BYTES + 1))) is None


@unhurried
@given(st.binary())
def test_any_bytes_are_read_or_none(wheel: bytes) -> None:
    assert read(wheel) is None


@unhurried
@given(
    st.sampled_from([make_wheel(METADATA, compression) for compression in COMPRESSIONS]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
)
@example(make_wheel(METADATA, zipfile.ZIP_LZMA), [(100, 1), (115, 255), (120, 0)])
def test_a_wheel_with_changed_bytes_is_read_or_none(wheel: bytes, changes: list[tuple[int, int]]) -> None:
    broken = bytearray(wheel)
    for at, value in changes:
        broken[at % len(broken)] = value
    metadata = read(bytes(broken))
    assert metadata is None or isinstance(metadata, bytes)


# The guess


@unhurried
@given(
    st.none() | st.binary(max_size=400) | st.binary(max_size=40).map(lambda piece: piece * 1000),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    st.from_regex(r"[A-Za-z0-9_]{1,20}-[0-9.]{1,9}", fullmatch=True),
)
@example(b"PK\x01\x02 sample-1.0.dist-info/METADATA", zipfile.ZIP_STORED, "sample-1.0")
def test_the_guess_for_a_wheel_is_what_it_has(metadata: bytes | None, compression: int, name: str) -> None:
    wheel = make_wheel(metadata, compression, name)
    assert guess_wheel_metadata(wheel) == read(wheel) == metadata


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_there_is_no_guess_for_rare_compressions(compression: int) -> None:
    assert guess_wheel_metadata(make_wheel(METADATA, compression)) is None


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_guess_is_never_larger_than_metadata_may_be(compression: int) -> None:
    wheel = make_wheel(b"x" * (MAX_METADATA_BYTES + 1), compression)
    assert len(guess_wheel_metadata(wheel) or b"") <= MAX_METADATA_BYTES


@unhurried
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_can_be_guessed_from(before: bytes, after: bytes) -> None:
    for wheel in (before, before + b".dist-info/METADATA" + after, before + b"PK\x01\x02" + after + NAME_END):
        assert len(guess_wheel_metadata(wheel) or b"") <= len(wheel) * DEFLATED_AT_MOST


@unhurried
@given(
    st.sampled_from([make_wheel(METADATA, compression) for compression in COMPRESSIONS]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_a_wheel_with_changed_bytes_can_be_guessed_from(
    wheel: bytes, changes: list[tuple[int, int]], first: int, lost: int
) -> None:
    broken = bytearray(wheel)
    for at, value in changes:
        broken[at % len(broken)] = value
    guess = guess_wheel_metadata(bytes(broken[first : len(broken) - lost]))
    assert guess is None or len(guess) <= MAX_METADATA_BYTES


@unhurried
@given(st.data())
def test_the_directory_of_a_wheel_may_say_anything(data: st.DataObject) -> None:
    wheel = bytearray(make_wheel(METADATA))
    entry = wheel.rindex(b"PK\x01\x02")
    for offset, size in ((10, 2), (20, 4), (24, 4), (28, 2), (42, 4)):
        if data.draw(st.booleans()):
            value = data.draw(st.integers(0, 2 ** (8 * size) - 1) | st.integers(0, len(wheel)))
            wheel[entry + offset : entry + offset + size] = value.to_bytes(size, "little")
    guess = guess_wheel_metadata(bytes(wheel))
    assert guess is None or len(guess) <= MAX_METADATA_BYTES


def test_a_wheel_with_two_has_none_that_counts() -> None:
    stream = io.BytesIO(make_wheel(METADATA))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("other-1.0.dist-info/METADATA", METADATA)
    assert read(stream.getvalue()) is None
