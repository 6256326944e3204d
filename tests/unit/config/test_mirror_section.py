"""Every option of ``[mirror]``: which values are wrong, and what is said of them."""

import importlib.util
from pathlib import Path

import pytest

from bandersnatch.config.option_table import MIRROR_OPTIONS
from tests.support.config_text import DIGESTS, load_option, problem_with

BOOLEAN = "expected true or false"
WORKERS = "expected a whole number from 1 up"
SECONDS = "expected a number of seconds above 0, such as 10 or 2.5"
LIMIT_SECONDS = "expected a number of seconds, such as 1800, or 0 for no limit"
LIMIT = "expected a number, a percentage, or both, such as 5% or 1000"
DIRECTORY = "expected an absolute path, such as /srv/pypi"
URL = "expected a URL with http or https, such as https://host.example"
CLIENT_CERT = "expected a PEM file with a certificate and its private key, without password"
DAMAGED_CERT = Path(__file__)
"""No certificate at all."""
PROXY = "expected a URL with http or https or socks4 or socks4a or socks5 or socks5h, such as http://host.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


# Wrong values


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("directory", "", DIRECTORY),
        ("directory", "pypi", DIRECTORY),
        ("directory", "./pypi", DIRECTORY),
        ("directory", "~no such user/pypi", DIRECTORY),
        ("directory", "/srv/\0pypi", DIRECTORY),
        ("directory", "/srv/a\n  b", DIRECTORY),
        ("master", "pypi.org", URL),
        ("master", "ftp://index.example", URL),
        ("master", "https://", URL),
        ("master", "https://[", URL),
        ("master", "https://index.example:port", URL),
        ("master", "https://index.example:99999", URL),
        ("master", "https://index.example?x=1", URL),
        ("master", "https://index.example#x", URL),
        ("master", "https://index. example", URL),
        ("master", "https://index.example/\x7f", URL),
        ("master", "https://i.example/simple", "expected the base URL, without /simple"),
        ("master", "https://i.example/simple/", "expected the base URL, without /simple"),
        ("master", "http://index.example", "expected https://, or allow-non-https = true beside it"),
        ("master", "HTTP://index.example", "expected https://, or allow-non-https = true beside it"),
        ("proxy", "proxy.example:3128", PROXY),
        ("proxy", "ftp://proxy.example", PROXY),
        ("proxy", "http://[proxy.example", PROXY),
        ("timeout", "ten", SECONDS),
        ("timeout", "0", SECONDS),
        ("timeout", "-1", SECONDS),
        ("timeout", "nan", SECONDS),
        ("timeout", "inf", SECONDS),
        ("timeout", "86401", SECONDS),
        ("timeout", "10 s", SECONDS),
        ("workers", "ten", WORKERS),
        ("workers", "0", WORKERS),
        ("workers", "00", WORKERS),
        ("workers", "-1", WORKERS),
        ("workers", "2.5", WORKERS),
        ("workers", "\u0663", WORKERS),
        ("workers", "1000000", WORKERS),
        *(("verifiers", value, WORKERS) for value in ("0", "x", "-1")),
        *(("global-timeout", value, LIMIT_SECONDS) for value in ("-1", "x", "nan", "604801")),
        ("api-method", "json", "expected auto, xmlrpc or simple"),
        ("upstream-kind", "devpi", "expected auto, warehouse, simple or shadowmire"),
        ("download-mirror", "mirror.example", URL),
        ("download-mirror", "https://m.example/packages", "expected the URL without /packages, which is added to it"),
        *((name, "maybe", BOOLEAN) for name in ("download-mirror-no-fallback", "cleanup", "diff-append-epoch")),
        ("storage-filesystem-manage-permissions", "0644", BOOLEAN),
        *(("keep_index_versions", value, "expected a whole number from 0 up") for value in ("-1", "x", "1.5")),
        ("storage-backend", "s3", "the backend for S3 is planned, but not there yet; expected filesystem"),
        ("storage-backend", "swift",
         "there is no backend for Swift, and S3 is the one that is planned; expected filesystem"),
        ("storage-backend", "ftp", "expected filesystem, the only backend there is"),
        ("diff-file", "changed", DIRECTORY),
        ("diff-file", "{{mirror_no}}",
         "[mirror] has no option no for {{mirror_no}}"),
        ("diff-file", "/srv/{{directory}}",
         "expected {{section_option}} between the braces, such as {{mirror_directory}}"),
        ("stop-on-error", "maybe", BOOLEAN),
        ("allow-non-https", "2", BOOLEAN),
        ("release-files", "true, false", BOOLEAN),
        ("core-metadata", "t", BOOLEAN),
        ("allow-weak-hashes", "sometimes", BOOLEAN),
        ("allow-unhashed", "maybe", BOOLEAN),
        ("json", "none", BOOLEAN),
        ("static-journal", "2", BOOLEAN),
        ("hash-index", "y", BOOLEAN),
        ("compare-method", "mtime", "expected hash or stat"),
        ("deleted", "maybe", "expected remove, hide or keep"),
        ("refresh", "30", "expected a time such as 30 days, 12 hours or 2 weeks, or 0 for never"),
        *(("max-removals", value, LIMIT) for value in ("x", "-1", "101%", "%", "5 or 3%", "5%1000", "\u0665")),
        *(
            ("reserve", value, "expected a size such as 500M or 20G")
            for value in ("x", "-1", "1.5.5G", "20X", "G", "10%", "1 gigabits", "1,000", "1 G 5", "\u0665")
        ),
        ("simple-format", "XML", "expected ALL, HTML or JSON"),
        ("root_uri", "cdn.example", URL),
        ("root_uri", "/packages", "expected the URL without /packages, which is added to it"),
        *(("root_uri", value, URL) for value in ("../..", "/a b", "/a?b", "/a#b")),
        ("root_uri", "https://cdn.example/packages/x", "expected the URL without /packages, which is added to it"),
        *(
            ("digest_name", value, f"expected one of {DIGESTS}: pip and uv both know no others")
            for value in ("shake_128", "crc32", "blake2b_256", "blake2b", "sha1", "sha224", "sha3_256")
        ),
        ("client-cert", "/no/such/file", f"{CLIENT_CERT}: No such file or directory"),
        ("client-cert", "/", f"{CLIENT_CERT}: Is a directory"),
        ("client-cert", str(DAMAGED_CERT), f"{CLIENT_CERT}: one of them is missing, damaged, or not that"),
        ("client-cert", "here.pem", "expected an absolute path, such as /srv/pypi"),
        ("log-config", "/no/such/file", "expected the path of a logging configuration, there is no such file"),
        ("log-config", "/", "expected the path of a logging configuration, there is no such file"),
        ("log-config", "a\0b", "expected the path of a logging configuration, there is no such file"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_is_allowed(path: Path, name: str, value: str, reason: str) -> None:
    problem = problem_with(path, name, value)
    assert problem.startswith(f"[mirror] {name} = ")
    assert problem.endswith(f": {reason}")
    if value.isprintable():
        assert problem == f"[mirror] {name} = {value}: {reason}"
    assert problem.isprintable()


def test_a_number_with_very_many_digits_is_a_wrong_value(path: Path) -> None:
    problem = problem_with(path, "workers", "9" * 5000)
    assert problem.endswith(f": {WORKERS}")
    assert len(problem) < 400


def test_a_home_directory_that_is_not_there_is_a_wrong_value(path: Path) -> None:
    problem = problem_with(path, "directory", "~nobody-has-this-name/pypi")
    assert problem == f"[mirror] directory = ~nobody-has-this-name/pypi: {DIRECTORY}"


def test_every_option_is_tested_with_a_wrong_value() -> None:
    (mark,) = (
        each
        for each in test_a_wrong_value_is_told_with_what_is_allowed.pytestmark  # type: ignore[attr-defined]
    )
    assert {case[0] for case in mark.args[1]} == {option.name for option in MIRROR_OPTIONS}


@pytest.mark.skipif(importlib.util.find_spec("socks") is not None, reason="PySocks is installed")
def test_a_socks_proxy_needs_its_package(path: Path) -> None:
    assert problem_with(path, "proxy", "socks5://proxy.example:1080") == (
        "[mirror] proxy = socks5://proxy.example:1080: a SOCKS proxy needs the package PySocks: "
        "pip install bandersnatch[socks]"
    )


@pytest.mark.parametrize("kind", ["simple", "shadowmire"])
def test_an_index_without_xmlrpc_can_not_be_asked_by_it_alone(path: Path, kind: str) -> None:
    assert problem_with(path, "upstream-kind", kind, "api-method = xmlrpc") == (
        f"[mirror] upstream-kind = {kind}: expected auto or warehouse, since api-method = xmlrpc"
    )


def test_another_digest_can_not_be_computed_without_files(path: Path) -> None:
    assert problem_with(path, "digest_name", "md5", "release-files = false") == (
        "[mirror] digest_name = md5: expected sha256, the one that upstream's pages have, "
        "since with release-files = false there is no file to compute another from"
    )


def test_what_is_kept_must_be_told_by_json(path: Path) -> None:
    assert problem_with(path, "simple-format", "HTML", "deleted = keep").startswith(
        "[mirror] simple-format = HTML: expected ALL or JSON, since with deleted = keep the JSON page"
    )


def test_sha256_needs_no_files(path: Path) -> None:
    assert not load_option(path, "digest_name", "sha256", "release-files = false").pages.release_files


# Passwords


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("proxy", "ftp://user:secret@proxy.example:3128"),
        ("proxy", "http://user:secret@proxy.example:port"),
        ("proxy", "http://user:sec@ret@proxy.example:port"),
        ("proxy", "http://user:secret@[proxy.example"),
        ("proxy", "http://[user:secret@proxy.example"),
        ("proxy", "user:secret@proxy.example:3128"),
        ("proxy", "//user:secret@proxy.example:3128"),
        ("master", "http://user:secret@index.example"),
        ("master", "https://user:secret@index.example/simple"),
        ("master", "https://user:secret@index.example?x"),
        ("root_uri", "ftp://user:secret@cdn.example"),
        ("proxi", "http://user:secret@proxy.example:3128"),
        ("download-mirror", "https://user:secret@mirror.example/packages"),
    ],
)
def test_a_password_is_never_shown(path: Path, name: str, value: str) -> None:
    problem = problem_with(path, name, value)
    assert problem.startswith(f"[mirror] {name} = ")
    assert "secret" not in problem
    assert "ret@" not in problem
