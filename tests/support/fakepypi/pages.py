"""The simple pages: from the model to the JSON value, from that to bytes.

The HTML is made from the JSON value, line by line as PyPI's templates print it.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from packaging.utils import canonicalize_name

from .model import Listing, Project, Release, UploadedFile

API_VERSION = "1.4"
HTML_HEAD = f"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta name="pypi:repository-version" content="{API_VERSION}">
"""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the index tells of projects, and how; as PyPI does, unless it is told otherwise."""

    is_html_only: bool = False
    """Whether project pages are HTML, whatever is asked for."""
    api_version: str | None = API_VERSION
    """Of JSON pages; before 1.1 there are no versions, sizes and times, and without one there is no version to tell."""
    serials_are_text: bool = False
    hashes: tuple[str, ...] = ("sha256",)
    """The digests of files; HTML tells the first of them."""

    @property
    def tells_details(self) -> bool:
        """Whether pages tell versions, sizes and times (PEP 700)."""
        return not self.is_html_only and self.api_version == API_VERSION

    def told_digests(self, file: UploadedFile) -> dict[str, str]:
        """Return the digests that the index tells of a file."""
        return digests(file, self.hashes[:1] if self.is_html_only else self.hashes)

    def told(self, page: dict[str, Any]) -> dict[str, Any]:
        """Return what a JSON page of this index says, of all that PyPI's would say."""
        if self.api_version is None:
            del page["meta"]["api-version"]
        else:
            page["meta"]["api-version"] = self.api_version
        if self.serials_are_text:
            page["meta"]["_last-serial"] = str(page["meta"]["_last-serial"])
        if self.api_version != API_VERSION:
            del page["versions"], page["project-status"]
            for file in page["files"]:
                del file["size"], file["upload-time"], file["provenance"]
        return page


def project_page(project: Project, base_url: str, hashes: tuple[str, ...] = ("sha256",)) -> dict[str, Any]:
    """Return the PEP 691 value of `/simple/<name>/`, with those digests of files."""
    releases = project.visible_releases()
    files = [(release, file) for release in releases for file in release.sorted_files()]
    return {
        "meta": {"_last-serial": project.last_serial, "api-version": API_VERSION},
        "name": project.normalized_name,
        "project-status": {"status": project.status},
        "versions": [release.version for release in releases if release.files],
        "files": [_file_entry(project, release, file, base_url, hashes) for release, file in files],
    }


def root_index(listing: Listing) -> dict[str, Any]:
    """Return the PEP 691 value of `/simple/`, which leaves quarantined projects out."""
    return {
        "meta": {"_last-serial": listing.serial, "api-version": API_VERSION},
        "projects": [
            {"_last-serial": project.last_serial, "name": project.name}
            for project in listing.projects
            if not project.is_quarantined
        ],
    }


def render_json(value: object) -> bytes:
    """Return JSON as PyPI writes it: sorted, compact, UTF-8, one line."""
    return (json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def render_project_html(page: dict[str, Any]) -> bytes:
    title = f"Links for {escape(page['name'])}"
    status = escape(page["project-status"]["status"])
    lines = [
        f'{HTML_HEAD}<meta name="pypi:project-status" content="{status}">    <title>{title}</title>',
        "  </head>",
        "  <body>",
        f"    <h1>{title}</h1>",
        *(_file_link(file) for file in page["files"]),
        "</body>",
        "</html>",
        f"<!--SERIAL {page['meta']['_last-serial']}-->",
    ]
    return "\n".join(lines).encode()


def render_root_html(index: dict[str, Any]) -> bytes:
    names = [project["name"] for project in index["projects"]]
    lines = [
        f"{HTML_HEAD}    <title>Simple index</title>",
        "  </head>",
        "  <body>",
        *(f'<a href="/simple/{canonicalize_name(name)}/">{escape(name)}</a>' for name in names),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines).encode()


def iso_time(moment: datetime) -> str:
    """Return a time as PyPI prints it: no microseconds where there are none."""
    return moment.replace(tzinfo=None).isoformat() + "Z"


def escape(text: str) -> str:
    """Escape text as the server's templates do."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ('"', "&#34;")):
        text = text.replace(character, entity)
    return text


def core_metadata_mark(file: UploadedFile) -> dict[str, str] | bool:
    """Return what both names of the core-metadata key say of a file."""
    return False if file.metadata_sha256 is None else {"sha256": file.metadata_sha256}


def digests(file: UploadedFile, algorithms: tuple[str, ...]) -> dict[str, str]:
    """Return digests of a file by algorithm."""
    if algorithms == ("sha256",):
        return {"sha256": file.sha256}
    return {name: hashlib.new(name, file.content, usedforsecurity=False).hexdigest() for name in algorithms}


def _file_entry(
    project: Project, release: Release, file: UploadedFile, base_url: str, hashes: tuple[str, ...]
) -> dict[str, Any]:
    provenance = f"{base_url}/integrity/{project.normalized_name}/{release.version}/{file.filename}/provenance"
    return {
        "filename": file.filename,
        "url": base_url + file.url_path,
        "hashes": digests(file, hashes),
        "requires-python": release.requires_python,
        "size": file.size,
        "upload-time": iso_time(file.upload_time),
        "yanked": release.is_yanked and (release.yanked_reason or True),
        "core-metadata": core_metadata_mark(file),
        "data-dist-info-metadata": core_metadata_mark(file),
        "provenance": provenance if file.filename in release.with_provenance else None,
    }


def _file_link(file: dict[str, Any]) -> str:
    attributes = ""
    if file["requires-python"]:
        attributes += f'data-requires-python="{escape(file["requires-python"])}" '
    if file["yanked"]:
        reason = "" if file["yanked"] is True else file["yanked"]
        attributes += f'data-yanked="{escape(reason)}" '
    if file["core-metadata"]:
        digest = escape(f"sha256={file['core-metadata']['sha256']}")
        attributes += f'data-dist-info-metadata="{digest}" data-core-metadata="{digest}"'
    if file["provenance"]:
        attributes += f' data-provenance="{escape(file["provenance"])}"'
    fragment = "".join(f"#{name}={digest}" for name, digest in list(file["hashes"].items())[:1])
    href = escape(f"{file['url']}{fragment}")
    return f'<a href="{href}" {attributes}>{escape(file["filename"])}</a><br />'
