"""The record ``upstream``: what was found out about an index that has no serials, so that it is found out only once.

The pages that are held then have serials of this mirror's own. Without the record these look like upstream's, so an index
without serials is refused unless ``upstream-kind`` says that it has none.
"""

import msgspec
from msgspec import Struct

from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import UPSTREAM

_MAX_BYTES = 1024 * 1024
MOST_UNLISTED = 500
"""More names are not kept, so that the record stays small; their index then is read in each run."""


class PagelessProject(Struct, frozen=True, array_like=True):
    """A listed project that has no page: when that was first seen, and when last, in seconds since 1970."""

    project: str
    since: int
    asked: int


class UpstreamRecord(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is known of the index at ``url``, whose pages are below ``simple_url``.

    It has no serials, unless it is a mirror made by shadowmire. ``etag`` and ``whole_serial`` are those of the root index
    with which the last complete run began, and ``unlisted`` the held projects that it lacks though their pages are there.
    ``forbids_missing``: it answers 403 for what it does not have. ``pageless`` are listed projects that have no page.
    """

    url: str
    simple_url: str
    has_root: bool = True
    is_shadowmire: bool = False
    forbids_missing: bool = False
    etag: str | None = None
    whole_serial: int | None = None
    unlisted: tuple[str, ...] = ()
    pageless: tuple[PagelessProject, ...] = ()


_decoder = msgspec.json.Decoder(UpstreamRecord)


def load_upstream(storage: FilesystemStorage, url: str) -> UpstreamRecord | None:
    """Return what is known of the index at this URL; None if it has serials, or nothing is known."""
    try:
        record = _decoder.decode(storage.read_record(UPSTREAM, _MAX_BYTES) or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # A record may have been edited: it must not send us to another server.
    if record.url != url or record.simple_url not in places_of(url):
        return None
    return msgspec.structs.replace(record, etag=entity_tag(record.etag))


def places_of(url: str) -> tuple[str, str]:
    """Return the URLs below which an index may have its pages: PyPI's place, and that URL itself, as PyTorch's."""
    return f"{url}/simple", url


def has_own_serials(storage: FilesystemStorage) -> bool:
    """Whether it was found out that the index has no serials, so that those of its pages are our own."""
    try:
        return not _decoder.decode(storage.read_record(UPSTREAM, _MAX_BYTES) or b"").is_shadowmire
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def save_upstream(storage: FilesystemStorage, record: UpstreamRecord) -> None:
    """Write the record, unless it is there already."""
    data = msgspec.json.encode(record) + b"\n"
    if storage.read_record(UPSTREAM, _MAX_BYTES) != data:
        storage.save(UPSTREAM, [data])
