"""The one table of all options: name, default, how to read it, and what it is for.

``config.py`` reads files by it; README and the example are tested against it. A default stands here and nowhere else.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

PUBLIC_PYPI = "https://pypi.org"
PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")

OptionValue: TypeAlias = "str | bool | int | float | Enum | Path | RemovalLimit | None"


class SimpleFormat(Enum):
    """Which forms of the simple pages are written."""

    ALL = "ALL"
    HTML = "HTML"
    JSON = "JSON"


class CompareMethod(Enum):
    """How a full resync checks the files that are there: by size, or by size and digest."""

    STAT = "stat"
    HASH = "hash"


class DeletedPolicy(Enum):
    """What becomes of the files and projects that upstream deletes."""

    REMOVE = "remove"
    HIDE = "hide"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class RemovalLimit:
    """How much one run may remove: a number, or a percentage of what is held; of both, the larger."""

    number: int = 0
    percent: float = 0.0

    def allows(self, removals: int, held: int) -> bool:
        """Whether so many may be removed out of so many held."""
        return removals <= max(self.number, held * self.percent / 100)


class OptionError(Exception):
    """A value is not allowed; the message says what is."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a section: its default as it would stand in a file (None: it must be given), and its reader."""

    name: str
    default: str | None
    read: Callable[[str], OptionValue]
    help: str


def read_bool(text: str) -> bool:
    """Read a truth value in the spellings of ``configparser``."""
    match text.lower():
        case "1" | "yes" | "true" | "on":
            return True
        case "0" | "no" | "false" | "off":
            return False
        case _:
            raise OptionError("expected true or false")


def read_workers(text: str) -> int:
    """Read a whole number from 1 up."""
    if re.fullmatch(r"[1-9]\d{0,5}", text, re.ASCII) is None:
        raise OptionError("expected a whole number from 1 up")
    return int(text)


def read_seconds(text: str) -> float:
    """Read a time in seconds, above zero."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise OptionError("expected a number of seconds above 0, such as 10 or 2.5")
    return seconds


def read_directory(text: str) -> Path:
    """Read an absolute path; cron runs us in another folder than a shell does."""
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # ~nobody
        path = Path()
    if not path.is_absolute() or not text.isprintable():
        raise OptionError("expected an absolute path, such as /srv/pypi")
    return path


def read_log_config(text: str) -> Path | None:
    """Read the path of a file for ``logging.config.fileConfig``, which must be there."""
    if not text:
        return None
    path = Path(text)
    if not path.is_file():
        raise OptionError("expected the path of a logging configuration, there is no such file")
    return path


def read_upstream_url(text: str) -> str:
    """Read the base URL of an index, without ``/simple``."""
    url = _read_url(text, ("http", "https"), "https://")
    if url.endswith("/simple"):
        raise OptionError("expected the base URL, without /simple")
    return url


def read_optional_url(text: str) -> str:
    """Read a URL without its trailing slash, or nothing."""
    return _read_url(text, ("http", "https"), "https://") if text else ""


def read_root_uri(text: str) -> str:
    """Read the prefix of file URLs, to which ``/packages/...`` is added."""
    url = read_optional_url(text)
    if "packages" in urlsplit(url).path.split("/"):
        raise OptionError("expected the URL without /packages, which is added to it")
    return url


def read_proxy(text: str) -> str:
    """Read the URL of a proxy, or nothing."""
    if not text:
        return ""
    url = _read_url(text, PROXY_SCHEMES, "http://")
    if urlsplit(url).scheme.startswith("socks"):
        try:
            import socks  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: F401, PLC0415
        except ImportError:
            raise OptionError("a SOCKS proxy needs the package PySocks: pip install bandersnatch[socks]") from None
    return url


def read_digest_name(text: str) -> str:
    """Read the name of a digest that ``hashlib`` can compute everywhere; PyPI's own ``blake2b_256`` is one too."""
    fixed_size = {name for name in hashlib.algorithms_guaranteed if not name.startswith("shake_")}
    allowed = sorted(fixed_size | {"blake2b_256"})
    if text not in allowed:
        raise OptionError(f"expected one of {', '.join(allowed)}")
    return text


def read_simple_format(text: str) -> SimpleFormat:
    """Read ALL, HTML or JSON, in any case."""
    try:
        return SimpleFormat(text.upper())
    except ValueError:
        raise OptionError("expected ALL, HTML or JSON") from None


def read_compare_method(text: str) -> CompareMethod:
    """Read hash or stat."""
    try:
        return CompareMethod(text.lower())
    except ValueError:
        raise OptionError("expected hash or stat") from None


def read_deleted(text: str) -> DeletedPolicy:
    """Read remove, hide or keep."""
    try:
        return DeletedPolicy(text.lower())
    except ValueError:
        raise OptionError("expected remove, hide or keep") from None


def read_removal_limit(text: str) -> RemovalLimit:
    """Read a number, a percentage, or both, such as ``5% or 1000``."""
    found = re.fullmatch(r"(?:(\d{1,3}(?:\.\d+)?) ?%(?: or (?=\d)|$))?(\d{1,12})?", text, re.ASCII)
    if found is None or not text or (found[1] and float(found[1]) > 100):
        raise OptionError("expected a number, a percentage, or both, such as 5% or 1000")
    return RemovalLimit(int(found[2] or 0), float(found[1] or 0))


def read_size(text: str) -> int:
    """Read a size in bytes, with K, M, G or T for powers of 1024."""
    found = re.fullmatch(r"(\d{1,15}) ?([KMGT]?)(?:i?B)?", text, re.ASCII | re.IGNORECASE)
    if found is None:
        raise OptionError("expected a size such as 500M or 20G")
    power = " KMGT".index(found[2].upper() or " ")
    return int(found[1]) * int(1024**power)


def _read_url(text: str, schemes: tuple[str, ...], example: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in schemes and bool(parts.hostname) and not parts.query and not parts.fragment
        _ = parts.port  # raises where the port is no number
    except ValueError:
        is_url = False
    if not is_url or not text.isprintable() or " " in text:
        raise OptionError(f"expected a URL with {' or '.join(schemes)}, such as {example}host.example")
    scheme, rest = text.split(":", 1)
    return f"{scheme.lower()}:{rest.rstrip('/')}"


MIRROR_OPTIONS: tuple[Option, ...] = (
    Option("directory", None, read_directory, "where the mirror lies; web/ below it is for the web server"),
    Option("master", PUBLIC_PYPI, read_upstream_url, "the index to copy, without /simple"),
    Option("allow-non-https", "false", read_bool, "allow http:// for the index and its files"),
    Option("proxy", "", read_proxy, "a proxy for all requests, else HTTPS_PROXY and the like; NO_PROXY counts"),
    Option("timeout", "10", read_seconds, "seconds that upstream may be silent"),
    Option("workers", "10", read_workers, "how many requests at a time"),
    Option("stop-on-error", "false", read_bool, "end the run at the first project that fails"),
    Option("compare-method", "stat", read_compare_method, "how a full resync checks files: stat or hash"),
    Option("deleted", "remove", read_deleted, "what becomes of what upstream deletes: remove, hide or keep"),
    Option("max-removals", "5% or 1000", read_removal_limit, "how many projects, and files, one run may remove"),
    Option("reserve", "0", read_size, "how much free space the mirror leaves on its disk, such as 20G"),
    Option("release-files", "true", read_bool, "keep the files; false: pages only, with links to upstream"),
    Option("core-metadata", "true", read_bool, "keep and advertise the .metadata of files"),
    Option("json", "false", read_bool, "also keep /pypi/<name>/json"),
    Option("simple-format", "ALL", read_simple_format, "forms of the pages: ALL, HTML or JSON"),
    Option("hash-index", "false", read_bool, "pages in folders by first letter; needs a rewrite in the web server"),
    Option("root_uri", "", read_root_uri, "prefix of file URLs on pages, in place of relative links"),
    Option("digest_name", "sha256", read_digest_name, "which digest the links on pages carry"),
    Option("log-config", "", read_log_config, "a file for Python's logging.config.fileConfig"),
)

_LATER = "this version does not support it yet"
UNSUPPORTED_MIRROR_OPTIONS: dict[str, str] = {
    "storage-backend": f"{_LATER}; mirrors are kept in the filesystem",
    "download-mirror": _LATER,
    "download-mirror-no-fallback": _LATER,
    "keep_index_versions": _LATER,
    "keep-index-versions": _LATER,
    "diff-file": _LATER,
    "diff-append-epoch": _LATER,
}
"""Options of other bandersnatch versions whose absence would change what the operator gets: an error."""

IGNORED_MIRROR_OPTIONS: dict[str, str] = {
    "verifiers": "there is no verify command yet",
    "global-timeout": "not needed: only silence ends a download, see timeout",
    "cleanup": "not needed: pages under old names are not kept",
    "storage-filesystem-manage-permissions": "not needed: permissions follow the umask",
    "api-method": "not needed: XML-RPC is asked, and the root index where it is away",
    "delete-packages": "not needed: what upstream removed is removed here too; see the option deleted",
}
"""Options of other bandersnatch versions that we do not need: one line says why."""

OFF_VALUES = frozenset({"", "0", "false", "no", "off", "none"})
"""With these, an option that is not supported asks for nothing."""

UNSUPPORTED_SECTIONS: dict[str, str] = dict.fromkeys(("s3", "swift"), "mirrors are kept in the filesystem only")
