"""Links of one page: made absolute, and refused where they lead to nothing that could be asked for."""

import re
from ipaddress import IPv6Address
from urllib.parse import urldefrag, urljoin, urlsplit

from bandersnatch.shown_text import shown

_HOST = re.compile(r"[\w.~-]+")
_MAX_LABEL = 63


class NoUseError(Exception):
    """A file's name or link is unusable; the message is a phrase that follows the name."""


class Links:
    """Makes the links of one page absolute.

    The files of a page are nearly always on one host. A URL with the origin of an earlier one is not parsed again,
    which would take a third of the time to read a page.
    """

    def __init__(self, page_url: str) -> None:
        self._page_url = page_url
        self._known_origin = "no origin"

    def absolute(self, link: str) -> str:
        """Return the URL of a link; ``fetch`` and ``layout`` check what else it may be.

        Raises:
            NoUseError: it is not an http(s) URL, contains a user name, or has a host or port that there can't be.
        """
        if link.startswith(self._known_origin) and "#" not in link and link.isprintable():
            return link
        try:
            joined = urldefrag(urljoin(self._page_url, link)).url
            parts = urlsplit(joined)
            is_web = parts.scheme in ("http", "https") and parts.username is None
            if not is_web or not _is_host(parts.hostname or "") or parts.port == 0:
                raise NoUseError(f"has the link {shown(link)!r}")
        except ValueError as error:
            raise NoUseError(f"has the link {shown(link)!r}") from error
        self._known_origin = f"{parts.scheme}://{parts.netloc}/"
        return joined


def _is_host(name: str) -> bool:
    """Whether there can be a host of that name, so that a request to it fails for no other reason than the host."""
    if ":" in name:
        return bool(IPv6Address(name))
    labels = name.encode("idna").decode() if not name.isascii() else name
    is_short = all(0 < len(label) <= _MAX_LABEL for label in labels.removesuffix(".").split("."))
    return is_short and _HOST.fullmatch(name) is not None
