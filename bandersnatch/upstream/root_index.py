"""Upstream's root index, as it was sent: JSON or HTML, with a serial for each project or without."""

from functools import partial

import msgspec
from msgspec import Struct

from bandersnatch.errors import MalformedResponseError
from bandersnatch.http.document import Answer
from bandersnatch.http.entity_tags import entity_tag
from bandersnatch.http.request import NOT_MODIFIED
from bandersnatch.json_documents import parse_root_index, parse_serial_of_index
from bandersnatch.memory import require_memory_to_read
from bandersnatch.model import ListedProject, parse_serial
from bandersnatch.names import NormalizedName, parse_project_name
from bandersnatch.upstream.documents import begins_like_html, read_json


class RootIndex(Struct, frozen=True):
    """What a root index says.

    ``serial`` is None if its projects have none; then ``whole_serial`` is the one that it may tell of itself alone, which
    says whether anything at all has changed. If the index is the one that was asked about, ``is_unchanged``, and it has
    no projects.
    """

    url: str
    serial: int | None
    projects: dict[NormalizedName, ListedProject]
    whole_serial: int | None = None
    etag: str | None = None
    is_unchanged: bool = False
    form: str = "JSON"
    is_there: bool = True
    """Whether there is an index at all; if not, the projects are those that somebody else names."""


def form_of(answer: Answer) -> str:
    """Return the form of an answer: JSON or HTML."""
    return "HTML" if begins_like_html(answer) else "JSON"


def read_root(answer: Answer) -> RootIndex:
    """Return what an answer says.

    Raises:
        MalformedResponseError: it is no root index.
    """
    etag = entity_tag(answer.headers.get("ETag"))
    if answer.status == NOT_MODIFIED:
        return RootIndex(answer.url, None, {}, etag=etag, is_unchanged=True)
    if begins_like_html(answer):
        from bandersnatch.upstream.html_root import parse_html_root  # noqa: PLC0415 - slow to import, and few indexes need it

        listed = parse_html_root(answer.body, answer.headers.get("Content-Type", ""), answer.url)
        if listed is not None:
            return RootIndex(answer.url, None, listed, etag=etag, form="HTML")
    serial, projects = read_json(answer, "PEP 691 root index", partial(parse_root_index, answer.body, answer.url))
    whole = parse_serial_of_index(answer.body) if serial is None else None
    return RootIndex(answer.url, serial, projects, whole, etag)


_local_decoder = msgspec.json.Decoder(dict[str, int | float | str | None])


def read_local_serial(answer: Answer) -> int:
    """Return shadowmire's serial of its whole mirror.

    Raises:
        MalformedResponseError: it is none.
    """
    serial = parse_serial(answer.body[:64].decode("ascii", "replace").strip())
    if not serial:
        raise MalformedResponseError(answer.url, "no serial of a mirror made by shadowmire")
    return serial


def read_local_json(answer: Answer) -> dict[NormalizedName, ListedProject]:
    """Return shadowmire's list of its projects.

    Raises:
        MalformedResponseError: it is none.
    """
    require_memory_to_read(answer.body)
    try:
        told = _local_decoder.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedResponseError(
            answer.url, f"no serials of projects, as shadowmire writes them: {error}"
        ) from error
    return {
        name: ListedProject(text, parse_serial(at) or 0)
        for text, at in told.items()
        if (name := parse_project_name(text))
    }
