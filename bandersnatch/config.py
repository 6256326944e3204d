"""Reads the INI file once into a frozen ``Config``, or reports every problem in it.

Nobody else sees ``configparser``. The table of options is in ``options.py``.
"""

import configparser
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TypeVar

from bandersnatch.errors import ConfigError, ConfigMissingError, shown, without_credentials
from bandersnatch.mirror_section import MirrorSection, suggestion
from bandersnatch.option_tables import BACKEND_SECTIONS
from bandersnatch.options import (
    UNSUPPORTED_SECTIONS,
    ApiMethod,
    CompareMethod,
    DeletedPolicy,
    OptionValue,
    RemovalLimit,
    SimpleFormat,
)

_T = TypeVar("_T")

DEFAULT_PATH = Path("/etc/bandersnatch.conf")


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """How upstream is talked to.

    ``timeout_seconds`` is the longest silence that is borne; ``global_timeout_seconds`` the longest that one attempt at a
    document may take, and 0 stands for no limit.
    """

    upstream_url: str
    timeout_seconds: float = 10.0
    global_timeout_seconds: float = 1800.0
    proxy: str = ""
    allow_non_https: bool = False
    download_mirror: str = ""
    has_download_fallback: bool = True
    api_method: ApiMethod = ApiMethod.AUTO


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
    keep_versions: int = 0
    """How many versions of each page are kept in ``versions/``; with 0 the pages are plain files."""
    cleanup: bool = False


@dataclass(frozen=True, slots=True)
class RemovalsConfig:
    """What becomes of what upstream deletes, and how much of it one run may carry out."""

    deleted: DeletedPolicy = DeletedPolicy.REMOVE
    limit: RemovalLimit = field(default_factory=lambda: RemovalLimit(1000, 5.0))


@dataclass(frozen=True, slots=True)
class DiskConfig:
    """How files are written, and where the list of what a run has written goes; ``reserve_bytes`` stay free."""

    reserve_bytes: int = 0
    manages_permissions: bool = True
    diff_file: Path | None = None
    diff_append_epoch: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; each part of the program is handed the smallest part of it that it needs."""

    directory: Path
    http: HttpConfig
    pages: PagesConfig = PagesConfig()
    removals: RemovalsConfig = field(default_factory=RemovalsConfig)
    disk: DiskConfig = DiskConfig()
    workers: int = 10
    verifiers: int = 3
    stop_on_error: bool = False
    compare_method: CompareMethod = CompareMethod.STAT
    log_config: Path | None = None
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """What the operator may like to know, and need not be told by mail in every run."""

    @property
    def fingerprint(self) -> str:
        """One line that differs whenever pages written with the one configuration are not right for the other.

        Its first word is the index that they are of.
        """
        index = without_credentials(self.http.upstream_url)
        digest = hashlib.sha256(f"{self.pages} {self.removals.deleted}".encode()).hexdigest()
        return f"{index} {digest}"

    @classmethod
    def load(cls, path: Path) -> "Config":
        """Read the file.

        Raises:
            ConfigMissingError: there is no such file.
            ConfigError: with all problems of the file, a line for each.
        """
        problems: list[str] = []
        parser = parse_ini(path, problems)
        warnings: list[str] = []
        remarks: list[str] = []
        _check_sections(path, parser, problems, warnings, remarks)
        values: dict[str, OptionValue] = {}
        if parser.has_section("mirror"):
            section = MirrorSection(path, parser)
            values = section.read()
            problems += section.problems
            warnings += section.warnings
            remarks += section.remarks
        if problems:
            raise ConfigError(problems)
        return _build(values, tuple(warnings), tuple(remarks))


def write_example(path: Path) -> None:
    """Write the commented example to ``path``, which must not exist yet.

    Raises:
        OSError: where it can't be written.
    """
    example = resources.files("bandersnatch").joinpath("bandersnatch.conf.example")
    with resources.as_file(example) as source, path.open("xb") as target, source.open("rb") as text:
        shutil.copyfileobj(text, target)


def parse_ini(path: Path, problems: list[str]) -> configparser.ConfigParser:
    """Read the sections of a file, and add what stands there twice to the problems.

    Raises:
        ConfigMissingError: there is no such file.
        ConfigError: it can't be read, or is no INI file.
    """
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, default_section="", strict=False)
    parser.optionxform = str  # type: ignore[method-assign, assignment]  # names are case-sensitive, as ever
    try:
        text = path.read_text(encoding="utf-8-sig")
        parser.read_string(text, str(path))
    except FileNotFoundError as error:
        raise ConfigMissingError(path) from error
    except OSError as error:
        raise ConfigError([f"{path}: can't be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}"]) from error
    except configparser.Error as error:
        raise ConfigError([f"{path}: {line}" for line in _explain(error, text)]) from error
    problems += [f"{path}: {line}" for line in _find_duplicates(text)]
    return parser


def _find_duplicates(text: str) -> Iterator[str]:
    """Yield what stands in a file twice; ``configparser`` itself would tell of the first one only."""
    seen: set[str] = set()
    section, indent = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\[(.+)\]", line):
            section, indent = header[1], len(line)
            what = f"the section [{section}]"
        elif (option := re.match(r"\s*([^\s;#=\[][^=]*?)\s*=", line)) and option.start(1) <= indent:  # else it goes on
            indent = option.start(1)
            what = f"[{section}] {shown(option[1])}"
        else:
            continue
        if what in seen:
            yield f"line {number}: {what} stands there twice"
        seen.add(what)


def _explain(error: configparser.Error, text: str) -> list[str]:
    """Say what is wrong with a file that is not INI, without the source's name, which stands before it anyway."""
    match error:
        case configparser.MissingSectionHeaderError():
            return [
                f"line {error.lineno}: expected a section such as [mirror] first, not {shown(error.line.strip())!r}"
            ]
        case configparser.ParsingError():
            lines = text.split("\n")  # what the error itself says of them differs from one Python to the next
            wrong = ((number, lines[number - 1].strip()) for number, _ in error.errors)
            return [f"line {number}: expected name = value, not {shown(line)!r}" for number, line in wrong]
        case _:
            return [error.message]


def _check_sections(
    path: Path, parser: configparser.ConfigParser, problems: list[str], warnings: list[str], remarks: list[str]
) -> None:
    if not parser.has_section("mirror"):
        problems.append(f"{path}: there is no section [mirror]")
    known = ["mirror", *UNSUPPORTED_SECTIONS, *BACKEND_SECTIONS]
    for section in parser.sections():
        if section in UNSUPPORTED_SECTIONS:
            problems.append(f"{path}: [{section}]: {UNSUPPORTED_SECTIONS[section]}")
        elif section in BACKEND_SECTIONS:
            remarks.append(f"{path}: [{section}]: {BACKEND_SECTIONS[section]}")
        elif section != "mirror":
            warnings.append(f"{path}: [{section}]: unknown section, ignored{suggestion(section, known)}")


def _build(values: Mapping[str, OptionValue], warnings: tuple[str, ...], remarks: tuple[str, ...]) -> Config:
    def value(name: str, kind: type[_T]) -> _T:
        found = values[name]
        assert isinstance(found, kind), f"the table of options reads {name} as {type(found)}"
        return found

    def path(name: str) -> Path | None:
        return value(name, Path) if values[name] is not None else None

    return Config(
        directory=value("directory", Path),
        http=HttpConfig(
            upstream_url=value("master", str),
            timeout_seconds=value("timeout", float),
            global_timeout_seconds=value("global-timeout", float),
            proxy=value("proxy", str),
            allow_non_https=value("allow-non-https", bool),
            download_mirror=value("download-mirror", str),
            has_download_fallback=not value("download-mirror-no-fallback", bool),
            api_method=value("api-method", ApiMethod),
        ),
        pages=PagesConfig(
            simple_format=value("simple-format", SimpleFormat),
            hash_index=value("hash-index", bool),
            root_uri=value("root_uri", str),
            digest_name=value("digest_name", str),
            release_files=value("release-files", bool),
            core_metadata=value("core-metadata", bool),
            legacy_json=value("json", bool),
            keep_versions=value("keep_index_versions", int),
            cleanup=value("cleanup", bool),
        ),
        removals=RemovalsConfig(value("deleted", DeletedPolicy), value("max-removals", RemovalLimit)),
        disk=DiskConfig(
            reserve_bytes=value("reserve", int),
            manages_permissions=value("storage-filesystem-manage-permissions", bool),
            diff_file=path("diff-file"),
            diff_append_epoch=value("diff-append-epoch", bool),
        ),
        workers=value("workers", int),
        verifiers=value("verifiers", int),
        stop_on_error=value("stop-on-error", bool),
        compare_method=value("compare-method", CompareMethod),
        log_config=path("log-config"),
        warnings=warnings,
        remarks=remarks,
    )
