"""The XML-RPC mirror calls, their faults, and the faults of calls that are gone.

Not served: browse, package_roles and user_packages, which no mirror needs.
"""

import re
import xmlrpc.client
from collections.abc import Sequence
from xml.parsers.expat import ExpatError

from .answers import REFERRER, VARY_ENCODING, Answer, Headers
from .model import JournalEntry
from .world import World

RATE_LIMIT = 3600
INT32_MAX = 2**31 - 1
DOCS = "See https://warehouse.pypa.io/api-reference/xml-rpc.html#deprecated-methods for more information."

PARSE_ERROR = xmlrpc.client.Fault(-32700, "parse error; not well formed")
UNKNOWN_METHOD = xmlrpc.client.Fault(-32601, "server error; requested method not found")
APPLICATION_ERROR = xmlrpc.client.Fault(-32500, "application error")

DEPRECATED = f"RuntimeError: This API has been deprecated. {DOCS}"
REMOVED_METHODS = {
    "changelog": "ValueError: The changelog method has been deprecated, use changelog_since_serial instead.",
    "system.multicall": "ValueError: MultiCall requests have been deprecated, use individual requests instead.",
    "list_packages": f"RuntimeError: PyPI no longer supports the XMLRPC list_packages method. "
    f"Use Simple API instead. {DOCS}",
    **{
        method: f"RuntimeError: PyPI no longer supports the XMLRPC {method} method. "
        f"Use JSON or Simple API instead. {DOCS}"
        for method in ("package_releases", "release_urls", "release_data")
    },
    "search": "RuntimeError: PyPI no longer supports 'pip search' (or XML-RPC search). "
    f"Please use https://127.0.0.1/search (via a browser) instead. {DOCS}",
    "top_packages": f"RuntimeError: This API has been removed. Use BigQuery instead. {DOCS}",
    "package_data": DEPRECATED,
    "package_urls": DEPRECATED,
}


def method_name(body: bytes) -> str | None:
    """Return the method that a request calls, or None where it is not XML-RPC."""
    parsed = _parse(body)
    return None if parsed is None else parsed[0]


def answer_call(world: World, body: bytes, changelog_limit: int, calls_left: int) -> Answer:
    """Return the answer to one XML-RPC request; faults are answers with status 200."""
    parsed = _parse(body)
    if parsed is None:
        return fault_answer(PARSE_ERROR)
    method, arguments = parsed
    limits = rate_limit_headers(calls_left, RATE_LIMIT)
    if method in REMOVED_METHODS:
        return fault_answer(xmlrpc.client.Fault(-32500, REMOVED_METHODS[method]), limits)
    match method:
        case "changelog_last_serial":
            return _checked(arguments, 0, limits) or _value_answer(world.serial or None, limits)
        case "list_packages_with_serial":
            return _checked(arguments, 0, limits) or _value_answer(_all_projects(world), limits)
        case "changelog_since_serial":
            return _checked(arguments, 1, limits) or _changes(world, arguments[0], changelog_limit, limits)
        case _:
            return fault_answer(UNKNOWN_METHOD)


def fault_answer(fault: xmlrpc.client.Fault, limits: Headers = ()) -> Answer:
    """Return a fault; like every answer to XML-RPC it has status 200."""
    return _xml_answer(xmlrpc.client.dumps(fault, allow_none=True), limits)


def rate_limited_answer(seconds: int) -> Answer:
    """Return the fault that a client gets who calls too often."""
    text = (
        "HTTPTooManyRequests: The action could not be performed because there were too many requests by the client. "
        f"Limit may reset in {seconds} seconds."
    )
    return fault_answer(xmlrpc.client.Fault(-32500, text), rate_limit_headers(0, seconds))


def rate_limit_headers(calls_left: int, seconds: int) -> Headers:
    policy = f'"xmlrpc.client";q={RATE_LIMIT};w={RATE_LIMIT};pk=:ip:'
    return (("RateLimit-Policy", policy), ("RateLimit", f'"xmlrpc.client";r={calls_left};t={seconds}'))


def _parse(body: bytes) -> tuple[str, tuple[object, ...]] | None:
    try:
        arguments, method = xmlrpc.client.loads(body)
    except (ExpatError, xmlrpc.client.Error, ValueError, TypeError):
        return None
    return None if method is None else (method, arguments)


def _checked(arguments: Sequence[object], expected: int, limits: Headers) -> Answer | None:
    """Return the fault for wrong arguments; the only one there ever is is a serial."""
    if len(arguments) > expected:
        return _client_error(f"{expected + 1}: Unexpected positional argument", limits)
    if len(arguments) < expected:
        return _client_error("serial: Missing required argument", limits)
    if expected and type(arguments[0]) is not int:
        return _client_error("serial: Input should be a valid integer", limits)
    return None


def _client_error(text: str, limits: Headers) -> Answer:
    return fault_answer(xmlrpc.client.Fault(-32602, f"client error; {text}"), limits)


def _changes(world: World, serial: object, limit: int, limits: Headers) -> Answer:
    if not isinstance(serial, int) or abs(serial) > INT32_MAX:
        return fault_answer(APPLICATION_ERROR, limits)
    return _value_answer([_row(entry) for entry in world.journal_since(serial, limit)], limits)


def _row(entry: JournalEntry) -> list[str | int | None]:
    action = None if entry.action is None else _clean_for_xml(entry.action)
    return [entry.name, entry.version, entry.timestamp, action, entry.serial]


def _clean_for_xml(text: str) -> str:
    """Clean an action as the server does; names and versions are not cleaned."""
    without_controls = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text)
    return without_controls.encode("ascii", "xmlcharrefreplace").decode()


def _all_projects(world: World) -> dict[str, int]:
    """Return display names with serials, in the order of the database's JSON objects."""
    rows = sorted(world.served_listing().projects, key=lambda project: (len(project.name), project.name))
    return {project.name: project.last_serial for project in rows}


def _value_answer(value: object, limits: Headers) -> Answer:
    # typeshed does not know that dumps takes None and any nesting of plain values.
    return _xml_answer(xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True), limits)  # type: ignore[arg-type]


def _xml_answer(xml: str, limits: Headers) -> Answer:
    headers = (("Content-Type", "text/xml; charset=UTF-8"), *limits, *REFERRER, *VARY_ENCODING)
    return Answer(200, headers, xml.encode(), has_etag=True)
