"""Makes the values that unit tests begin with: files, pages, their JSON; and strategies that make them up."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from datetime import UTC
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.retry_policy import RetryPolicy
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.http.transfer import Transfer
from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.names import NormalizedName, canonicalize_name, filename_problem

SAMPLE = canonicalize_name("sample")
PAGE_URL = "https://index.example/simple/sample/"
FOLDER = f"aa/bb/{'c' * 60}"
WHEEL = "sample-1.0-py3-none-any.whl"
SHA256 = hashlib.sha256(b"content").hexdigest()

# No test is about the time that an example takes: a busy machine needs seconds for what takes milliseconds elsewhere.
settings.register_profile(
    "on any machine",
    max_examples=20 if os.environ.get("BANDERSNATCH_QUICK_TESTS") else 100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("on any machine")
unhurried = settings()
"""For property tests: what an example costs is no part of what is tested."""


def named(name: str) -> NormalizedName:
    """Return the normalized name."""
    return canonicalize_name(name)


def make_file(filename: str = WHEEL, **fields: Any) -> DistributionFile:
    """Return a file with the given fields, and plain ones for the others."""
    values: dict[str, Any] = {
        "filename": filename,
        "url": f"https://files.example/packages/{FOLDER}/{quote(filename)}",
        "hashes": {"sha256": SHA256},
        "size": len(b"content"),
        "requires_python": None,
        "upload_time": None,
        "yanked": False,
        "core_metadata_sha256": None,
        "provenance": None,
    }
    return DistributionFile(**values | fields)


def make_page(*files: DistributionFile, **fields: Any) -> ProjectPage:
    """Return a page of the project ``sample`` with the given files and fields."""
    values: dict[str, Any] = {
        "name": SAMPLE,
        "serial": 7,
        "status": "active",
        "status_reason": None,
        "versions": ("1.0",),
        "files": files,
    }
    return ProjectPage(**values | fields)


def wire_file(filename: str = WHEEL, **fields: object) -> dict[str, Any]:
    """Return a file as upstream's JSON has it; underscores in names of fields stand for dashes."""
    values: dict[str, Any] = {
        "filename": filename,
        "url": f"https://files.example/packages/{FOLDER}/{quote(filename)}",
        "hashes": {"sha256": SHA256},
        "size": 7,
        "requires-python": None,
        "upload-time": "2024-05-06T07:08:09.123456Z",
        "yanked": False,
        "core-metadata": False,
        "data-dist-info-metadata": False,
        "provenance": None,
    }
    return values | {name.replace("_", "-"): value for name, value in fields.items()}


def wire_page(*files: object, **fields: object) -> dict[str, Any]:
    """Return a page as upstream's JSON has it; underscores in names of fields stand for dashes."""
    values: dict[str, Any] = {
        "meta": {"_last-serial": 7, "api-version": "1.4"},
        "name": "sample",
        "project-status": {"status": "active"},
        "versions": ["1.0"],
        "files": list(files),
    }
    return values | {name.replace("_", "-"): value for name, value in fields.items()}


def encoded(value: object) -> bytes:
    """Return JSON."""
    return json.dumps(value).encode()


def no_wait(_seconds: float) -> bool:
    """Stand for the clock in a run that nobody stops."""
    return False


def make_conversation(attempts: int = 1, wait: Callable[[float], bool] = no_wait, **fields: Any) -> Conversation:
    """Return conversations that neither waits before it tries again, nor insists on https://."""
    values: dict[str, Any] = {"upstream_url": "", "timeout_seconds": 5.0, "allow_non_https": True}
    policy = RetryPolicy(attempts=attempts, backoff_seconds=0, longest_retry_after_seconds=0)
    return Conversation(HttpConfig(**values | fields), RunLimits(policy), wait)


def make_transfer(attempts: int = 1, **fields: Any) -> Transfer:
    """Return an engine that neither waits before it tries again, nor insists on https://."""
    values: dict[str, Any] = {"upstream_url": "", "timeout_seconds": 5.0, "allow_non_https": True}
    policy = RetryPolicy(attempts=attempts, backoff_seconds=0, longest_retry_after_seconds=0)
    return Transfer(HttpConfig(**values | fields), RunLimits(policy))


def make_wheel(
    metadata: bytes | None = b"Name: sample\n", compression: int = zipfile.ZIP_DEFLATED, name: str = "sample-1.0"
) -> bytes:
    """Return the bytes of a wheel, with METADATA or without."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr(zipfile.ZipInfo("sample/__init__.py"), b"", compression)
        if metadata is not None:
            archive.writestr(zipfile.ZipInfo(f"{name}.dist-info/METADATA"), metadata, compression)
    return stream.getvalue()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
sha256s = st.binary(max_size=4).map(lambda data: hashlib.sha256(data).hexdigest())
filenames = (
    st.text(st.characters(codec="utf-8", exclude_characters="/\\"), min_size=1, max_size=40)
    .map(lambda tail: f"sample-{tail}")
    .filter(lambda name: filename_problem(name) is None)
)
upload_times = st.datetimes(timezones=st.just(UTC)).map(lambda time: f"{time:%Y}".zfill(4) + f"{time:-%m-%dT%H:%M:%SZ}")
serials = st.integers(0, 2**31 - 1)


locations = st.sampled_from(
    ['https://b.example/simple/sample/?a=<b>&c="', "https://c.example/s%20/", "http://d.example/ü/"]
)
"""URLs of the same project at other indexes (PEP 708)."""


@st.composite
def distribution_files(draw: st.DrawFn, names: st.SearchStrategy[str] = filenames) -> DistributionFile:
    """Make up a file, of any name, with any text in its fields."""
    filename = draw(names)
    folder = "/".join(draw(st.lists(st.sampled_from(["aa", "b b", "ü", "source", "100%"]), min_size=1, max_size=3)))
    return make_file(
        filename,
        url=f"https://files.example/packages/{quote(folder)}/{quote(filename)}",
        hashes={"sha256": draw(sha256s), "md5": draw(sha256s)[:32]},
        size=draw(st.integers(0, 2**40)),
        requires_python=draw(st.none() | st.text()),
        upload_time=draw(st.none() | upload_times),
        yanked=draw(st.booleans() | st.text(min_size=1)),
        core_metadata_sha256=draw(st.none() | sha256s),
        provenance=draw(st.none() | st.text()),
    )


@st.composite
def project_pages(draw: st.DrawFn) -> ProjectPage:
    """Make up a page of the project ``sample``, with any text in its fields."""
    files = draw(st.lists(distribution_files(), max_size=4, unique_by=lambda file: file.filename))
    return make_page(
        *files,
        serial=draw(st.none() | serials),
        status=draw(st.sampled_from(["active", "archived", "quarantined", "deprecated"])),
        status_reason=draw(st.none() | st.text()),
        versions=tuple(draw(st.lists(st.text(), max_size=3))),
        tracks=tuple(draw(st.lists(locations, max_size=2))),
        alternate_locations=tuple(draw(st.lists(locations, max_size=2))),
    )
