"""Reads the INI file once into a frozen ``Config``, or reports every problem in it.

The table of its options is in ``options.py``; the sections of filters are read by ``filters``.
"""

import difflib
import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TypeVar

from bandersnatch.errors import ConfigError, shown, without_credentials
from bandersnatch.filters.filters import NO_FILTERS, Filters
from bandersnatch.filters.settings import FILTER_SECTIONS, OLD_SECTIONS, Settings
from bandersnatch.ini import IniFile, read_ini
from bandersnatch.options import (
    IGNORED_MIRROR_OPTIONS,
    MIRROR_OPTIONS,
    OFF_VALUES,
    PUBLIC_PYPI,
    UNSUPPORTED_MIRROR_OPTIONS,
    UNSUPPORTED_SECTIONS,
    CompareMethod,
    DeletedPolicy,
    Option,
    OptionError,
    OptionValue,
    RemovalLimit,
    SimpleFormat,
)

_T = TypeVar("_T")

DEFAULT_PATH = Path("/etc/bandersnatch.conf")
POLITE_WORKERS = 10
SPARE_THREADS = 2
SIMILAR_ENOUGH = 0.75


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """How upstream is talked to. ``timeout_seconds`` is the longest silence that is borne."""

    upstream_url: str
    timeout_seconds: float = 10.0
    proxy: str = ""
    allow_non_https: bool = False
    workers: int = 10
    """So many requests may be under way at a time."""


@dataclass(frozen=True, slots=True)
class PagesConfig:
    """What is published, and in which form."""

    simple_format: SimpleFormat = SimpleFormat.ALL
    hash_index: bool = False
    root_uri: str = ""
    digest_name: str = "sha256"
    release_files: bool = True
    core_metadata: bool = True
    legacy_json: bool = False


@dataclass(frozen=True, slots=True)
class RemovalsConfig:
    """What becomes of what upstream deletes, and how much of it one run may carry out."""

    deleted: DeletedPolicy = DeletedPolicy.REMOVE
    limit: RemovalLimit = field(default_factory=lambda: RemovalLimit(1000, 5.0))


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; each part of the program is handed the smallest part of it that it needs."""

    directory: Path
    http: HttpConfig
    pages: PagesConfig = PagesConfig()
    filters: Filters = NO_FILTERS
    removals: RemovalsConfig = field(default_factory=RemovalsConfig)
    reserve_bytes: int = 0
    workers: int = 10
    stop_on_error: bool = False
    compare_method: CompareMethod = CompareMethod.STAT
    log_config: Path | None = None
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """What the operator may like to know, and need not be told by mail in every run."""

    @property
    def threads(self) -> int:
        """How many threads work: some write what has come, or read pages, while the workers wait for answers."""
        return self.workers + SPARE_THREADS

    @property
    def fingerprint(self) -> str:
        """One line that differs whenever a mirror made with the one configuration is not right for the other.

        Its first word is the index that it is of.
        """
        index = without_credentials(self.http.upstream_url)
        rest = f"{self.pages} {self.removals.deleted} {self.filters.fingerprint}".rstrip()
        digest = hashlib.sha256(rest.encode()).hexdigest()
        return f"{index} {digest}"

    @classmethod
    def load(cls, path: Path) -> "Config":
        """Read the file.

        Raises:
            ConfigMissingError: there is no such file.
            ConfigError: with all problems of the file, a line for each.
        """
        problems: list[str] = []
        ini = read_ini(path, problems)
        warnings: list[str] = []
        remarks: list[str] = []
        _check_sections(ini, problems, warnings)
        values: dict[str, OptionValue] = {}
        given = ini.sections.get("mirror", {})
        if "mirror" in ini.sections:
            _check_names(path, given, problems, remarks)
            values = _read_options(path, given, problems)
        _check_together(path, given, values, problems, warnings)
        filters = _read_filters(ini, problems, warnings, remarks)
        if problems:
            raise ConfigError(problems)
        return replace(_build(values), filters=filters, warnings=tuple(warnings), remarks=tuple(remarks))


def write_example(path: Path) -> None:
    """Write the commented example to ``path``, which must not exist yet.

    Raises:
        OSError: where it can't be written.
    """
    example = resources.files("bandersnatch").joinpath("bandersnatch.conf.example")
    with resources.as_file(example) as source, path.open("xb") as target, source.open("rb") as text:
        shutil.copyfileobj(text, target)


def _check_sections(ini: IniFile, problems: list[str], warnings: list[str]) -> None:
    if "mirror" not in ini.sections:
        problems.append(f"{ini.path}: there is no section [mirror]")
    known = ["mirror", *FILTER_SECTIONS, *OLD_SECTIONS, *UNSUPPORTED_SECTIONS]
    for section in ini.sections:
        if section in UNSUPPORTED_SECTIONS:
            problems.append(f"{ini.path}: [{section}]: {UNSUPPORTED_SECTIONS[section]}")
        elif section not in known:
            warnings.append(f"{ini.path}: [{section}]: unknown section, ignored{_suggestion(section, known)}")


def _read_filters(ini: IniFile, problems: list[str], warnings: list[str], remarks: list[str]) -> Filters:
    """Return the filters; how each of them is read need not be imported where none is enabled."""
    settings, filters = Settings(ini), NO_FILTERS
    if settings.has("plugins", "enabled"):
        from bandersnatch.filters.registry import read_filters  # noqa: PLC0415

        filters = read_filters(settings)
    elif settings.sections:
        sections = ", ".join(f"[{name}]" for name in settings.sections)
        warnings.append(f"{ini.path}: {sections}: without effect, since [plugins] enabled names no filter")
    problems += settings.problems
    warnings += settings.warnings
    remarks += settings.remarks
    return filters


def _check_names(path: Path, given: Mapping[str, str], problems: list[str], remarks: list[str]) -> None:
    known = [option.name for option in MIRROR_OPTIONS]
    for name in given:
        is_off = given[name].lower() in OFF_VALUES
        if re.search(r"\s[;#]", given[name]):
            problems.append(_line(path, name, given[name], "a comment must have a line of its own"))
        if name in UNSUPPORTED_MIRROR_OPTIONS:
            if not is_off and (name, given[name]) != ("storage-backend", "filesystem"):
                problems.append(_line(path, name, given[name], UNSUPPORTED_MIRROR_OPTIONS[name]))
        elif name == "delete-packages" and is_off:
            problems.append(_line(path, name, given[name], "to keep what upstream removed, write deleted = keep"))
        elif name in IGNORED_MIRROR_OPTIONS:
            remarks.append(f"{path}: [mirror] {name}: {IGNORED_MIRROR_OPTIONS[name]}")
        elif name not in known:
            problems.append(_line(path, name, given[name], f"unknown option{_suggestion(name, known)}"))


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1, cutoff=SIMILAR_ENOUGH)
    close = close or difflib.get_close_matches(name, known, n=1, cutoff=SIMILAR_ENOUGH)
    return f' (did you mean "{close[0]}"?)' if close else ""


def _read_options(path: Path, given: Mapping[str, str], problems: list[str]) -> dict[str, OptionValue]:
    values: dict[str, OptionValue] = {}
    for option in MIRROR_OPTIONS:
        text = given.get(option.name, option.default)
        if text is None:
            problems.append(f"{path}: [mirror] {option.name}: must be given: {option.help}")
            continue
        try:
            values[option.name] = _read_option(option, text)
        except OptionError as error:
            problems.append(_line(path, option.name, text, str(error)))
    return values


def _read_option(option: Option, text: str) -> OptionValue:
    """Read a value; an empty one, as the comments of old examples leave it, stands for the default."""
    return option.read(text if text or option.default is None else option.default)


def _check_together(
    path: Path,
    given: Mapping[str, str],
    values: Mapping[str, OptionValue],
    problems: list[str],
    warnings: list[str],
) -> None:
    """Check what only several options together can get wrong."""
    master, workers = values.get("master"), values.get("workers")
    if isinstance(master, str) and master.startswith("http://") and values.get("allow-non-https") is False:
        problems.append(
            _line(path, "master", given["master"], "expected https://, or allow-non-https = true beside it")
        )
    if isinstance(workers, int) and workers > POLITE_WORKERS and master == PUBLIC_PYPI:
        warnings.append(
            f"{path}: [mirror] workers = {workers}: PyPI asks its clients for few requests at a time; "
            f"more than {POLITE_WORKERS} may be taken for an attack"
        )
    if values.get("deleted") is DeletedPolicy.KEEP and values.get("simple-format") is SimpleFormat.HTML:
        problems.append(
            _line(path, "simple-format", "HTML", "expected ALL or JSON, since with deleted = keep the JSON page is what "
                  "tells of the files that upstream no longer lists")
        )  # fmt: skip
    digest_name = values.get("digest_name")
    if values.get("release-files") is False and digest_name not in (None, "sha256"):
        problems.append(
            _line(path, "digest_name", str(digest_name), "expected sha256, the one that upstream's pages have, "
                  "since with release-files = false there is no file to compute another from")
        )  # fmt: skip


def _line(path: Path, name: str, value: str, reason: str) -> str:
    safe = value
    if "@" in value:  # the value may hold a password, be it a URL or not
        scheme, separator, _ = value.rpartition("@")[0].partition("://")
        safe = f"{scheme if separator else ''}{separator}***@{value.rpartition('@')[2]}"
    return f"{path}: [mirror] {name} = {shown(safe)}: {reason}"


def _build(values: Mapping[str, OptionValue]) -> Config:
    def value(name: str, kind: type[_T]) -> _T:
        found = values[name]
        assert isinstance(found, kind), f"the table of options reads {name} as {type(found)}"
        return found

    log_config = values["log-config"]
    return Config(
        directory=value("directory", Path),
        http=HttpConfig(
            upstream_url=value("master", str),
            timeout_seconds=value("timeout", float),
            proxy=value("proxy", str),
            allow_non_https=value("allow-non-https", bool),
            workers=value("workers", int),
        ),
        pages=PagesConfig(
            simple_format=value("simple-format", SimpleFormat),
            hash_index=value("hash-index", bool),
            root_uri=value("root_uri", str),
            digest_name=value("digest_name", str),
            release_files=value("release-files", bool),
            core_metadata=value("core-metadata", bool),
            legacy_json=value("json", bool),
        ),
        removals=RemovalsConfig(value("deleted", DeletedPolicy), value("max-removals", RemovalLimit)),
        reserve_bytes=value("reserve", int),
        workers=value("workers", int),
        stop_on_error=value("stop-on-error", bool),
        compare_method=value("compare-method", CompareMethod),
        log_config=log_config if isinstance(log_config, Path) else None,
    )
