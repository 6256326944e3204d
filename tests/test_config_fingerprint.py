"""The fingerprint of a configuration: it differs where pages do."""

from pathlib import Path

import pytest

from tests.config_text import load_option


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


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
