"""Reads the INI file once into a frozen ``Config``, or reports every problem in it.

``config/mirror_section.py`` reads the section ``[mirror]``, ``filters`` the sections of filters.
"""

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from bandersnatch.config.config_file import read_config_file
from bandersnatch.config.fingerprint import form_text, part, renewed
from bandersnatch.config.mirror_section import MirrorSection
from bandersnatch.config.option_groups import DiskConfig, HttpConfig, PagesConfig, RemovalsConfig, UpstreamConfig
from bandersnatch.config.sections import check_sections
from bandersnatch.errors import ConfigError
from bandersnatch.filters.filters import NO_FILTERS, Filters
from bandersnatch.filters.ownership import Claim, Owners
from bandersnatch.filters.settings import Settings
from bandersnatch.inifile.ini import in_order_of_lines
from bandersnatch.inifile.option import (
    ApiMethod,
    CompareMethod,
    DeletedPolicy,
    OptionValue,
    RemovalLimit,
    SimpleFormat,
    UpstreamKind,
)
from bandersnatch.shown_text import without_credentials

if TYPE_CHECKING:
    from bandersnatch.config.upstream_sections import UpstreamSection

_T = TypeVar("_T")

DEFAULT_PATH = Path("/etc/bandersnatch.conf")
SPARE_THREADS = 2
UPSTREAMS = "upstreams"
"""The folder in the mirror's directory that has a folder of records for each index but that of ``[mirror]``."""


class SharedTree(Struct, frozen=True):
    """The tree of one index: the ``directory`` of the whole mirror, the ``owners`` of its projects, and who we are in it.

    ``name`` is that of the index's section, None for ``[mirror]``; ``names`` are those of all sections that share the tree.
    """

    directory: Path
    name: str | None = None
    names: tuple[str, ...] = ()
    owners: Owners = Owners()

    def folder(self, name: str | None) -> Path:
        """Return the folder with the records of an index."""
        return self.directory if name is None else self.directory / UPSTREAMS / name


class Config(Struct, frozen=True):
    """The whole configuration; each part of the program gets only the part of it that it needs."""

    directory: Path
    http: HttpConfig
    """Of the index of ``[mirror]``."""
    upstreams: tuple[UpstreamConfig, ...] = ()
    """The other indexes, in the order of the file."""
    tree: SharedTree | None = None
    """Who else has projects in the same tree, for the configuration of one index of several."""
    pages: PagesConfig = PagesConfig()
    filters: Filters = NO_FILTERS
    removals: RemovalsConfig = field(default_factory=RemovalsConfig)
    disk: DiskConfig = DiskConfig()
    workers: int = 10
    verifiers: int = 3
    stop_on_error: bool = False
    compare_method: CompareMethod = CompareMethod.STAT
    log_config: Path | None = None
    says_what_is_enabled: bool = False
    """Whether the file says which filters are enabled, even if it says none."""
    refresh_seconds: float = 30 * 86_400.0
    """The time within which each project is checked again, changed or not; 0 means never."""
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """Notes that the operator may want to see, but that should not be mailed by cron after every run."""

    @property
    def owners(self) -> Owners:
        """Which of the indexes owns which projects."""
        return Owners(tuple(Claim(each.name, pattern) for each in self.upstreams for pattern in each.projects))

    @property
    def threads(self) -> int:
        """How many threads run: the workers, and spare ones to write files and parse pages while those wait for upstream."""
        return self.workers + SPARE_THREADS

    def with_workers(self, workers: int) -> "Config":
        """Return a copy with another number of workers."""
        return replace(self, workers=workers, http=replace(self.http, workers=workers))

    @property
    def fingerprint(self) -> str:
        """One line that changes whenever a mirror made with the old configuration would be wrong for the new one."""
        form = {
            "simple-format": self.pages.simple_format.value,
            "hash-index": self.pages.hash_index,
            "root_uri": self.pages.root_uri,
            "digest_name": self.pages.digest_name,
            "release-files": self.pages.release_files,
            "core-metadata": self.pages.core_metadata,
            "json": self.pages.legacy_json,
            "keep_index_versions": self.pages.keep_versions,
            "cleanup": self.pages.cleanup,
            "deleted": self.removals.deleted.value,
        }
        later = {"allow-weak-hashes": self.pages.allow_weak_hashes, "allow-unhashed": self.pages.allow_unhashed}
        form |= {name: value for name, value in later.items() if value}
        # Filters of names are a part of their own: if only they change, no held page needs to be sent again.
        parts = {"form": form_text(form), "pages": self.filters.of_pages.text, "names": self.filters.of_names.text}
        return " ".join((without_credentials(self.http.upstream_url), *(part(name, parts[name]) for name in parts)))

    def renewed(self, fingerprint: str) -> str:
        """Return a stored fingerprint in today's form, if an older version of this code wrote it."""
        return renewed(fingerprint, self.fingerprint, self._fingerprint_before)

    def _fingerprint_before(self) -> str:
        """Return the fingerprint of this configuration in the form used before 9.0."""
        # Mirrors hold digests of exactly this text: the class names in it must not follow a renaming of the classes.
        pages = self.pages
        form = (
            f"PagesConfig(simple_format={pages.simple_format!r}, hash_index={pages.hash_index}, "
            f"root_uri={pages.root_uri!r}, digest_name={pages.digest_name!r}, release_files={pages.release_files}, "
            f"core_metadata={pages.core_metadata}, legacy_json={pages.legacy_json}, "
            f"keep_versions={pages.keep_versions}, cleanup={pages.cleanup}) {self.removals.deleted}"
        )
        texts = (form, self.filters.of_pages.text_before, self.filters.of_names.text_before)
        digests = (hashlib.sha256(text.encode()).hexdigest() if text else "-" for text in texts)
        return " ".join((without_credentials(self.http.upstream_url), *digests))

    @classmethod
    def load(cls, path: Path) -> "Config":
        """Read the file.

        Raises:
            ConfigMissingError: there is no such file.
            ConfigError: the file has problems; the error lists all of them, a line each.
        """
        problems: list[str] = []
        ini = read_config_file(path, problems)
        warnings: list[str] = []
        remarks: list[str] = []
        sections = check_sections(ini, problems, warnings, remarks)
        values: dict[str, OptionValue] = {}
        if "mirror" in ini.sections:
            section = MirrorSection(ini)
            values = section.read()
            problems += section.problems
            warnings += section.warnings
            remarks += section.remarks
        settings = Settings(ini)
        filters = _read_filters(settings, problems, warnings, remarks)
        # Only here, so that the problems of all sections are reported at once.
        if problems:
            raise ConfigError(in_order_of_lines(path, problems))
        config = _build(values)
        return replace(
            config,
            upstreams=tuple(_upstream(section, config.http) for section in sections),
            filters=filters,
            says_what_is_enabled=settings.says_what_is_enabled,
            warnings=tuple(warnings),
            remarks=tuple(remarks),
        )


def _read_filters(settings: Settings, problems: list[str], warnings: list[str], remarks: list[str]) -> Filters:
    """Return the filters; the code that reads them is imported only if any are configured."""
    filters = NO_FILTERS
    if settings.sections:
        from bandersnatch.filters.registry import read_filters  # noqa: PLC0415 - it takes most of the import time of filters

        filters = read_filters(settings)
    problems += settings.problems
    warnings += settings.warnings
    remarks += settings.remarks
    return filters


def _value(values: Mapping[str, OptionValue], name: str, kind: type[_T]) -> _T:
    found = values[name]
    assert isinstance(found, kind), f"the table of options reads {name} as {type(found)}"
    return found


def _path(values: Mapping[str, OptionValue], name: str) -> Path | None:
    return _value(values, name, Path) if values[name] is not None else None


def _upstream(section: "UpstreamSection", of_mirror: HttpConfig) -> UpstreamConfig:
    """Return one of the other indexes. What could show who we are, or what could be read on the way, it must say itself."""
    value = partial(_value, section.values)
    http = replace(
        of_mirror,
        upstream_url=value("master", str),
        kind=value("upstream-kind", UpstreamKind),
        api_method=value("api-method", ApiMethod),
        allow_non_https=value("allow-non-https", bool),
        client_cert=_path(section.values, "client-cert"),
        proxy=value("proxy", str) or of_mirror.proxy,
        download_mirror="",  # it has the files of [mirror]'s index
        has_download_fallback=True,
    )
    return UpstreamConfig(section.name, http, section.projects, section.prefix)


def _build(values: Mapping[str, OptionValue]) -> Config:
    value = partial(_value, values)
    return Config(
        directory=value("directory", Path),
        http=_http(values),
        pages=_pages(values),
        removals=RemovalsConfig(value("deleted", DeletedPolicy), value("max-removals", RemovalLimit)),
        disk=DiskConfig(
            reserve_bytes=value("reserve", int),
            manages_permissions=value("storage-filesystem-manage-permissions", bool),
            diff_file=_path(values, "diff-file"),
            diff_append_epoch=value("diff-append-epoch", bool),
        ),
        workers=value("workers", int),
        verifiers=value("verifiers", int),
        stop_on_error=value("stop-on-error", bool),
        compare_method=value("compare-method", CompareMethod),
        log_config=_path(values, "log-config"),
        refresh_seconds=value("refresh", float),
    )


def _http(values: Mapping[str, OptionValue]) -> HttpConfig:
    value = partial(_value, values)
    return HttpConfig(
        upstream_url=value("master", str),
        timeout_seconds=value("timeout", float),
        global_timeout_seconds=value("global-timeout", float),
        proxy=value("proxy", str),
        client_cert=_path(values, "client-cert"),
        allow_non_https=value("allow-non-https", bool),
        download_mirror=value("download-mirror", str),
        has_download_fallback=not value("download-mirror-no-fallback", bool),
        api_method=value("api-method", ApiMethod),
        kind=value("upstream-kind", UpstreamKind),
        workers=value("workers", int),
    )


def _pages(values: Mapping[str, OptionValue]) -> PagesConfig:
    value = partial(_value, values)
    return PagesConfig(
        simple_format=value("simple-format", SimpleFormat),
        hash_index=value("hash-index", bool),
        root_uri=value("root_uri", str),
        digest_name=value("digest_name", str),
        release_files=value("release-files", bool),
        core_metadata=value("core-metadata", bool),
        legacy_json=value("json", bool),
        keep_versions=value("keep_index_versions", int),
        cleanup=value("cleanup", bool),
        static_journal=value("static-journal", bool),
        allow_weak_hashes=value("allow-weak-hashes", bool),
        allow_unhashed=value("allow-unhashed", bool),
    )
