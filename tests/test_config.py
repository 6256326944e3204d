"""The configuration file: every option, every mistake, all mistakes at once."""

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.config import Config, DiskConfig, HttpConfig, PagesConfig, RemovalsConfig, write_example
from bandersnatch.errors import ConfigError, ConfigMissingError
from bandersnatch.option_tables import BACKEND_SECTIONS, IGNORED_MIRROR_OPTIONS, MIRROR_OPTIONS
from bandersnatch.options import (
    ApiMethod,
    CompareMethod,
    DeletedPolicy,
    RemovalLimit,
    SimpleFormat,
)
from tests.builders import unhurried

EXAMPLE = Path(__file__).parent.parent / "bandersnatch.conf.example"
PUBLIC = "https://pypi.org"
DIGESTS = (
    "blake2b, blake2b_256, blake2s, md5, sha1, sha224, sha256, sha384, sha3_224, sha3_256, sha3_384, sha3_512, sha512"
)
BOOLEAN = "expected true or false"
WORKERS = "expected a whole number from 1 up"
SECONDS = "expected a number of seconds above 0, such as 10 or 2.5"
LIMIT_SECONDS = "expected a number of seconds, such as 1800, or 0 for no limit"
LIMIT = "expected a number, a percentage, or both, such as 5% or 1000"
DIRECTORY = "expected an absolute path, such as /srv/pypi"
URL = "expected a URL with http or https, such as https://host.example"
PROXY = "expected a URL with http or https or socks4 or socks4a or socks5 or socks5h, such as http://host.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


def load(path: Path, text: str) -> Config:
    path.write_text(text, encoding="utf-8")
    return Config.load(path)


def load_option(path: Path, name: str, value: str, *more: str) -> Config:
    return load(path, _one_option(name, value, *more))


def problems_of(path: Path, text: str) -> list[str]:
    """Return the problems of a file, without its path, which each of them must begin with."""
    with pytest.raises(ConfigError) as caught:
        load(path, text)
    assert str(caught.value) == "\n".join(caught.value.problems)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def problem_with(path: Path, name: str, value: str, *more: str) -> str:
    (problem,) = problems_of(path, _one_option(name, value, *more))
    return problem


def _one_option(name: str, value: str, *more: str) -> str:
    directory = [] if name == "directory" else ["directory = /srv/pypi"]
    return "\n".join(["[mirror]", *directory, f"{name} = {value}", *more]) + "\n"


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
        assert f"; {option}\n" in text
    assert load(path, text) == load(path, "[mirror]\ndirectory = /srv/pypi\n")


def test_the_example_can_be_taken_at_its_word(path: Path) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    names = {option.name for option in MIRROR_OPTIONS}
    uncommented = [line[2:] if line[2:].partition(" =")[0] in names else line for line in lines]
    assert load(path, "\n".join(uncommented)) == load(path, "\n".join(lines))


def test_the_example_is_written_with_its_comments(path: Path) -> None:
    write_example(path)
    assert path.read_bytes() == EXAMPLE.read_bytes()


def test_the_example_is_never_written_over_a_file(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_example(path)
    assert path.read_text() == "mine"


# Values


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
        ("download-mirror", "https://m.example/x/", lambda config: config.http.download_mirror, "https://m.example/x"),
        ("download-mirror", "http://m.example", lambda config: config.http.download_mirror, "http://m.example"),
        ("verifiers", "12", lambda config: config.verifiers, 12),
        ("keep_index_versions", "5", lambda config: config.pages.keep_versions, 5),
        ("keep-index-versions", "5", lambda config: config.pages.keep_versions, 5),
        ("diff-file", "/srv/changed", lambda config: config.disk.diff_file, Path("/srv/changed")),
        ("diff-file", "{{mirror_directory}}/changed", lambda config: config.disk.diff_file, Path("/srv/pypi/changed")),
        ("diff-file", "{{ mirror _ directory }}", lambda config: config.disk.diff_file, Path("/srv/pypi")),
        ("storage-backend", "filesystem", lambda config: config.warnings, ()),
        ("workers", "1", lambda config: config.workers, 1),
        ("workers", "9999", lambda config: config.workers, 9999),
        ("simple-format", "html", lambda config: config.pages.simple_format, SimpleFormat.HTML),
        ("simple-format", "Json", lambda config: config.pages.simple_format, SimpleFormat.JSON),
        ("simple-format", "ALL", lambda config: config.pages.simple_format, SimpleFormat.ALL),
        ("compare-method", "hash", lambda config: config.compare_method, CompareMethod.HASH),
        ("compare-method", "STAT", lambda config: config.compare_method, CompareMethod.STAT),
        ("root_uri", "https://cdn.example/x/", lambda config: config.pages.root_uri, "https://cdn.example/x"),
        ("root_uri", "http://cdn.example", lambda config: config.pages.root_uri, "http://cdn.example"),
        ("deleted", "Hide", lambda config: config.removals.deleted, DeletedPolicy.HIDE),
        ("deleted", "keep", lambda config: config.removals.deleted, DeletedPolicy.KEEP),
        ("max-removals", "0", lambda config: config.removals.limit, RemovalLimit(0, 0.0)),
        ("max-removals", "250", lambda config: config.removals.limit, RemovalLimit(250, 0.0)),
        ("max-removals", "2.5%", lambda config: config.removals.limit, RemovalLimit(0, 2.5)),
        ("max-removals", "100 % or 7", lambda config: config.removals.limit, RemovalLimit(7, 100.0)),
        ("reserve", "0", lambda config: config.disk.reserve_bytes, 0),
        ("reserve", "500", lambda config: config.disk.reserve_bytes, 500),
        ("reserve", "20G", lambda config: config.disk.reserve_bytes, 20 * 2**30),
        ("reserve", "500 mb", lambda config: config.disk.reserve_bytes, 500 * 2**20),
        ("reserve", "2TiB", lambda config: config.disk.reserve_bytes, 2 * 2**40),
        ("reserve", "1k", lambda config: config.disk.reserve_bytes, 1024),
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
    "cleanup": lambda config: config.pages.cleanup,
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


def test_the_path_of_a_logging_configuration_is_read(path: Path, tmp_path: Path) -> None:
    (tmp_path / "logging.conf").write_text("")
    config = load_option(path, "log-config", str(tmp_path / "logging.conf"))
    assert config.log_config == tmp_path / "logging.conf"


def test_http_is_taken_where_it_is_allowed(path: Path) -> None:
    config = load_option(path, "master", "http://index.example", "allow-non-https = true")
    assert config.http == HttpConfig("http://index.example", allow_non_https=True)


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
        ("workers", "-1", WORKERS),
        ("workers", "2.5", WORKERS),
        ("workers", "\u0663", WORKERS),
        ("workers", "1000000", WORKERS),
        *(("verifiers", value, WORKERS) for value in ("0", "x", "-1")),
        *(("global-timeout", value, LIMIT_SECONDS) for value in ("-1", "x", "nan", "604801")),
        ("api-method", "json", "expected auto, xmlrpc or simple"),
        ("download-mirror", "mirror.example", URL),
        ("download-mirror", "https://m.example/packages", "expected the URL without /packages, which is added to it"),
        *((name, "maybe", BOOLEAN) for name in ("download-mirror-no-fallback", "cleanup", "diff-append-epoch")),
        ("storage-filesystem-manage-permissions", "0644", BOOLEAN),
        *(("keep_index_versions", value, "expected a whole number from 0 up") for value in ("-1", "x", "1.5")),
        ("storage-backend", "s3", "the backend for S3 is planned, and not there yet; expected filesystem"),
        ("storage-backend", "swift",
         "there is no backend for Swift, and S3 is the one that is planned; expected filesystem"),
        ("storage-backend", "ftp", "expected filesystem, the only backend there is"),
        ("diff-file", "changed", DIRECTORY),
        ("diff-file", "{{mirror_no}}",
         "{{mirror_no}} stands for the option no of [mirror], which is not in the file"),
        ("diff-file", "/srv/{{directory}}",
         "expected {{section_option}} between the braces, such as {{mirror_directory}}"),
        ("stop-on-error", "maybe", BOOLEAN),
        ("allow-non-https", "2", BOOLEAN),
        ("release-files", "true, false", BOOLEAN),
        ("core-metadata", "t", BOOLEAN),
        ("json", "none", BOOLEAN),
        ("hash-index", "y", BOOLEAN),
        ("compare-method", "mtime", "expected hash or stat"),
        ("deleted", "maybe", "expected remove, hide or keep"),
        *(("max-removals", value, LIMIT) for value in ("x", "-1", "101%", "%", "5 or 3%", "5%1000", "\u0665")),
        *(
            ("reserve", value, "expected a size such as 500M or 20G")
            for value in ("x", "-1", "1.5G", "20P", "G", "10%")
        ),
        ("simple-format", "XML", "expected ALL, HTML or JSON"),
        ("root_uri", "cdn.example", URL),
        ("root_uri", "/packages", URL),
        ("root_uri", "https://cdn.example/packages/x", "expected the URL without /packages, which is added to it"),
        ("digest_name", "SHA256", f"expected one of {DIGESTS}"),
        ("digest_name", "shake_128", f"expected one of {DIGESTS}"),
        ("digest_name", "crc32", f"expected one of {DIGESTS}"),
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


# Unknown names


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("wokers", ' (did you mean "workers"?)'),
        ("Workers", ' (did you mean "workers"?)'),
        ("simple_format", ' (did you mean "simple-format"?)'),
        ("root-uri", ' (did you mean "root_uri"?)'),
        ("digest-name", ' (did you mean "digest_name"?)'),
        ("stop_on_eror", ' (did you mean "stop-on-error"?)'),
        ("directorry", ' (did you mean "directory"?)'),
        ("colour", ""),
    ],
)
def test_an_unknown_option_is_an_error_with_a_suggestion(path: Path, name: str, suggestion: str) -> None:
    assert problem_with(path, name, "3") == f"[mirror] {name} = 3: unknown option{suggestion}"


@pytest.mark.parametrize("name", IGNORED_MIRROR_OPTIONS)
def test_an_option_that_is_not_needed_is_a_remark(path: Path, name: str) -> None:
    remarks = load_option(path, name, "x").remarks
    assert remarks == (f"{path}: [mirror] {name}: {IGNORED_MIRROR_OPTIONS[name]}",)


@pytest.mark.parametrize("section", BACKEND_SECTIONS)
def test_the_section_of_another_backend_is_a_remark(path: Path, section: str) -> None:
    config = load(path, f"[mirror]\ndirectory = /srv/pypi\n[{section}]\nregion_name = x\n")
    assert config.remarks == (f"{path}: [{section}]: {BACKEND_SECTIONS[section]}",)
    assert config.warnings == ()


def test_of_two_spellings_the_one_that_counted_before_counts(path: Path) -> None:
    config = load_option(path, "keep-index-versions", "9", "keep_index_versions = 2")
    assert config.pages.keep_versions == 2
    assert config.remarks == (
        f"{path}: [mirror] keep-index-versions: not used, since keep_index_versions stands there too",
    )


def test_a_missing_download_mirror_is_a_warning(path: Path) -> None:
    (warning,) = load_option(path, "download-mirror-no-fallback", "true").warnings
    assert warning.endswith("not used, since there is no download-mirror")


def test_what_upstream_removed_is_not_removed_against_the_operators_word(path: Path) -> None:
    assert problem_with(path, "delete-packages", "false").endswith(
        ": to keep what upstream removed, write deleted = keep"
    )


def test_an_empty_delete_packages_says_nothing(path: Path) -> None:
    assert load_option(path, "delete-packages", "").removals.deleted is DeletedPolicy.REMOVE


def test_all_that_stands_there_twice_is_told_with_the_other_problems(path: Path) -> None:
    text = "[mirror]\ndirectory = /a\njson = 1\njson = 0\nwokers = 2\n[mirror]\ndirectory = /b\n"
    assert problems_of(path, text) == [
        "line 4: [mirror] json stands there twice",
        "line 6: the section [mirror] stands there twice",
        "line 7: [mirror] directory stands there twice",
        '[mirror] wokers = 2: unknown option (did you mean "workers"?)',
    ]


@pytest.mark.parametrize(
    ("section", "suggestion"),
    [
        ("statistics", ""),
        ("allow_list", ' (did you mean "allowlist"?)'),
        ("DEFAULT", ""),
        ("Mirror", ' (did you mean "mirror"?)'),
    ],
)
def test_an_unknown_section_is_a_warning(path: Path, section: str, suggestion: str) -> None:
    config = load(path, f"[mirror]\ndirectory = /srv/pypi\n[{section}]\nworkers = 1\n")
    assert config.warnings == (f"{path}: [{section}]: unknown section, ignored{suggestion}",)
    assert config.workers == 10


def test_many_workers_are_a_warning_against_the_public_index(path: Path) -> None:
    (warning,) = load_option(path, "workers", "11").warnings
    assert warning.startswith(f"{path}: [mirror] workers = 11: PyPI asks its clients for few requests at a time")


@pytest.mark.parametrize(("workers", "master"), [("10", PUBLIC), ("100", "https://index.example")])
def test_a_polite_number_of_workers_or_another_index_is_none(path: Path, workers: str, master: str) -> None:
    assert load_option(path, "workers", workers, f"master = {master}").warnings == ()


# Files


def test_all_problems_are_told_at_once(path: Path) -> None:
    text = "[mirror]\nworkers = ten\nwokers = 3\ntimeout = 0\nmaster = http://x.example\n[allowlist]\npackage = a\n"
    problems = problems_of(path, text)
    assert len(problems) == 6
    for words in (
        "[allowlist]",
        "wokers = 3",
        "directory: must be given",
        "workers = ten",
        "timeout = 0",
        "master = http",
    ):
        assert sum(words in problem for problem in problems) == 1


def test_a_file_that_is_not_there_is_missing(path: Path) -> None:
    with pytest.raises(ConfigMissingError, match="there is no such file"):
        Config.load(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path}: can't be read: Is a directory$"):
        Config.load(tmp_path)


def test_a_file_below_a_file_can_not_be_read(path: Path) -> None:
    path.write_text("")
    with pytest.raises(ConfigError, match="can't be read: Not a directory"):
        Config.load(path / "x")


def test_an_empty_file_has_no_section(path: Path) -> None:
    assert problems_of(path, "") == ["there is no section [mirror]"]


def test_a_directory_must_be_given(path: Path) -> None:
    assert problems_of(path, "[mirror]\n") == [
        "[mirror] directory: must be given: where the mirror lies; web/ below it is for the web server"
    ]


def test_text_that_is_no_utf8_is_told_with_its_place(path: Path) -> None:
    path.write_bytes(b"[mirror]\ndirectory = /srv/\xff\n")
    with pytest.raises(ConfigError, match=f"^{path}: is not UTF-8 text: invalid start byte at byte 26$"):
        Config.load(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("directory = /x\n", "line 1: expected a section such as [mirror] first, not 'directory = /x'"),
        ("[mirror]\nnonsense\n", "line 2: expected name = value, not 'nonsense'"),
        ("[mirror]\ndirectory: /x\n", "line 2: expected name = value, not 'directory: /x'"),
        ("[mirror]\n= x\n", "line 2: expected name = value, not '= x'"),
    ],
)
def test_a_file_that_is_no_ini_is_told_with_the_line(path: Path, text: str, problem: str) -> None:
    assert problems_of(path, text) == [problem]


def test_a_byte_order_mark_does_no_harm(path: Path) -> None:
    assert load(path, "\ufeff[mirror]\ndirectory = /srv/pypi\n").directory == Path("/srv/pypi")


def test_a_doubled_percent_sign_is_one(path: Path) -> None:
    assert load_option(path, "proxy", "http://u:50%%41@proxy.example").http.proxy == "http://u:50%41@proxy.example"


def test_a_percent_sign_is_only_that(path: Path) -> None:
    assert load_option(path, "root_uri", "https://h.example/%(directory)s/%41").pages.root_uri == (
        "https://h.example/%(directory)s/%41"
    )


def test_comments_have_a_line_of_their_own(path: Path) -> None:
    text = "; one\n[mirror]\n# two\ndirectory = /srv/a;b#c\n"
    assert load(path, text).directory == Path("/srv/a;b#c")


@pytest.mark.parametrize("comment", [" ; c", " # c"])
def test_a_comment_behind_a_value_is_an_error(path: Path, comment: str) -> None:
    assert problem_with(path, "directory", f"/srv/a{comment}").endswith(": a comment must have a line of its own")


def test_names_of_options_are_case_sensitive(path: Path) -> None:
    assert problem_with(path, "JSON", "true") == '[mirror] JSON = true: unknown option (did you mean "json"?)'


names = st.sampled_from([option.name for option in MIRROR_OPTIONS]) | st.text(max_size=8)
pieces = st.sampled_from(
    [
        "http://",
        "https://",
        "socks5://",
        "@",
        ":",
        "/",
        "[",
        "]",
        "~",
        "~x",
        "%",
        "9",
        "\0",
        "\n ",
        "\n",
        " ",
        "#",
        "a",
        "ü",
    ]
)
values = st.text(max_size=12) | st.lists(pieces, max_size=6).map("".join)


@unhurried
@given(st.lists(st.tuples(names, values), max_size=5))
@example([("proxy", "http://[@x")])
@example([("workers", "9" * 5000)])
@example([("directory", "~x")])
@example([("directory", "~\0")])
def test_any_values_are_a_configuration_or_an_error(options: list[tuple[str, str]]) -> None:
    assert_loads_or_is_refused("[mirror]\n" + "".join(f"{name} = {value}\n" for name, value in options))


@unhurried
@given(st.text() | st.lists(st.sampled_from(["[", "]", "mirror", "=", "\n", " ", "directory", "/", ";"])).map("".join))
def test_any_text_is_a_configuration_or_an_error(text: str) -> None:
    assert_loads_or_is_refused(text)


@unhurried
@given(st.binary())
def test_any_bytes_are_a_configuration_or_an_error(data: bytes) -> None:
    assert_loads_or_is_refused(data)


def assert_loads_or_is_refused(content: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bandersnatch.conf"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            config = Config.load(path)
        except ConfigError as error:
            problems = error.problems
        else:
            problems = [] if config.directory.is_absolute() else ["the directory is relative"]
            assert problems == []
            return
    assert problems


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


# The fingerprint


@pytest.mark.parametrize(
    "line",
    [
        "simple-format = JSON",
        "hash-index = true",
        "root_uri = https://cdn.example",
        "digest_name = md5",
        "release-files = false",
        "core-metadata = false",
        "json = true",
        "deleted = keep",
        "deleted = hide",
        "keep_index_versions = 3",
        "cleanup = true",
    ],
)
def test_the_fingerprint_differs_with_each_option_that_pages_show(path: Path, line: str) -> None:
    plain = load_option(path, "workers", "1").fingerprint
    assert load_option(path, "workers", "1", line).fingerprint != plain


@pytest.mark.parametrize(
    "line",
    [
        "workers = 2",
        "timeout = 5",
        "stop-on-error = true",
        "compare-method = hash",
        "max-removals = 7",
        "reserve = 1G",
        "verifiers = 9",
        "global-timeout = 9",
        "api-method = simple",
        "download-mirror = https://m.example",
        "diff-file = /srv/changed",
        "storage-filesystem-manage-permissions = false",
    ],
)
def test_the_fingerprint_does_not_differ_with_options_that_pages_do_not_show(path: Path, line: str) -> None:
    plain = load_option(path, "proxy", "").fingerprint
    assert load_option(path, "proxy", "", line).fingerprint == plain
