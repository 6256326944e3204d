"""Renders what the made-up index answers to GET: project pages, the legacy JSON, the root index; as PyPI does."""

import html
import json
from collections.abc import Iterable, Iterator

from benchmarks.dataset import File, Project

UPLOAD_TIME = "2026-01-01T00:00:00.123456Z"


def project_json(project: Project, url: str) -> bytes:
    """Return a project's page by PEP 691."""
    page = {
        "files": [_simple_file(file, url) for file in project.files],
        "meta": {"_last-serial": project.serial, "api-version": "1.4"},
        "name": project.name,
        "project-status": {"status": "active"},
        "versions": list(dict.fromkeys(file.version for file in project.files)),
    }
    return _compact(page)


def names_json(names: Iterable[str], last_serial: int | None) -> bytes:
    """Return a root index whose projects have no serials, and perhaps none of its own."""
    meta: dict[str, object] = {"api-version": "1.0"}
    if last_serial is not None:
        meta["_last-serial"] = last_serial
    return _compact({"meta": meta, "projects": [{"name": name} for name in names]})


def plain_json(project: Project, url: str) -> bytes:
    """Return a project's page by PEP 691 in its version 1.0, without serial."""
    files = [_simple_file(file, url) for file in project.files]
    for file in files:
        del file["size"], file["upload-time"], file["provenance"]
    return _compact({"files": files, "meta": {"api-version": "1.0"}, "name": project.name})


def _simple_file(file: File, url: str) -> dict[str, object]:
    metadata = {"sha256": file.metadata_sha256} if file.metadata_sha256 else False
    return {
        "core-metadata": metadata,
        "data-dist-info-metadata": metadata,
        "filename": file.filename,
        "hashes": {"sha256": file.sha256},
        "provenance": None,
        "requires-python": ">=3.8",
        "size": file.size,
        "upload-time": UPLOAD_TIME,
        "url": f"{url}/{file.path}",
        "yanked": False,
    }


def project_html(project: Project, url: str) -> bytes:
    """Return a project's page by PEP 503."""
    title = f"Links for {project.name}"
    links = "".join(_link(file, url) for file in project.files)
    head = f'<!DOCTYPE html>\n<html>\n  <head>\n    <meta name="pypi:repository-version" content="1.4">\n    <title>{title}'
    body = f"</title>\n  </head>\n  <body>\n    <h1>{title}</h1>\n{links}  </body>\n</html>\n<!--SERIAL {project.serial}-->"
    return (head + body).encode()


def _link(file: File, url: str) -> str:
    metadata = f' data-core-metadata="sha256={file.metadata_sha256}"' if file.metadata_sha256 else ""
    address = html.escape(f"{url}/{file.path}#sha256={file.sha256}")
    return f'<a href="{address}" data-requires-python="&gt;=3.8"{metadata} >{file.filename}</a><br />\n'


def legacy_json(project: Project, url: str) -> bytes:
    """Return what ``/pypi/<name>/json`` answers."""
    releases: dict[str, list[object]] = {}
    for file in project.files:
        releases.setdefault(file.version, []).append(_legacy_file(file, url))
    latest = project.files[-1].version
    info = {
        "name": project.display_name,
        "version": latest,
        "summary": "A project to measure with",
        "requires_python": ">=3.8",
        "yanked": False,
        "yanked_reason": None,
    }
    return _compact(
        {
            "info": info,
            "last_serial": project.serial,
            "ownership": {"organization": None, "roles": []},
            "releases": releases,
            "urls": releases[latest],
            "vulnerabilities": [],
        }
    )


def _legacy_file(file: File, url: str) -> dict[str, object]:
    is_wheel = file.filename.endswith(".whl")
    return {
        "comment_text": None,
        "core-metadata": {"sha256": file.metadata_sha256} if file.metadata_sha256 else False,
        "digests": {"blake2b_256": "".join(file.path.split("/")[1:4]), "sha256": file.sha256},
        "downloads": -1,
        "filename": file.filename,
        "has_sig": False,
        "packagetype": "bdist_wheel" if is_wheel else "sdist",
        "python_version": file.filename.split("-")[2] if is_wheel else "source",
        "requires_python": ">=3.8",
        "size": file.size,
        "upload_time": UPLOAD_TIME[:19],
        "upload_time_iso_8601": UPLOAD_TIME,
        "url": f"{url}/{file.path}",
        "yanked": False,
        "yanked_reason": None,
    }


def root_json(serials: Iterable[tuple[str, int]], last_serial: int) -> Iterator[bytes]:
    """Yield the pieces of the root index by PEP 691, of names and their serials."""
    yield b'{"meta":{"_last-serial":%d,"api-version":"1.4"},"projects":[' % last_serial
    comma = b""
    for name, serial in serials:
        yield b'%b{"_last-serial":%d,"name":%b}' % (comma, serial, json.dumps(name).encode())
        comma = b","
    yield b"]}\n"


def root_html(names: Iterable[str]) -> Iterator[bytes]:
    """Yield the pieces of the root index by PEP 503."""
    yield b"<!DOCTYPE html>\n<html>\n  <head>\n    <title>Simple index</title>\n  </head>\n  <body>\n"
    for name in names:
        yield f'    <a href="/simple/{name}/">{name}</a>\n'.encode()
    yield b"  </body>\n</html>\n"


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode() + b"\n"
