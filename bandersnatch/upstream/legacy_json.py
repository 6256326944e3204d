"""A project's legacy JSON, ``/pypi/<name>/json``: fetched once for all who need it, and reduced to what the mirror has."""

from collections.abc import Set

import msgspec
from msgspec import Struct

from bandersnatch.errors import NotFoundError, StaleMetadataError
from bandersnatch.http.request import Steps
from bandersnatch.names import NormalizedName
from bandersnatch.upstream.documents import Documents


class LegacyJson(Struct, frozen=True):
    """The document's bytes; None if upstream has none, as for a quarantined project or one without releases."""

    body: bytes | None


def fetch_legacy_json(documents: Documents, project: NormalizedName, required_serial: int) -> Steps[LegacyJson]:
    """Fetch the document.

    Raises:
        StaleMetadataError: it is older than required.
        UpstreamError: it could not be fetched.
    """
    try:
        body, serial = yield from documents.legacy_json(project)
    except NotFoundError:
        return LegacyJson(None)
    if serial < required_serial:
        raise StaleMetadataError(project, required_serial, serial)
    return LegacyJson(body)


def without_files(document: LegacyJson, dropped: Set[str]) -> LegacyJson:
    """Return the document without the named files, and without the releases that then have no files left."""
    tree = msgspec.json.decode(document.body) if document.body is not None and dropped else None
    if not isinstance(tree, dict):
        return document
    releases = tree.get("releases")
    if isinstance(releases, dict):
        kept = {version: _kept(files, dropped) for version, files in releases.items()}
        # A release that never had files stays.
        tree["releases"] = {version: files for version, files in kept.items() if files or not releases[version]}
    tree["urls"] = _kept(tree.get("urls"), dropped)
    # Sorted, so that unchanged content gives unchanged bytes, and the files are not rewritten.
    return LegacyJson(msgspec.json.encode(tree, order="sorted") + b"\n")


def _kept(files: object, dropped: Set[str]) -> list[object]:
    entries = files if isinstance(files, list) else []
    return [file for file in entries if not (isinstance(file, dict) and file.get("filename") in dropped)]
