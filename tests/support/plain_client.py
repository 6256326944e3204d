"""A client of the fake index without any code of the mirror's: what it says is what was sent."""

import http.client
import json
import xmlrpc.client
from typing import Any, NamedTuple

from tests.support.fakepypi import FakePyPI

JSON = "application/vnd.pypi.simple.v1+json"
V1_HTML = "application/vnd.pypi.simple.v1+html"
HTML = "text/html; charset=UTF-8"


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def request(pypi: FakePyPI, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(pypi.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def page(pypi: FakePyPI, name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(request(pypi, f"/simple/{name}/", Accept=JSON).body)
    return value


def call(pypi: FakePyPI, method: str, *arguments: int) -> Any:
    xml = xmlrpc.client.dumps(arguments, method)
    (value,), _ = xmlrpc.client.loads(request(pypi, "/pypi", "POST", xml, Content_Type="text/xml").body)
    return value


def actions(pypi: FakePyPI, since: int = 0) -> list[tuple[str, str]]:
    return [(row[0], row[3]) for row in call(pypi, "changelog_since_serial", since)]
