"""Renders project pages and the root index, in HTML and JSON, to bytes.

They repeat upstream's pages field by field, except that file URLs are ours and what we do not keep is not advertised:
PEP 503, 592 (yanks), 629 (version), 658 and 714 (core metadata), 691 (JSON), 700 (versions, sizes, times), 708
(the same project at other indexes), 740 (provenance) and 792 (project status). Everything from upstream is escaped.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from itertools import islice

import msgspec
from msgspec.structs import replace

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.model import DistributionFile, ProjectPage, strongest
from bandersnatch.pages.forms import IndexedProject, page_names
from bandersnatch.storage.layout import HTML_PAGES, JSON_PAGE, file_path, link_below, link_from_page
from bandersnatch.wire import DIGEST_CHARACTERS

API_VERSION = "1.4"
_LEAST_VERSION = "1.0"
"""That of a JSON page that lacks what PEP 700 demands; what it has of later versions is in it all the same."""
CHARSET = '    <meta charset="utf-8">\n'
_PROJECTS_AT_A_TIME = 5_000

_encoder = msgspec.json.Encoder(order="sorted")


def published_page(page: ProjectPage, config: PagesConfig, digests: Mapping[str, str]) -> ProjectPage:
    """Return the page as this mirror publishes it: with its own URLs, and only what it keeps.

    ``digests`` has the configured digest by file name, for files where upstream does not give it.
    """
    url_of = _url_maker(config)
    return replace(page, files=tuple(_published_file(file, url_of(file), config, digests) for file in page.files))


def render_project(page: ProjectPage, config: PagesConfig) -> dict[str, bytes]:
    """Return the bytes of a project's pages, by page name."""
    names = page_names(config)
    pages = dict.fromkeys((name for name in names if name in HTML_PAGES), b"")
    if pages:
        # Both HTML pages are the same bytes under two content types.
        pages = dict.fromkeys(pages, render_project_html(page, config.digest_name))
    if JSON_PAGE in names:
        pages[JSON_PAGE] = render_project_json(page)
    return pages


def render_project_json(page: ProjectPage) -> bytes:
    """Return a project's PEP 691 page."""
    # An index that does not tell the versions lists files of none: that is not known, and no list.
    has_versions = bool(page.versions) or not page.files
    # PEP 700: versions and sizes are mandatory from 1.1 on.
    is_complete = has_versions and all(file.size is not None for file in page.files)
    meta: dict[str, object] = {"api-version": API_VERSION if is_complete else _LEAST_VERSION}
    if page.serial is not None:
        meta["_last-serial"] = page.serial
    if page.tracks:
        meta["tracks"] = page.tracks
    status = {"status": page.status}
    if page.status_reason is not None:
        status["reason"] = page.status_reason
    document: dict[str, object] = {
        "meta": meta,
        "name": page.name,
        "project-status": status,
        "files": [_file_json(file) for file in page.files],
    }
    if page.alternate_locations:
        document["alternate-locations"] = page.alternate_locations
    if has_versions:
        document["versions"] = page.versions
    return _encoder.encode(document) + b"\n"


def render_project_html(page: ProjectPage, digest_name: str) -> bytes:
    """Return a project's PEP 503 page, whose links carry the digest of that name."""
    reason = ""
    if page.status_reason is not None:
        reason = f'    <meta name="pypi:project-status-reason" content="{escape(page.status_reason)}">\n'
    lines = [
        "<!DOCTYPE html>\n"
        '<html lang="en">\n'
        "  <head>\n"
        f"{CHARSET}"
        f'    <meta name="pypi:repository-version" content="{API_VERSION}">\n'
        f'    <meta name="pypi:project-status" content="{escape(page.status)}">\n'
        f"{reason}"
        f"{_locations(page)}"
        f"    <title>Links for {page.name}</title>\n"
        "  </head>\n"
        "  <body>\n"
        f"    <h1>Links for {page.name}</h1>\n"
    ]
    lines += [f"<a {_link_attributes(file, digest_name)}>{escape(file.filename)}</a><br />\n" for file in page.files]
    lines.append("</body>\n</html>\n")
    if page.serial is not None:
        lines.append(f"<!--SERIAL {page.serial}-->")
    # backslashreplace: a lone surrogate, which JSON allows and UTF-8 does not, must not fail the whole page.
    return "".join(lines).encode("utf-8", "backslashreplace")


def _locations(page: ProjectPage) -> str:
    """Return a tag for each URL of the same project at another index (PEP 708)."""
    told = [("tracks", url) for url in page.tracks] + [("alternate-locations", url) for url in page.alternate_locations]
    return "".join(f'    <meta name="pypi:{name}" content="{escape(url)}">\n' for name, url in told)


def as_written_before(page: bytes) -> bytes:
    """Return an HTML page as older code wrote it, without its character set; such a page need not be rewritten."""
    return page.replace(CHARSET.encode(), b"", 1)


def is_as_we_write(page: bytes) -> bool:
    """Whether a page or root index begins as ours do, and as those of no other mirror program do."""
    return page.startswith((b'<!DOCTYPE html>\n<html lang="en">\n  <head>\n', b'{"meta":{', b'{"files":['))


def render_root_json(projects: Iterable[IndexedProject], serial: int) -> Iterator[bytes]:
    """Yield the PEP 691 root index in pieces; for all of PyPI it has tens of megabytes."""
    yield b'{"meta":' + _encoder.encode({"_last-serial": serial, "api-version": API_VERSION}) + b',"projects":['
    separator = b""
    for some in _batches(projects):
        entries = [_IndexEntry(serial, display_name) for _, display_name, serial in some]
        # Without the brackets, since the list goes on in the next batch.
        yield separator + _encoder.encode(entries)[1:-1]
        separator = b","
    yield b"]}\n"


def render_root_html(projects: Iterable[IndexedProject]) -> Iterator[bytes]:
    """Yield the PEP 503 root index in pieces."""
    yield (
        b'<!DOCTYPE html>\n<html lang="en">\n  <head>\n'
        + CHARSET.encode()
        + b'    <meta name="pypi:repository-version" content="'
        + API_VERSION.encode()
        + b'">\n'
        b"    <title>Simple index</title>\n  </head>\n  <body>\n"
    )
    for some in _batches(projects):
        yield "".join(f'    <a href="{name}/">{escape(display_name)}</a>\n' for name, display_name, _ in some).encode()
    yield b"  </body>\n</html>\n"


def render_local_json(projects: Iterable[IndexedProject]) -> Iterator[bytes]:
    """Yield the serials of all projects, by normalized name, in pieces: shadowmire's ``local.json``, as it writes it.

    Its own has no newline at the end.
    """
    yield b"{\n"
    separator = ""
    for some in _batches(projects):
        yield (separator + ",\n".join(f'  "{name}": {serial}' for name, _, serial in some)).encode()
        separator = ",\n"
    yield b"\n}\n"


class _IndexEntry(msgspec.Struct):
    serial: int = msgspec.field(name="_last-serial")
    name: str


def _batches(projects: Iterable[IndexedProject]) -> Iterator[list[IndexedProject]]:
    """Yield the projects a few thousand at a time, to encode and write them together."""
    remaining = iter(projects)
    while some := list(islice(remaining, _PROJECTS_AT_A_TIME)):
        yield some


def _url_maker(config: PagesConfig) -> Callable[[DistributionFile], str]:
    """Return a function that makes a file's URL; without our own files and ``root_uri`` it is upstream's URL."""

    def relative(file: DistributionFile) -> str:
        return link_from_page(file_path(file))

    def below_root_uri(file: DistributionFile) -> str:
        return link_below(config.root_uri, file_path(file))

    def upstream(file: DistributionFile) -> str:
        return file.url

    if config.root_uri:
        return below_root_uri
    return relative if config.release_files else upstream


def _published_file(
    file: DistributionFile, url: str, config: PagesConfig, digests: Mapping[str, str]
) -> DistributionFile:
    hashes = _published_hashes(file)
    if config.digest_name != "sha256" and config.digest_name not in hashes:
        hashes[config.digest_name] = file.hashes.get(config.digest_name) or digests[file.filename]
    metadata = file.core_metadata_sha256 if config.core_metadata else None
    return replace(file, url=url, hashes=hashes, core_metadata_sha256=metadata)


def _published_hashes(file: DistributionFile) -> dict[str, str]:
    """Return the SHA-256; where that is our own, with what upstream tells, by which we know the file again."""
    if "sha256" in file.hashes:
        return {"sha256": file.hashes["sha256"]}
    told = {name: digest for name, digest in file.hashes.items() if name in DIGEST_CHARACTERS}
    return told if file.sha256 is None else {**told, "sha256": file.sha256}


def _file_json(file: DistributionFile) -> dict[str, object]:
    metadata = False if file.core_metadata_sha256 is None else {"sha256": file.core_metadata_sha256}
    document: dict[str, object] = {
        "filename": file.filename,
        "url": file.url,
        "hashes": file.hashes,
        "requires-python": file.requires_python,
        "yanked": file.yanked,
        "core-metadata": metadata,
        "data-dist-info-metadata": metadata,  # PEP 714: older clients know this name
        "provenance": file.provenance,
    }
    if file.size is not None:
        document["size"] = file.size
    if file.upload_time is not None:
        document["upload-time"] = file.upload_time
    return document


def _link_attributes(file: DistributionFile, digest_name: str) -> str:
    # Only pages with links to upstream's files may lack that digest.
    digest = file.hashes.get(digest_name)
    if digest is None and (told := strongest(file.hashes)) is not None:
        digest_name, digest = told.algorithm, told.digest
    fragment = f"#{digest_name}={escape(digest)}" if digest is not None else ""
    attributes = [f'href="{escape(file.url)}{fragment}"']
    if file.requires_python is not None:
        attributes.append(f'data-requires-python="{escape(file.requires_python)}"')
    if file.yanked is not False:
        attributes.append(f'data-yanked="{"" if file.yanked is True else escape(file.yanked)}"')
    if file.core_metadata_sha256 is not None:
        attributes.append(f'data-dist-info-metadata="sha256={file.core_metadata_sha256}"')
        attributes.append(f'data-core-metadata="sha256={file.core_metadata_sha256}"')
    if file.provenance is not None:
        attributes.append(f'data-provenance="{escape(file.provenance)}"')
    return " ".join(attributes)
