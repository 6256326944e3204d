"""Makes an `UploadedFile` from the words of a story or from a file on disk."""

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b, md5, sha256
from pathlib import Path
from urllib.parse import quote

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from . import wheels
from .model import CHUNK_BYTES, Kind, UploadedFile

_PATH_SAFE = "~!$&'()*+,;=:@"
"""What PyPI's web framework leaves as it is in the last part of a path."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way into the index, with what its metadata says."""

    file: UploadedFile
    project: str
    requires_python: str | None


@dataclass(frozen=True, slots=True)
class FileStory:
    """What a test says about a file; the rest is made up."""

    project: str
    version: str
    kind: Kind
    filename: str | None
    content: bytes | None
    size: int | None
    requires_python: str | None
    core_metadata: bool
    metadata_in_wheel: bool
    python_tag: str
    platform_tag: str
    path: str | None


def upload_from_story(story: FileStory, upload_time: datetime) -> Upload:
    """Return a made-up but real distribution file."""
    metadata = wheels.core_metadata(story.project, story.version, story.requires_python)
    filename = story.filename or _filename(story)
    if story.content is None:
        content = _content(story, metadata)
    else:
        content = story.content
        with suppress(ValueError, zipfile.BadZipFile, tarfile.TarError):
            metadata = wheels.read_metadata(content, filename)
    has_metadata = story.core_metadata and filename.endswith(".whl")
    file = _uploaded_file(
        filename=filename,
        version=story.version,
        kind=story.kind,
        python_version="source" if story.kind == "sdist" else story.python_tag,
        upload_time=upload_time,
        metadata=metadata if has_metadata else None,
        source=content,
        path=story.path,
    )
    return Upload(file, story.project, story.requires_python)


def upload_from_disk(path: Path) -> Upload:
    """Return the real distribution file at `path`; its bytes stay there.

    Raises ValueError for a name that is neither a wheel's nor a sdist's.
    """
    filename = path.name
    if filename.endswith(".whl"):
        normalized_name, parsed_version, _, tags = parse_wheel_filename(filename)
        kind: Kind = "wheel"
        python_version = ".".join(sorted({tag.interpreter for tag in tags}))
    else:
        normalized_name, parsed_version = parse_sdist_filename(filename)
        kind, python_version = "sdist", "source"
    metadata = wheels.read_metadata(path, filename)
    fields = wheels.parse_metadata(metadata)
    display_name = str(fields["Name"])
    file = _uploaded_file(
        filename=filename,
        version=str(parsed_version),
        kind=kind,
        python_version=python_version,
        upload_time=datetime.fromtimestamp(int(path.stat().st_mtime), UTC),
        metadata=metadata if kind == "wheel" else None,
        source=path,
        path=None,
    )
    is_same_name = canonicalize_name(display_name) == normalized_name
    return Upload(file, display_name if is_same_name else normalized_name, fields["Requires-Python"])


def _filename(story: FileStory) -> str:
    stem = wheels.file_stem(story.project, story.version)
    if story.kind == "sdist":
        return f"{stem}.tar.gz"
    return f"{stem}-{wheels.wheel_tag(story.python_tag, story.platform_tag)}.whl"


def _content(story: FileStory, metadata: bytes) -> bytes:
    stem = wheels.file_stem(story.project, story.version)
    if story.kind == "sdist":
        return wheels.build_sdist(stem, metadata, story.size)
    if not story.metadata_in_wheel:
        metadata = wheels.core_metadata(story.project, story.version, story.requires_python, "not what the index says")
    return wheels.build_wheel(stem, wheels.wheel_tag(story.python_tag, story.platform_tag), metadata, story.size)


def _uploaded_file(
    *,
    filename: str,
    version: str,
    kind: Kind,
    python_version: str,
    upload_time: datetime,
    metadata: bytes | None,
    source: bytes | Path,
    path: str | None,
) -> UploadedFile:
    size, digests = _measure(source)
    blake2 = digests["blake2b_256"]
    return UploadedFile(
        filename=filename,
        version=version,
        kind=kind,
        python_version=python_version,
        url_path="/"
        + (path or f"packages/{blake2[:2]}/{blake2[2:4]}/{blake2[4:]}/{quote(filename, _PATH_SAFE)}").lstrip("/"),
        size=size,
        upload_time=upload_time,
        metadata=metadata,
        source=source,
        **digests,
    )


def _measure(source: bytes | Path) -> tuple[int, dict[str, str]]:
    """Return the size and the three digests that PyPI knows of a file."""
    size, sha, legacy, blake2 = 0, sha256(), md5(usedforsecurity=False), blake2b(digest_size=32)
    for chunk in _chunks(source):
        size += len(chunk)
        sha.update(chunk)
        legacy.update(chunk)
        blake2.update(chunk)
    return size, {"sha256": sha.hexdigest(), "md5": legacy.hexdigest(), "blake2b_256": blake2.hexdigest()}


def _chunks(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk
