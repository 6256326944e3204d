"""Reads option values from text; an ``OptionError`` says what is allowed."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from bandersnatch.inifile.option import (
    ApiMethod,
    CompareMethod,
    DeletedPolicy,
    OptionError,
    RemovalLimit,
    SimpleFormat,
    UpstreamKind,
)

PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
NEEDS_SOCKS = "a SOCKS proxy needs the package PySocks: pip install bandersnatch[socks]"
LONGEST_LIMIT_SECONDS = 7 * 86_400
_PREFIXES = "kilo|mega|giga|tera|peta|exa|zetta|yotta|kibi|mebi|gibi|tebi|pebi|exbi|zebi|yobi"
_SIZE = re.compile(
    rf"(\d{{1,15}}(?:\.\d{{1,9}})?)\s*(b|bytes?|[kmgtpezy](?:i?b)?|(?:{_PREFIXES})(?:bytes?)?)?",
    re.ASCII | re.IGNORECASE,
)


def read_bool(text: str) -> bool:
    """Read a boolean in the spellings of ``configparser``."""
    match text.lower():
        case "1" | "yes" | "true" | "on":
            return True
        case "0" | "no" | "false" | "off":
            return False
        case _:
            raise OptionError("expected true or false")


def read_workers(text: str) -> int:
    """Read a whole number from 1 up."""
    if re.fullmatch(r"0*[1-9]\d{0,5}", text, re.ASCII) is None:
        raise OptionError("expected a whole number from 1 up")
    return int(text)


def read_seconds(text: str) -> float:
    """Read a time in seconds, greater than zero."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise OptionError("expected a number of seconds above 0, such as 10 or 2.5")
    return seconds


def read_count(text: str) -> int:
    """Read a whole number from 0 up."""
    if re.fullmatch(r"\d{1,6}", text, re.ASCII) is None:
        raise OptionError("expected a whole number from 0 up")
    return int(text)


def read_time_limit(text: str) -> float:
    """Read a time in seconds; 0 means no limit."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_LIMIT_SECONDS:
        raise OptionError("expected a number of seconds, such as 1800, or 0 for no limit")
    return seconds


def read_refresh(text: str) -> float:
    """Read a time in hours, days or weeks, and return seconds; 0 means never."""
    found = re.fullmatch(r"(\d{1,5})\s*(hour|day|week|h|d|w)s?", text, re.ASCII | re.IGNORECASE)
    if text == "0":
        return 0.0
    if found is None or int(found[1]) == 0:
        raise OptionError("expected a time such as 30 days, 12 hours or 2 weeks, or 0 for never")
    return int(found[1]) * {"h": 3600.0, "d": 86_400.0, "w": 604_800.0}[found[2][0].lower()]


def read_directory(text: str) -> Path:
    """Read an absolute path: a relative one would depend on the folder that cron starts us in."""
    try:
        path = Path(text).expanduser()
    except (RuntimeError, ValueError):  # no home for ~name, or a NUL after the ~
        path = Path()
    if not path.is_absolute() or not text.isprintable():
        raise OptionError("expected an absolute path, such as /srv/pypi")
    return path


def read_diff_file(text: str) -> Path | None:
    """Read the absolute path of a file to write, or nothing."""
    return read_directory(text) if text else None


def read_log_config(text: str) -> Path | None:
    """Read the path of an existing file for ``logging.config.fileConfig``, or nothing."""
    if not text:
        return None
    path = Path(text)
    if not path.is_file():
        raise OptionError("expected the path of a logging configuration, there is no such file")
    return path


def read_client_cert(text: str) -> Path | None:
    """Read the path of a PEM file with a certificate of ours and its private key, or nothing; both must be usable."""
    if not text:
        return None
    path = read_directory(text)
    import ssl  # noqa: PLC0415 - takes long, and few have such a certificate

    wanted = "expected a PEM file with a certificate and its private key, without password"
    try:
        # An empty password, because nobody is there to type one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path, password="")
    except ssl.SSLError as error:
        raise OptionError(f"{wanted}: one of them is missing, damaged, or not that") from error
    except OSError as error:
        raise OptionError(f"{wanted}: {error.strerror}") from error
    return path


def read_upstream_url(text: str) -> str:
    """Read the base URL of an index, without ``/simple``."""
    url = _read_url(text, ("http", "https"), "https://")
    if url.endswith("/simple"):
        raise OptionError("expected the base URL, without /simple")
    return url


def read_optional_url(text: str) -> str:
    """Read a URL, and strip its trailing slash; or nothing."""
    return _read_url(text, ("http", "https"), "https://") if text else ""


def read_download_mirror(text: str) -> str:
    """Read the URL below which another mirror serves ``/packages/...``, or nothing."""
    return _without_packages(read_optional_url(text))


def read_root_uri(text: str) -> str:
    """Read the prefix that file URLs put before ``/packages/...``: a URL, or a path on the web server of the pages."""
    if re.fullmatch(r"/[^\s?#]*", text) and text.isprintable():
        return _without_packages(text.rstrip("/"))
    return _without_packages(read_optional_url(text))


def _without_packages(url: str) -> str:
    if "packages" in urlsplit(url).path.split("/"):
        raise OptionError("expected the URL without /packages, which is added to it")
    return url


def read_proxy(text: str) -> str:
    """Read the URL of a proxy, or nothing."""
    if not text:
        return ""
    url = _read_url(text, PROXY_SCHEMES, "http://")
    if lacks_socks(url):
        raise OptionError(NEEDS_SOCKS)
    return url


def lacks_socks(proxy: str) -> bool:
    """Whether a proxy needs PySocks, and it is not installed."""
    if not proxy.lower().startswith("socks"):
        return False
    try:
        import socks  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: F401, PLC0415
    except ImportError:
        return True
    return False


DIGEST_NAMES = ("md5", "sha256", "sha384", "sha512")


def read_digest_name(text: str) -> str:
    """Read the name of a digest that both pip and uv check; they ignore or refuse links with any other."""
    if text.lower() not in DIGEST_NAMES:
        raise OptionError(f"expected one of {', '.join(DIGEST_NAMES)}: pip and uv both know no others")
    return text.lower()


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


def read_api_method(text: str) -> ApiMethod:
    """Read auto, xmlrpc or simple."""
    try:
        return ApiMethod(text.lower())
    except ValueError:
        raise OptionError("expected auto, xmlrpc or simple") from None


def read_upstream_kind(text: str) -> UpstreamKind:
    """Read auto, warehouse, simple or shadowmire."""
    try:
        return UpstreamKind(text.lower())
    except ValueError:
        raise OptionError("expected auto, warehouse, simple or shadowmire") from None


def read_storage_backend(text: str) -> str:
    """Read the only backend there is; explain about the others."""
    match text:
        case "filesystem":
            return text
        case "s3":
            raise OptionError("the backend for S3 is planned, but not there yet; expected filesystem")
        case "swift":
            raise OptionError("there is no backend for Swift, and S3 is the one that is planned; expected filesystem")
        case _:
            raise OptionError("expected filesystem, the only backend there is")


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
    """Read a size in bytes, such as ``500M``, ``1.5 GiB`` or ``2 gigabytes``; all units are powers of 1024."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise OptionError("expected a size such as 500M or 20G")
    unit = int(1024 ** "bkmgtpezy".index((found[2] or "b")[0].lower()))
    # Integers stay exact: a float would round sizes beyond 2**53 bytes.
    return int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit


def _read_url(text: str, schemes: tuple[str, ...], example: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in schemes and bool(parts.hostname) and not parts.query and not parts.fragment
        _ = parts.port  # raises if the port is not a number
    except ValueError:
        is_url = False
    if not is_url or not text.isprintable() or " " in text:
        raise OptionError(f"expected a URL with {' or '.join(schemes)}, such as {example}host.example")
    scheme, rest = text.split(":", 1)
    return f"{scheme.lower()}:{rest.rstrip('/')}"
