"""``Route``: how a host is reached: its proxy, certificates and credentials, as requests finds them, and its connections.

requests looks these up for each request, which takes three quarters of the CPU time of a small file (docs/performance.md).
Here this is done once for each host; then requests are sent by urllib3's pools or by libcurl.
"""

import logging
import math
import re
import threading
from collections.abc import Mapping
from functools import cache
from http.client import HTTPException
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import requests
import urllib3
from msgspec import Struct
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy, should_bypass_proxies
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.util import parse_url

from bandersnatch import __version__
from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import UpstreamUnavailableError
from bandersnatch.http.bounded_connection import BoundedConnection, bounded
from bandersnatch.http.reasons import reason_of
from bandersnatch.inifile.readers import NEEDS_SOCKS, lacks_socks
from bandersnatch.shown_text import without_credentials

logger = logging.getLogger(__name__)

CONTACT_URL = "https://github.com/pypa/bandersnatch/issues"
USER_AGENT = f"bandersnatch/{__version__} (+{CONTACT_URL}) requests/{requests.__version__}"
PROXY_VARIABLES = ("socks5", "socks4", "socks", "https", "http", "all")
"""``SOCKS5_PROXY`` and so on. As in other versions of bandersnatch, the first one that is set applies to all requests."""
_ORIGIN = re.compile(r"(?:[^:/?#\\]*://)?[^/?#\\]*")
_NO_ROUTE = (urllib3.exceptions.HTTPError, requests.RequestException, HTTPException, ValueError, OSError)
KEPT_ROUTES = 32
"""Files are on one or two hosts. An index that names hundreds must not make us keep connections to each."""


class Route(Struct, frozen=True):
    """How one host is reached: its connections, and the headers of every request to it."""

    pool: HTTPConnectionPool
    headers: Mapping[str, str]
    wants_whole_urls: bool
    """Whether requests name the whole URL, for an HTTP proxy without a tunnel (RFC 9112, section 3.2.2)."""
    address: str = ""
    """Scheme, host and port, without credentials; the host encoded as requests does it (IDNA)."""
    proxy_url: str = ""
    """The proxy of any kind, with its credentials; empty if there is none."""
    authorities: str = ""
    """The file or folder of the trusted certificates."""
    client_cert: str = ""
    """The file of our certificate and its key, for servers that want one; empty if there is none."""

    @property
    def wants_tunnel(self) -> bool:
        """Whether an HTTP proxy opens a tunnel (CONNECT), for which it sends an answer of its own first."""
        return bool(self.proxy_url) and not self.wants_whole_urls and not self.proxy_url.lower().startswith("socks")

    @property
    def proxy(self) -> str:
        """The HTTP proxy's URL for messages, without credentials; empty for SOCKS, whose errors name the proxy."""
        found = self.pool.proxy
        return f"{found.scheme}://{found.netloc}" if found is not None else ""


class Routes:
    """The routes to all hosts, each found once. Thread-safe."""

    def __init__(self, config: HttpConfig) -> None:
        self._timeout_seconds, self._limit_seconds = config.timeout_seconds, config.global_timeout_seconds or math.inf
        self._proxy = _with_names_resolved_there(config.proxy or proxy_of_environment())
        parts = urlsplit(config.upstream_url)
        self._index = _server_of(config.upstream_url)
        self._credentials = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._session = requests.Session()
        self._client_cert = str(config.client_cert or "")
        self._session.cert = self._client_cert or None
        self._session.headers.clear()  # requests' defaults; Accept and Accept-Encoding depend on the request
        self._session.headers["User-Agent"] = USER_AGENT
        adapter = HTTPAdapter()
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._routes: dict[str, Route] = {}
        self._guard = threading.Lock()

    def to(self, url: str) -> Route:
        """Return the route to the host of a URL.

        Raises:
            UpstreamUnavailableError: there is none, because of the URL or the settings in the environment.
        """
        origin = origin_of(url)
        route = self._routes.get(origin)
        if route is None:
            try:
                route = self._learn(origin)
            except _NO_ROUTE as error:
                reason = reason_of(error, self._timeout_seconds)
                raise UpstreamUnavailableError(without_credentials(url), reason) from error
        return route

    def close(self) -> None:
        """Close all connections."""
        with self._guard:
            for route in self._routes.values():
                route.pool.close()
            self._routes.clear()
        self._session.close()

    def _learn(self, origin: str) -> Route:
        with self._guard:
            route = self._routes.setdefault(origin, self._find(origin))
            if len(self._routes) > KEPT_ROUTES:  # drop the oldest; its connections close when their answers are read
                del self._routes[next(iter(self._routes))]
            return route

    def _find(self, origin: str) -> Route:
        # What `Session.request` and `HTTPAdapter.send` do before they send, so that all settings mean the same as there.
        session = self._session
        auth = self._credentials if self._may_know_password(origin) else None
        request = session.prepare_request(requests.Request("GET", f"{origin}/", auth=auth))
        url = request.url or ""
        settings = session.merge_environment_settings(url, self._proxies(url), None, None, None)
        proxies, verify, cert = settings["proxies"], settings["verify"], settings["cert"]
        adapter = session.get_adapter(url)
        assert isinstance(adapter, HTTPAdapter), "no other was mounted"
        pool = adapter.get_connection_with_tls_context(request, verify, proxies, cert)
        assert isinstance(pool, HTTPConnectionPool), "there is no pool of another kind"
        adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
        self._bound(pool)
        wants_whole_urls = "://" in adapter.request_url(request, proxies)
        return Route(
            pool,
            dict(request.headers),
            wants_whole_urls,
            _address_of(url),
            _full_proxy_url(url, proxies),
            verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH,
            self._client_cert,
        )

    def _bound(self, pool: HTTPConnectionPool) -> None:
        """Set limits for all answers on a pool's connections."""
        kind = pool.ConnectionCls
        assert issubclass(kind, HTTPConnection), "there is no connection of another kind"
        if not issubclass(kind, BoundedConnection):  # the pool of a proxy may serve several hosts, and so come twice
            pool.ConnectionCls = bounded(kind, self._limit_seconds)

    def _may_know_password(self, origin: str) -> bool:
        """Whether a server may get the password of the index: the index itself, or the same host with TLS."""
        scheme, host, port = _server_of(origin)
        is_index_with_tls = (scheme, port, *self._index[::2]) == ("https", 443, "http", 80) and host == self._index[1]
        return (scheme, host, port) == self._index or is_index_with_tls

    def _proxies(self, url: str) -> dict[str, str]:
        """Return the proxy for a URL, unless NO_PROXY excludes its host."""
        if not self._proxy or should_bypass_proxies(url, no_proxy=None):
            return {}
        if lacks_socks(self._proxy):  # one in the configuration was refused before; this one is from the environment
            raise requests.exceptions.InvalidSchema(NEEDS_SOCKS)
        return {"http": self._proxy, "https": self._proxy}


def _address_of(url: str) -> str:
    parts = parse_url(url)
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{parts.host}{port}"


def _full_proxy_url(url: str, proxies: Mapping[str, str]) -> str:
    proxy = select_proxy(url, proxies) or ""
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def proxy_of_environment() -> str:
    """Return the proxy's URL from the environment, whose names may be in capital or small letters; empty if none is set."""
    found = getproxies()
    for name in PROXY_VARIABLES:
        value = found.get(name)
        if not value:
            continue
        scheme, separator, rest = value.rpartition("://")
        if name.startswith("socks"):
            default = "socks5" if name == "socks" else name
            return f"{default if not separator or scheme.lower() == 'socks' else scheme}://{rest}"
        if name == "http":
            _log_once(rest.rpartition("@")[2])
        return value
    return ""


@cache
def _log_once(proxy: str) -> None:
    """Log once what most other programs do in another way."""
    logger.info("HTTPS_PROXY is not set: requests to https:// go through the proxy of HTTP_PROXY, too: %s", proxy)


def _with_names_resolved_there(proxy: str) -> str:
    """Return a proxy's URL for urllib3; with SOCKS 5 the proxy resolves names, as in other versions of bandersnatch."""
    scheme, separator, rest = proxy.partition("://")
    return f"socks5h://{rest}" if separator and scheme.lower() == "socks5" else proxy


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, unchanged."""
    found = _ORIGIN.match(url)
    assert found is not None, "it matches even an empty string"
    return found[0]


def host_of(url: str) -> str:
    """Return host and port of a URL; an invalid one fails only when it is requested."""
    return origin_of(url).partition("://")[2].rpartition("@")[2]


def _server_of(url: str) -> tuple[str | None, str | None, int | None]:
    """Return scheme, host and port, as urllib3 reads the URL when it connects."""
    parts = parse_url(url)
    return parts.scheme, parts.host, parts.port or {"http": 80, "https": 443}.get(parts.scheme or "")
