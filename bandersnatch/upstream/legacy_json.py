"""The legacy JSON of a project, ``/pypi/<name>/json``: fetched once for whoever needs it, and cut to what the mirror has."""

from collections.abc import Set

import msgspec
from msgspec import Struct
from packaging.utils import NormalizedName

from bandersnatch.errors import NotFoundError, StaleMetadataError
from bandersnatch.upstream.index import Upstream


class LegacyJson(Struct, frozen=True):
    """The document's bytes; None where upstream has none, as of a quarantined project or one without releases."""

    body: bytes | None


def fetch_legacy_json(upstream: Upstream, project: NormalizedName, required_serial: int) -> LegacyJson:
    """Fetch the document.

    Raises:
        StaleMetadataError: it is older than required.
        UpstreamError: it could not be fetched.
    """
    try:
        body, serial = upstream.project_json(project)
    except NotFoundError:
        return LegacyJson(None)
    if serial < required_serial:
        raise StaleMetadataError(project, required_serial, serial)
    return LegacyJson(body)


def without_files(document: LegacyJson, dropped: Set[str]) -> LegacyJson:
    """Return the document without the files of those names, and without the releases that had no others."""
    tree = msgspec.json.decode(document.body) if document.body is not None and dropped else None
    if not isinstance(tree, dict):
        return document
    releases = tree.get("releases")
    if isinstance(releases, dict):
        kept = {version: _kept(files, dropped) for version, files in releases.items()}
        tree["releases"] = {version: files for version, files in kept.items() if files or not releases[version]}
    tree["urls"] = _kept(tree.get("urls"), dropped)
    return LegacyJson(msgspec.json.encode(tree, order="sorted") + b"\n")


def _kept(files: object, dropped: Set[str]) -> list[object]:
    entries = files if isinstance(files, list) else []
    return [file for file in entries if not (isinstance(file, dict) and file.get("filename") in dropped)]
