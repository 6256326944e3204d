"""Reads the INI file once into a frozen ``Config``, or reports every problem in it.

Nobody else sees ``configparser``. The table of options is in ``options.py``.
"""

import configparser
import difflib
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TypeVar

from bandersnatch.errors import ConfigError, ConfigMissingError, shown, without_credentials
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
SIMILAR_ENOUGH = 0.75


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """How upstream is talked to. ``timeout_seconds`` is the longest silence that is borne."""

    upstream_url: str
    timeout_seconds: float = 10.0
    proxy: str = ""
    allow_non_https: bool = False


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
        _check_sections(path, parser, problems, warnings)
        values: dict[str, OptionValue] = {}
        given = dict(parser["mirror"]) if parser.has_section("mirror") else {}
        if parser.has_section("mirror"):
            _check_names(path, given, problems, remarks)
            values = _read_options(path, given, problems)
        _check_together(path, given, values, problems, warnings)
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


def _check_sections(path: Path, parser: configparser.ConfigParser, problems: list[str], warnings: list[str]) -> None:
    if not parser.has_section("mirror"):
        problems.append(f"{path}: there is no section [mirror]")
    known = ["mirror", *UNSUPPORTED_SECTIONS]
    for section in parser.sections():
        if section in UNSUPPORTED_SECTIONS:
            problems.append(f"{path}: [{section}]: {UNSUPPORTED_SECTIONS[section]}")
        elif section != "mirror":
            warnings.append(f"{path}: [{section}]: unknown section, ignored{_suggestion(section, known)}")


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


def _build(values: Mapping[str, OptionValue], warnings: tuple[str, ...], remarks: tuple[str, ...]) -> Config:
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
        warnings=warnings,
        remarks=remarks,
    )
