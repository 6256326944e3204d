"""Reads the section ``[mirror]`` by the table of options, or reports every problem in it."""

import re

from bandersnatch.config.option_table import ALIASES, IGNORED_MIRROR_OPTIONS, MIRROR_OPTIONS, OFF_VALUES
from bandersnatch.inifile.ini import IniFile
from bandersnatch.inifile.masking import masked_wrong
from bandersnatch.inifile.option import (
    ApiMethod,
    DeletedPolicy,
    Option,
    OptionError,
    OptionValue,
    SimpleFormat,
    UpstreamKind,
    is_public_pypi,
)
from bandersnatch.inifile.suggestions import suggestion
from bandersnatch.shown_text import shown

POLITE_WORKERS = 10  # the most that older versions of bandersnatch allow


def _spellings(option: Option) -> list[str]:
    return [option.name, *(alias for alias, name in ALIASES.items() if name == option.name)]


class MirrorSection:
    """The section as the file has it; reading it fills ``problems``, ``warnings`` and ``remarks``."""

    def __init__(self, ini: IniFile) -> None:
        self._ini = ini
        self._options = ini.options("mirror")
        self._given: dict[str, str] = {}
        self._written: dict[str, str] = {}
        """How the file spells an option that has an alias."""
        self._complained: set[str] = set()
        """The options already reported as wrong, before their values are read."""
        self._values: dict[str, OptionValue] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.remarks: list[str] = []

    def read(self) -> dict[str, OptionValue]:
        """Return the value of each option that could be read."""
        for name, option in self._options.items():
            if not option.is_helper:
                self._take(name, option.text)
        for known in MIRROR_OPTIONS:
            self._read_option(known)
        self._check_together()
        return self._values

    def _take(self, name: str, text: str) -> None:
        """Take an option from the file, or report why not."""
        known = [option.name for option in MIRROR_OPTIONS]
        # configparser has no inline comments either: ``json = true ; note`` would otherwise be an odd value, or a path.
        if re.search(r"\s[;#]", text):
            self._complain(name, text, "a comment must be on its own line")
            self._complained.add(ALIASES.get(name, name))
        # Such a file asks for the opposite of our default; ignoring it would delete what it wants to keep.
        if name == "delete-packages" and text.lower() in OFF_VALUES:
            self._complain(name, text, "to keep what upstream removed, write deleted = keep")
        elif name in IGNORED_MIRROR_OPTIONS:
            self.remarks.append(f"{self._place(name)}: {IGNORED_MIRROR_OPTIONS[name]}")
        elif name in ALIASES and ALIASES[name] in self._options:
            self.remarks.append(f"{self._place(name)}: not used, since {ALIASES[name]} is there too")
        elif name in ALIASES or name in known:
            self._given[ALIASES.get(name, name)] = text
            self._written[ALIASES.get(name, name)] = name
        else:
            self._complain(name, text, f"unknown option{suggestion(name, [*known, *IGNORED_MIRROR_OPTIONS])}")

    def _read_option(self, option: Option) -> None:
        """Read a value; an empty one, which old examples leave where a comment was, means the default."""
        if option.name in self._complained or any(self._ini.is_broken("mirror", name) for name in _spellings(option)):
            return
        text = self._given.get(option.name, option.default)
        if text is None:
            self.problems.append(f"{self._place(option.name)}: must be given: {option.help}")
            return
        try:
            self._values[option.name] = option.read(text if text or option.default is None else option.default)
        except OptionError as error:
            self._complain(option.name, text, str(error))

    def _check_together(self) -> None:
        """Check for mistakes that only several options together can make."""
        values, given = self._values, self._given
        master, workers = values.get("master"), values.get("workers")
        if isinstance(master, str) and master.startswith("http://") and values.get("allow-non-https") is False:
            self._complain("master", given["master"], "expected https://, or allow-non-https = true beside it")
        if isinstance(workers, int) and workers > POLITE_WORKERS and is_public_pypi(str(master)):
            self.warnings.append(
                f"{self._place('workers')} = {workers}: PyPI asks its clients for few requests at a time; "
                f"more than {POLITE_WORKERS} may be taken for an attack"
            )
        if values.get("deleted") is DeletedPolicy.KEEP and values.get("simple-format") is SimpleFormat.HTML:
            self._complain(
                "simple-format", "HTML", "expected ALL or JSON, since with deleted = keep the JSON page "
                "alone records the files that upstream no longer lists",
            )  # fmt: skip
        kind = values.get("upstream-kind")
        if values.get("api-method") is ApiMethod.XMLRPC and kind in (UpstreamKind.SIMPLE, UpstreamKind.SHADOWMIRE):
            self._complain(
                "upstream-kind", given["upstream-kind"], "expected auto or warehouse, since api-method = xmlrpc"
            )
        digest_name = values.get("digest_name")
        if values.get("release-files") is False and digest_name not in (None, "sha256"):
            self._complain(
                "digest_name", str(digest_name), "expected sha256, the one that upstream's pages have, "
                "since with release-files = false there is no file to compute another from",
            )  # fmt: skip
        if values.get("download-mirror-no-fallback") is True and values.get("download-mirror") == "":
            self.warnings.append(
                f"{self._place('download-mirror-no-fallback')}: not used, since there is no download-mirror"
            )

    def _complain(self, name: str, value: str, reason: str) -> None:
        self.problems.append(f"{self._place(name)} = {shown(masked_wrong(name, value))}: {reason}")

    def _place(self, name: str) -> str:
        return self._ini.place("mirror", self._written.get(name, name))
