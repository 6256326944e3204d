"""Sets up libcurl's handles for one host with the settings of its ``Route``, so that libcurl reads no settings itself.

Each option has a page: https://curl.se/libcurl/c/CURLOPT_NOSIGNAL.html, and so on.
"""

import os
import re
from typing import Any
from urllib.parse import quote_from_bytes

import pycurl
from requests.utils import get_auth_from_url
from urllib3.util import parse_url

from bandersnatch.http.routes import Route

RECEIVE_BYTES = 256 * 1024
_ALLOWED_IN_PATH = "~!$&'()*+,;=:@%/-._"
_ALLOWED_IN_QUERY = f"{_ALLOWED_IN_PATH}?"
_ESCAPE = re.compile("%[0-9a-fA-F]{2}")
_PLAIN_TARGET = re.compile(r"/[\w~!$&'()*+,;=:@/.-]*", re.ASCII)


def set_up(curl: Any, route: Route, timeout_seconds: float) -> None:
    """Set what all requests to one host have in common."""
    curl.setopt(pycurl.NOSIGNAL, 1)  # libcurl must not change the program's signal handlers
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)  # or a page could name file:///etc/passwd
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)  # without TLS, HTTP/2 would need an upgrade request
    curl.setopt(pycurl.PATH_AS_IS, 1)  # /a/../b is requested unchanged, as with requests
    curl.setopt(pycurl.FOLLOWLOCATION, 0)  # each redirect is checked first
    curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)  # requests has read .netrc, and the route has the password
    curl.setopt(pycurl.BUFFERSIZE, RECEIVE_BYTES)  # each piece costs a call of Python; the default is 16 KB
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(timeout_seconds * 1000)))  # 0 would mean the default, 300 s
    _set_proxy(curl, route)
    _set_certificates(curl, route)


def _set_proxy(curl: Any, route: Route) -> None:
    curl.setopt(pycurl.NOPROXY, "")  # or libcurl would read NO_PROXY itself; the route has applied it
    if not route.proxy_url:
        curl.setopt(pycurl.PROXY, "")
        return
    parts = parse_url(route.proxy_url)
    port = "" if parts.port is None else f":{parts.port}"
    curl.setopt(pycurl.PROXY, f"{parts.scheme}://{parts.host}{port}")
    user, password = get_auth_from_url(route.proxy_url)
    if user or password:
        encoding = (
            "utf-8" if parts.scheme is not None and parts.scheme.startswith("socks") else "latin-1"
        )  # as in requests
        curl.setopt(pycurl.PROXYUSERNAME, user.encode(encoding))
        curl.setopt(pycurl.PROXYPASSWORD, password.encode(encoding))


def _set_certificates(curl: Any, route: Route) -> None:
    is_folder = os.path.isdir(route.authorities)
    for place in (pycurl.CAPATH, pycurl.PROXY_CAPATH) if is_folder else (pycurl.CAINFO, pycurl.PROXY_CAINFO):
        curl.setopt(place, route.authorities)
    if route.client_cert:  # one file for both, as in requests
        curl.setopt(pycurl.SSLCERT, route.client_cert)
        curl.setopt(pycurl.SSLKEY, route.client_cert)
        curl.setopt(pycurl.KEYPASSWD, "")  # or OpenSSL would ask the terminal for the password of an encrypted key


def written_url(target: str, route: Route) -> str:
    """Return the URL to request: with the route's host, and with characters escaped that a request can't contain."""
    if not _PLAIN_TARGET.fullmatch(target):
        target = _escaped(target if target.startswith("/") else f"/{target}")
    return f"{route.address}{target}"


def _escaped(target: str) -> str:
    path, question_mark, query = target.partition("#")[0].partition("?")
    return f"{_escaped_part(path, _ALLOWED_IN_PATH)}{question_mark}{_escaped_part(query, _ALLOWED_IN_QUERY)}"


def _escaped_part(part: str, allowed: str) -> str:
    """Escape the characters that are not allowed. If each % begins an escape, these are kept, in capital letters."""
    upper = _ESCAPE.sub(lambda found: found[0].upper(), part)
    is_escaped = part.count("%") == len(_ESCAPE.findall(part))
    return quote_from_bytes(upper.encode("utf-8", "surrogatepass"), allowed if is_escaped else allowed.replace("%", ""))
