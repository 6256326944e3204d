"""Makes distribution files: real wheels with METADATA and real sdists, the same bytes at every making with the same zlib."""

import base64
import gzip
import hashlib
import io
import random
import tarfile
import zipfile
from dataclasses import dataclass

ZIP_EPOCH = (2026, 1, 1, 0, 0, 0)
TAR_EPOCH = 1_767_225_600
OVERHEAD_BYTES = 1_024
"""About what an archive has beside its payload: METADATA, and the words of zip or tar."""
DESCRIPTION = "It is not of any use but to be copied from one folder to another.\n" * 14


@dataclass(frozen=True, slots=True)
class Archive:
    """The bytes of a distribution file, and a wheel's core metadata."""

    content: bytes
    core_metadata: bytes | None


def core_metadata(name: str, version: str) -> bytes:
    """Return the METADATA or PKG-INFO of a release; about one KB, as most are."""
    fields = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: A project to measure with\n"
    more = "License: MIT\nRequires-Python: >=3.8\nRequires-Dist: packaging>=23\n"
    return f"{fields}{more}\n{DESCRIPTION}".encode()


def payload(filename: str, size: int) -> bytes:
    """Return that many bytes that can't be compressed, always the same ones for a name."""
    return random.Random(filename).randbytes(max(0, size - OVERHEAD_BYTES))


def wheel(name: str, version: str, filename: str, size: int) -> Archive:
    """Make a wheel of about ``size`` bytes."""
    module, metadata = name.replace("-", "_"), core_metadata(name, version)
    info = f"{module}-{version}.dist-info"
    tag = filename.removesuffix(".whl").split("-", 2)[2]
    members = {
        f"{module}/__init__.py": b'"""A project to measure with."""\n',
        f"{module}/payload.bin": payload(filename, size),
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: benchmarks\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    members[f"{info}/RECORD"] = "".join(record(path, content) for path, content in members.items()).encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for path, content in members.items():
            # What chance made is not made smaller; deflating gigabytes of it would only take minutes.
            method = zipfile.ZIP_STORED if path.endswith(".bin") else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(path, ZIP_EPOCH), content, method)
    return Archive(written.getvalue(), metadata)


def record(path: str, content: bytes) -> str:
    """Return a line of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n"


def sdist(name: str, version: str, filename: str, size: int) -> Archive:
    """Make an sdist of about ``size`` bytes."""
    top = f"{name.replace('-', '_')}-{version}"
    members = {f"{top}/PKG-INFO": core_metadata(name, version), f"{top}/payload.bin": payload(filename, size)}
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in members.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(content), TAR_EPOCH
            archive.addfile(member, io.BytesIO(content))
    return Archive(gzip.compress(tar.getvalue(), compresslevel=1 if size < 1_000_000 else 0, mtime=0), None)
