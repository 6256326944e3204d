"""Answers for `/packages/...`: files and their metadata, whole or by range."""

import re
from email.message import Message
from email.utils import format_datetime
from urllib.parse import unquote

from .answers import Answer, FilePart, Headers, not_found
from .model import UploadedFile
from .world import World

METADATA_SUFFIX = ".metadata"


def answer_download(world: World, url_path: str, request_headers: Message) -> Answer:
    """Return a stored file or its metadata; removed projects' files are still there."""
    if (file := _stored(world, url_path)) is not None:
        return _file_answer(file, request_headers)
    file = _stored(world, url_path.removesuffix(METADATA_SUFFIX))
    if url_path.endswith(METADATA_SUFFIX) and file is not None and file.metadata is not None:
        headers = _headers(file, f"{file.md5}-metadata")
        return Answer(200, headers, file.metadata, is_compressible=False)
    return not_found()


def _stored(world: World, url_path: str) -> UploadedFile | None:
    return world.stored_file(url_path) or world.stored_file(unquote(url_path))


def _headers(file: UploadedFile, etag: str) -> Headers:
    return (
        ("Content-Type", "application/octet-stream"),
        ("ETag", f'"{etag}"'),
        ("Last-Modified", _http_date(file)),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", "max-age=365000000, immutable, public"),
    )


def _http_date(file: UploadedFile) -> str:
    return format_datetime(file.upload_time.replace(microsecond=0), usegmt=True)


def _file_answer(file: UploadedFile, request_headers: Message) -> Answer:
    headers = _headers(file, file.md5)
    whole = Answer(200, headers, FilePart(file, 0, file.size), is_compressible=False)
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request_headers["Range"] or "")
    if wanted is None or wanted.groups() == ("", "") or not _range_applies(file, request_headers["If-Range"]):
        return whole
    start, stop = _bounds(wanted[1], wanted[2], file.size)
    if start >= stop:
        return Answer(416, (*headers, ("Content-Range", f"bytes */{file.size}")), is_compressible=False)
    content_range = f"bytes {start}-{stop - 1}/{file.size}"
    part = FilePart(file, start, stop)
    return Answer(206, (*headers, ("Content-Range", content_range)), part, is_compressible=False)


def _range_applies(file: UploadedFile, if_range: str | None) -> bool:
    return if_range is None or if_range in (f'"{file.md5}"', _http_date(file))


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """Return start and stop of `bytes=first-last`, either of which may be empty."""
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size) if last else size
