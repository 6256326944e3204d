"""Makes tiny real wheels and sdists, and reads the metadata out of real ones.

The same arguments give the same bytes, so digests and paths are stable.
"""

import base64
import gzip
import io
import random
import tarfile
import zipfile
from email.message import Message
from email.parser import BytesParser
from hashlib import sha256
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

ZIP_TIME = (1980, 1, 1, 0, 0, 0)
PYPROJECT = b"""[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
"""


def file_stem(name: str, version: str) -> str:
    """Return the `name-version` that file names begin with."""
    return f"{canonicalize_name(name).replace('-', '_')}-{version.replace('-', '_')}"


def wheel_tag(python_tag: str, platform_tag: str) -> str:
    """Return the compatibility tag of a wheel; CPython wheels bind to their own ABI."""
    abi_tag = python_tag if python_tag.startswith("cp") else "none"
    return f"{python_tag}-{abi_tag}-{platform_tag}"


def core_metadata(name: str, version: str, requires_python: str | None, summary: str | None = None) -> bytes:
    """Return the text of a METADATA or PKG-INFO file."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", f"Summary: {summary or f'test {name}'}"]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    return ("\n".join(lines) + "\n\nhello\n").encode()


def build_wheel(stem: str, tag: str, metadata: bytes, size: int | None = None) -> bytes:
    """Return an installable wheel, padded to about `size` bytes."""
    module = stem.partition("-")[0]
    wheel = f"Wheel-Version: 1.0\nGenerator: fakepypi\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    members = {
        f"{module}/__init__.py": f'"""Module of {stem}."""\n'.encode(),
        f"{stem}.dist-info/METADATA": metadata,
        f"{stem}.dist-info/WHEEL": wheel,
    }
    record = f"{stem}.dist-info/RECORD"
    whole = _zip_with_record(members, record)
    if size is not None and size > len(whole):
        members[f"{module}/padding.bin"] = _padding(stem, size - len(whole))
        whole = _zip_with_record(members, record)
    return whole


def build_sdist(stem: str, metadata: bytes, size: int | None = None) -> bytes:
    """Return a source archive with its PKG-INFO, padded to about `size` bytes."""
    members = {f"{stem}/PKG-INFO": metadata, f"{stem}/pyproject.toml": PYPROJECT}
    whole = _tar_gz(members)
    if size is not None and size > len(whole):
        members[f"{stem}/padding.bin"] = _padding(stem, size - len(whole))
        whole = _tar_gz(members)
    return whole


def read_metadata(file: Path | bytes, filename: str) -> bytes:
    """Return the METADATA of a wheel or the PKG-INFO of a sdist.

    Raises ValueError where there is none.
    """
    stream = io.BytesIO(file) if isinstance(file, bytes) else file.open("rb")
    with stream:
        if filename.endswith((".whl", ".zip")):
            return _metadata_in_zip(zipfile.ZipFile(stream), filename)
        return _metadata_in_tar(tarfile.open(fileobj=stream), filename)


def parse_metadata(metadata: bytes) -> Message:
    """Return the header fields of a METADATA file."""
    return BytesParser().parsebytes(metadata, headersonly=True)


def _metadata_in_zip(archive: zipfile.ZipFile, filename: str) -> bytes:
    for member in archive.namelist():
        path = PurePosixPath(member)
        is_wheel_metadata = path.name == "METADATA" and path.parent.name.endswith(".dist-info")
        if len(path.parts) == 2 and (is_wheel_metadata or path.name == "PKG-INFO"):
            return archive.read(member)
    raise ValueError(f"{filename}: no metadata inside")


def _metadata_in_tar(archive: tarfile.TarFile, filename: str) -> bytes:
    for member in archive:
        path = PurePosixPath(member.name)
        if len(path.parts) == 2 and path.name == "PKG-INFO":
            found = archive.extractfile(member)
            if found is not None:
                return found.read()
    raise ValueError(f"{filename}: no metadata inside")


def _zip_with_record(members: dict[str, bytes], record_path: str) -> bytes:
    rows = [f"{path},sha256={_urlsafe_sha256(data)},{len(data)}" for path, data in members.items()]
    record = "".join(f"{row}\n" for row in [*rows, f"{record_path},,"]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in [*members.items(), (record_path, record)]:
            archive.writestr(zipfile.ZipInfo(path, ZIP_TIME), data)
    return buffer.getvalue()


def _tar_gz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0, compresslevel=1) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for path, data in members.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _padding(seed: str, length: int) -> bytes:
    return random.Random(seed).randbytes(length)


def _urlsafe_sha256(data: bytes) -> str:
    return base64.urlsafe_b64encode(sha256(data).digest()).rstrip(b"=").decode()
