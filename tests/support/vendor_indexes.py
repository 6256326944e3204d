"""Indexes as companies have them, in the forms that are known of Artifactory, Nexus, GitLab, PyTorch and shadowmire.

Their software is no Python package, so what it sends is modelled here: the place of the index, how it links to projects
and files, and what it leaves out.
"""

import json
from collections.abc import Iterator
from hashlib import md5, sha256
from urllib.parse import quote, unquote

from tests.support.static_index import HTML, JSON, Answer, File, Form, StaticIndex

BINARY, XML = "application/octet-stream", "application/xml"


class VendorIndex(StaticIndex):
    """An index in HTML below ``prefix``; a subclass says where things are, and how its pages look."""

    prefix = ""
    """What the operator writes behind the host: all that is before ``simple/``, or the index itself."""
    simple = "/simple"

    def __init__(self) -> None:
        super().__init__(Form(root=HTML, pages=HTML))

    @property
    def master(self) -> str:
        return f"{self.url}{self.prefix}"

    def answer(self, path: str) -> Answer:
        """Return the answer to a request."""
        if self.is_down:
            return Answer(503)
        return self.in_place_of.get(path) or dict(self.answers()).get(unquote(path)) or Answer(404)

    def answers(self) -> Iterator[tuple[str, Answer]]:
        """Yield everything that can be had, with its decoded path."""
        index = f"{self.prefix}{self.simple}"
        yield f"{index}/", self.page("Simple Index", [self.project_link(name) for name in self.projects])
        for name, files in self.projects.items():
            links = [self.file_link(name, filename, file.content) for filename, file in files.items()]
            yield f"{index}/{name}/", self.page(f"Links for {name}", links)
            for filename, file in files.items():
                path = unquote(self.file_path(name, filename, file.content))
                yield path, Answer(200, file.content, BINARY)

    def page(self, title: str, links: list[str]) -> Answer:
        """Return a page of links."""
        head = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1>\n"
        body = "".join(f"{link}\n" for link in links)
        return Answer(200, f"{head}{body}</body></html>\n".encode(), HTML)

    def project_link(self, name: str) -> str:
        """Return the link of the root index to a project."""
        return f'<a href="{name}/">{name}</a><br/>'

    def file_path(self, name: str, filename: str, content: bytes) -> str:
        """Return the quoted path of a file."""
        raise NotImplementedError

    def file_link(self, name: str, filename: str, content: bytes) -> str:
        """Return the link of a project's page to a file."""
        raise NotImplementedError


class Artifactory(VendorIndex):
    """Links to projects without a slash at their end, and to files from the page's folder, with a ``rel``."""

    prefix = "/artifactory/api/pypi/pypi-local"

    def project_link(self, name: str) -> str:
        return f'<a href="{name}">{name}</a><br/>'

    def file_path(self, name: str, filename: str, content: bytes) -> str:
        digest = sha256(content).hexdigest()
        return f"{self.prefix}/packages/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{quote(filename)}"

    def file_link(self, name: str, filename: str, content: bytes) -> str:
        href = self.file_path(name, filename, content).replace(self.prefix, "../..")
        digest = sha256(content).hexdigest()
        return f'<a data-requires-python="&gt;=3.8" href="{href}#sha256={digest}" rel="internal">{filename}</a><br/>'


class Nexus(VendorIndex):
    """A folder for each version, and of older uploads MD5 alone."""

    prefix = "/repository/pypi-hosted"

    def file_path(self, name: str, filename: str, content: bytes) -> str:
        return (
            f"{self.prefix}/packages/{name}/{quote(filename.split('-')[1].removesuffix('.tar.gz'))}/{quote(filename)}"
        )

    def file_link(self, name: str, filename: str, content: bytes) -> str:
        href = self.file_path(name, filename, content).replace(self.prefix, "../..")
        return f'<a href="{href}#{self.fragment(content)}" rel="internal" data-gpg-sig="false">{filename}</a><br/>'

    def fragment(self, content: bytes) -> str:
        """Return what a link tells of the content."""
        return f"sha256={sha256(content).hexdigest()}"


class OldNexus(Nexus):
    """Nexus, with packages of the time before it had SHA-256."""

    def fragment(self, content: bytes) -> str:
        return f"md5={md5(content, usedforsecurity=False).hexdigest()}"


class GitLab(VendorIndex):
    """The registry of a project: absolute links without a slash, and an empty ``data-requires-python`` at each."""

    prefix = "/api/v4/projects/7/packages/pypi"

    def page(self, title: str, links: list[str]) -> Answer:
        return super().page(title.replace("Simple Index", "Links for team/project"), links)

    def project_link(self, name: str) -> str:
        return f'<a href="{self.master}/simple/{name}" data-requires-python="">{name}</a><br>'

    def file_path(self, name: str, filename: str, content: bytes) -> str:
        return f"{self.prefix}/files/{sha256(content).hexdigest()}/{quote(filename)}"

    def file_link(self, name: str, filename: str, content: bytes) -> str:
        href = f"{self.url}{self.file_path(name, filename, content)}#sha256={sha256(content).hexdigest()}"
        return f'<a href="{href}" data-requires-python="">{filename}</a><br>'


class PyTorch(VendorIndex):
    """``/whl/cu126``: no ``simple/``, pages without a title, files at another host with ``%2B`` in their names.

    It is a bucket of S3, which answers 403 for what is not there.
    """

    prefix = "/whl/cu126"
    simple = ""

    def answer(self, path: str) -> Answer:
        answer = super().answer(path)
        return answer if answer.status != 404 else Answer(403, b"<Error><Code>AccessDenied</Code></Error>", XML)

    def page(self, title: str, links: list[str]) -> Answer:
        body = "".join(f"    {link}\n" for link in links)
        page = f"<!DOCTYPE html>\n<html>\n  <body>\n{body}  </body>\n</html>\n<!--TIMESTAMP 1760000000-->\n"
        return Answer(200, page.encode(), HTML)

    def file_path(self, name: str, filename: str, content: bytes) -> str:
        return f"{self.prefix}/{quote(filename)}"

    def file_link(self, name: str, filename: str, content: bytes) -> str:
        href = f"{self.files_url}{self.file_path(name, filename, content)}#sha256={sha256(content).hexdigest()}"
        return f'<a href="{href}" data-requires-python="&gt;=3.9">{filename}</a><br/>'


class Shadowmire(VendorIndex):
    """A tree of shadowmire behind a web server that negotiates: JSON 1.1, a serial of the whole, empty texts for nothing."""

    def answers(self) -> Iterator[tuple[str, Answer]]:
        yield "/local.json", Answer(200, json.dumps(self.serials, indent=2).encode(), "application/json")
        yield "/local.db.serial", Answer(200, str(self.serial).encode(), BINARY)
        projects = [{"name": name} for name in sorted(self.projects)]
        meta = {"api-version": "1.1", "_last-serial": self.serial}
        yield "/simple/", Answer(200, json.dumps({"meta": meta, "projects": projects}).encode(), JSON)
        for name, files in self.projects.items():
            page = {
                "files": [self._file(name, filename, file) for filename, file in files.items()],
                "meta": {"api-version": "1.1", "_last-serial": str(self.serials[name])},
                "name": name.title(),
                "versions": [],
            }
            yield f"/simple/{name}/", Answer(200, json.dumps(page).encode(), JSON)
            for filename, file in files.items():
                yield unquote(self.file_path(name, filename, file.content)), Answer(200, file.content, BINARY)

    def file_path(self, name: str, filename: str, content: bytes) -> str:
        digest = sha256(content).hexdigest()
        return f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{quote(filename)}"

    def _file(self, name: str, filename: str, file: File) -> dict[str, object]:
        return {
            "core-metadata": False,
            "data-dist-info-metadata": False,
            "filename": filename,
            "hashes": {"sha256": sha256(file.content).hexdigest()},
            "requires-python": "",
            "size": len(file.content),
            "upload-time": "",
            "url": f"../..{self.file_path(name, filename, file.content)}",
            "yanked": file.is_yanked,
        }
