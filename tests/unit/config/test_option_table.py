"""Every option of ``[mirror]``: its default, and what is read from its value."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bandersnatch.config.config import Config
from bandersnatch.config.option_groups import DiskConfig, HttpConfig, PagesConfig, RemovalsConfig
from bandersnatch.config.option_table import MIRROR_OPTIONS
from bandersnatch.inifile.option import (
    ApiMethod,
    CompareMethod,
    DeletedPolicy,
    RemovalLimit,
    SimpleFormat,
    UpstreamKind,
)
from tests.support.config_text import DIGESTS, EXAMPLE, PUBLIC, load, load_option


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


# Defaults


def test_only_the_directory_must_be_given(path: Path) -> None:
    assert load(path, "[mirror]\ndirectory = /srv/pypi\n") == Config(
        directory=Path("/srv/pypi"),
        http=HttpConfig(
            upstream_url=PUBLIC,
            timeout_seconds=10.0,
            global_timeout_seconds=1800.0,
            proxy="",
            allow_non_https=False,
            download_mirror="",
            has_download_fallback=True,
            api_method=ApiMethod.AUTO,
            kind=UpstreamKind.AUTO,
        ),
        pages=PagesConfig(
            simple_format=SimpleFormat.ALL,
            hash_index=False,
            root_uri="",
            digest_name="sha256",
            release_files=True,
            core_metadata=True,
            legacy_json=False,
            keep_versions=0,
            cleanup=False,
        ),
        removals=RemovalsConfig(DeletedPolicy.REMOVE, RemovalLimit(1000, 5.0)),
        disk=DiskConfig(reserve_bytes=0, manages_permissions=True, diff_file=None, diff_append_epoch=False),
        workers=10,
        verifiers=3,
        stop_on_error=False,
        compare_method=CompareMethod.STAT,
        log_config=None,
        warnings=(),
    )


def test_an_empty_value_is_the_default(path: Path) -> None:
    text = "".join(f"{option.name} =\n" for option in MIRROR_OPTIONS if option.name != "directory")
    assert load(path, f"[mirror]\ndirectory = /srv/pypi\n{text}") == load(path, "[mirror]\ndirectory = /srv/pypi\n")


def test_every_default_is_a_value_that_may_be_written(path: Path) -> None:
    text = "".join(f"{option.name} = {option.default or '/srv/pypi'}\n" for option in MIRROR_OPTIONS if option.default)
    assert load(path, f"[mirror]\ndirectory = /srv/pypi\n{text}") == load(path, "[mirror]\ndirectory = /srv/pypi\n")


def test_the_example_holds_every_option_at_its_default(path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    options = [
        f"{option.name} = {option.default or ''}".strip() for option in MIRROR_OPTIONS if option.default is not None
    ]
    assert [line.removeprefix("; ") for line in text.splitlines() if line.removeprefix("; ") in options] != []
    for option in options:
        assert re.search(rf"^(; )?{re.escape(option)}$", text, re.MULTILINE)
    assert load(path, text) == load(path, "[mirror]\ndirectory = /srv/pypi\n")


def test_the_example_can_be_taken_at_its_word(path: Path) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    names = {option.name for option in MIRROR_OPTIONS}
    uncommented = [line[2:] if line[2:].partition(" =")[0] in names else line for line in lines]
    assert load(path, "\n".join(uncommented)) == load(path, "\n".join(lines))


@pytest.mark.parametrize(
    ("name", "value", "read", "expected"),
    [
        ("directory", "/srv/pypi", lambda config: config.directory, Path("/srv/pypi")),
        ("directory", "/srv/py pi/100%", lambda config: config.directory, Path("/srv/py pi/100%")),
        ("directory", "/srv/pypi/", lambda config: config.directory, Path("/srv/pypi")),
        ("directory", "~/pypi", lambda config: config.directory, Path.home() / "pypi"),
        ("master", "https://index.example", lambda config: config.http.upstream_url, "https://index.example"),
        ("master", "https://index.example/", lambda config: config.http.upstream_url, "https://index.example"),
        ("master", "https://h.example:8443/a/b//", lambda config: config.http.upstream_url, "https://h.example:8443/a/b"),
        ("master", "https://u:p%40@h.example", lambda config: config.http.upstream_url, "https://u:p%40@h.example"),
        ("master", "HTTPS://index.example", lambda config: config.http.upstream_url, "https://index.example"),
        ("master", "https://[::1]:8443", lambda config: config.http.upstream_url, "https://[::1]:8443"),
        ("proxy", "http://proxy.example:3128", lambda config: config.http.proxy, "http://proxy.example:3128"),
        ("proxy", "https://u:p@proxy.example", lambda config: config.http.proxy, "https://u:p@proxy.example"),
        ("proxy", "http://u:50%off@proxy.example", lambda config: config.http.proxy, "http://u:50%off@proxy.example"),
        ("timeout", "2.5", lambda config: config.http.timeout_seconds, 2.5),
        ("timeout", "60", lambda config: config.http.timeout_seconds, 60.0),
        ("timeout", "86400", lambda config: config.http.timeout_seconds, 86400.0),
        ("global-timeout", "0", lambda config: config.http.global_timeout_seconds, 0.0),
        ("global-timeout", "18000", lambda config: config.http.global_timeout_seconds, 18_000.0),
        ("api-method", "XMLRPC", lambda config: config.http.api_method, ApiMethod.XMLRPC),
        ("api-method", "simple", lambda config: config.http.api_method, ApiMethod.SIMPLE),
        ("upstream-kind", "Simple", lambda config: config.http.kind, UpstreamKind.SIMPLE),
        ("download-mirror", "https://m.example/x/", lambda config: config.http.download_mirror, "https://m.example/x"),
        ("download-mirror", "http://m.example", lambda config: config.http.download_mirror, "http://m.example"),
        ("verifiers", "12", lambda config: config.verifiers, 12),
        ("keep_index_versions", "5", lambda config: config.pages.keep_versions, 5),
        ("keep-index-versions", "5", lambda config: config.pages.keep_versions, 5),
        ("diff-file", "/srv/changed", lambda config: config.disk.diff_file, Path("/srv/changed")),
        ("diff-file", "{{mirror_directory}}/changed", lambda config: config.disk.diff_file, Path("/srv/pypi/changed")),
        ("diff-file", "{{ mirror _ directory }}", lambda config: config.disk.diff_file, Path("/srv/pypi")),
        ("storage-backend", "filesystem", lambda config: config.warnings, ()),
        ("workers", "012", lambda config: config.workers, 12),
        ("workers", "1", lambda config: config.workers, 1),
        ("workers", "9999", lambda config: config.workers, 9999),
        ("simple-format", "html", lambda config: config.pages.simple_format, SimpleFormat.HTML),
        ("simple-format", "Json", lambda config: config.pages.simple_format, SimpleFormat.JSON),
        ("simple-format", "ALL", lambda config: config.pages.simple_format, SimpleFormat.ALL),
        ("compare-method", "hash", lambda config: config.compare_method, CompareMethod.HASH),
        ("compare-method", "STAT", lambda config: config.compare_method, CompareMethod.STAT),
        ("root_uri", "https://cdn.example/x/", lambda config: config.pages.root_uri, "https://cdn.example/x"),
        ("root_uri", "/pypi/files/", lambda config: config.pages.root_uri, "/pypi/files"),
        ("digest_name", "SHA512", lambda config: config.pages.digest_name, "sha512"),
        ("root_uri", "http://cdn.example", lambda config: config.pages.root_uri, "http://cdn.example"),
        ("deleted", "Hide", lambda config: config.removals.deleted, DeletedPolicy.HIDE),
        ("deleted", "keep", lambda config: config.removals.deleted, DeletedPolicy.KEEP),
        ("refresh", "12 hours", lambda config: config.refresh_seconds, 43_200.0),
        ("max-removals", "0", lambda config: config.removals.limit, RemovalLimit(0, 0.0)),
        ("max-removals", "250", lambda config: config.removals.limit, RemovalLimit(250, 0.0)),
        ("max-removals", "2.5%", lambda config: config.removals.limit, RemovalLimit(0, 2.5)),
        ("max-removals", "100 % or 7", lambda config: config.removals.limit, RemovalLimit(7, 100.0)),
        ("reserve", "0", lambda config: config.disk.reserve_bytes, 0),
        ("reserve", "500", lambda config: config.disk.reserve_bytes, 500),
        ("reserve", "20G", lambda config: config.disk.reserve_bytes, 20 * 2**30),
        ("reserve", "500 mb", lambda config: config.disk.reserve_bytes, 500 * 2**20),
        ("reserve", "2TiB", lambda config: config.disk.reserve_bytes, 2 * 2**40),
        *(
            ("reserve", written, lambda config: config.disk.reserve_bytes, size)
            for written, size in (
                ("1k", 1024),
                ("1.5G", 3 * 2**29),
                ("20P", 20 * 2**50),
                ("3 bytes", 3),
                ("2 gigabytes", 2**31),
                ("1 Kibibyte", 1024),
            )
        ),
        *(
            ("digest_name", name, lambda config: config.pages.digest_name, name)
            for name in DIGESTS.split(", ")
        ),
    ],
)  # fmt: skip
def test_a_value_is_read(path: Path, name: str, value: str, read: Callable[[Config], object], expected: object) -> None:
    config = load_option(path, name, value)
    assert read(config) == expected
    assert config.warnings == (() if name != "workers" or value == "1" else config.warnings)


BOOLEANS: dict[str, Callable[[Config], bool]] = {
    "allow-non-https": lambda config: config.http.allow_non_https,
    "stop-on-error": lambda config: config.stop_on_error,
    "release-files": lambda config: config.pages.release_files,
    "core-metadata": lambda config: config.pages.core_metadata,
    "json": lambda config: config.pages.legacy_json,
    "hash-index": lambda config: config.pages.hash_index,
    "static-journal": lambda config: config.pages.static_journal,
    "cleanup": lambda config: config.pages.cleanup,
    "allow-weak-hashes": lambda config: config.pages.allow_weak_hashes,
    "allow-unhashed": lambda config: config.pages.allow_unhashed,
    "download-mirror-no-fallback": lambda config: not config.http.has_download_fallback,
    "storage-filesystem-manage-permissions": lambda config: config.disk.manages_permissions,
    "diff-append-epoch": lambda config: config.disk.diff_append_epoch,
}


@pytest.mark.parametrize("name", BOOLEANS)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("true", True),
        ("Yes", True),
        ("ON", True),
        ("1", True),
        ("false", False),
        ("no", False),
        ("Off", False),
        ("0", False),
    ],
)
def test_a_truth_value_is_read_in_the_spellings_of_configparser(
    path: Path, name: str, value: str, expected: bool
) -> None:
    assert BOOLEANS[name](load_option(path, name, value)) is expected


def test_every_truth_value_of_the_table_is_tested() -> None:
    assert set(BOOLEANS) == {option.name for option in MIRROR_OPTIONS if option.default in ("true", "false")}


def test_the_path_of_a_certificate_with_its_key_is_read(path: Path) -> None:
    certificate = Path(__file__).parents[2] / "data" / "loopback.pem"
    assert load_option(path, "client-cert", str(certificate)).http.client_cert == certificate


def test_the_path_of_a_logging_configuration_is_read(path: Path, tmp_path: Path) -> None:
    (tmp_path / "logging.conf").write_text("")
    config = load_option(path, "log-config", str(tmp_path / "logging.conf"))
    assert config.log_config == tmp_path / "logging.conf"


def test_http_is_taken_where_it_is_allowed(path: Path) -> None:
    config = load_option(path, "master", "http://index.example", "allow-non-https = true")
    assert config.http == HttpConfig("http://index.example", allow_non_https=True)


# The limit of removals


@pytest.mark.parametrize(
    ("limit", "removals", "held", "is_allowed"),
    [
        (RemovalLimit(0, 0.0), 0, 0, True),
        (RemovalLimit(0, 0.0), 1, 100, False),
        (RemovalLimit(10, 0.0), 10, 10, True),
        (RemovalLimit(10, 0.0), 11, 10_000, False),
        (RemovalLimit(0, 5.0), 5, 100, True),
        (RemovalLimit(0, 5.0), 6, 100, False),
        (RemovalLimit(10, 5.0), 10, 100, True),
        (RemovalLimit(10, 5.0), 50, 1000, True),
        (RemovalLimit(10, 5.0), 51, 1000, False),
        (RemovalLimit(0, 100.0), 100, 100, True),
    ],
)
def test_the_larger_of_number_and_percentage_counts(
    limit: RemovalLimit, removals: int, held: int, is_allowed: bool
) -> None:
    assert limit.allows(removals, held) is is_allowed
