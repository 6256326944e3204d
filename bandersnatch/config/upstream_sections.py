"""Reads the sections ``[upstream NAME]``: other indexes, beside that of ``[mirror]``, or reports every problem in them."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from bandersnatch.config.option_table import UPSTREAM_OPTIONS
from bandersnatch.filters.ownership import Claim, Owners
from bandersnatch.inifile.ini import IniFile
from bandersnatch.inifile.masking import masked_wrong
from bandersnatch.inifile.option import ApiMethod, Option, OptionError, OptionValue, UpstreamKind
from bandersnatch.inifile.suggestions import suggestion
from bandersnatch.shown_text import shown

SECTION = "upstream"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_SIMILAR_WORD = 0.9
RESERVED = "mirror"
"""The word for the index of ``[mirror]``, where others go by their names: on the command line."""


class UpstreamSection(Struct, frozen=True):
    """What one section says."""

    name: str
    place: str
    values: Mapping[str, OptionValue]

    @property
    def projects(self) -> tuple[str, ...]:
        """The patterns of the projects that are this index's; none if it is served at a prefix."""
        found = self.values.get("projects")
        return found if isinstance(found, tuple) else ()

    @property
    def prefix(self) -> str:
        """Where it is served, if it is served beside the others."""
        return str(self.values.get("prefix") or "")


class UpstreamSections(Struct):
    """The sections of one file, in its order; reading them fills ``problems``."""

    ini: IniFile
    problems: list[str] = field(default_factory=list)

    def read(self, names: Iterable[str]) -> tuple[UpstreamSection, ...]:
        """Return what could be read of the sections with these names."""
        sections = tuple(map(self._read, names))
        self._check_patterns(sections)
        self._check_prefixes(sections)
        return sections

    def _read(self, section: str) -> UpstreamSection:
        name = section.removeprefix(SECTION).strip()
        if section != f"{SECTION} {name}" or _NAME.fullmatch(name) is None:
            self.problems.append(
                f"{self.ini.place(section)}: expected a name of small letters, digits and -, such as [upstream pytorch]"
            )
        elif name == RESERVED:
            self.problems.append(f"{self.ini.place(section)}: expected another name: {RESERVED} is that of [mirror]")
        values: dict[str, OptionValue] = {}
        given = {option: each.text for option, each in self.ini.options(section).items() if not each.is_helper}
        known = [option.name for option in UPSTREAM_OPTIONS]
        for name_given, text in given.items():
            if name_given not in known:
                self._complain(section, name_given, text, f"unknown option{suggestion(name_given, known)}")
        for option in UPSTREAM_OPTIONS:
            if self.ini.is_broken(section, option.name):
                continue
            wanted = given.get(option.name) or option.default
            if wanted is None:
                self.problems.append(f"{self.ini.place(section, option.name)}: must be given: {option.help}")
                continue
            try:
                values[option.name] = self._value(option, wanted)
            except OptionError as error:
                self._complain(section, option.name, wanted, str(error))
        self._check_together(section, values)
        return UpstreamSection(name, self.ini.place(section), values)

    @staticmethod
    def _value(option: Option, text: str) -> OptionValue:
        if re.search(r"\s[;#]", text):
            raise OptionError("a comment must be on its own line")
        return option.read(text)

    def _check_together(self, section: str, values: Mapping[str, OptionValue]) -> None:
        """Check for mistakes that only several options together can make."""
        master = values.get("master")
        if isinstance(master, str) and master.startswith("http://") and values.get("allow-non-https") is False:
            self._complain(section, "master", master, "expected https://, or allow-non-https = true beside it")
        kind = values.get("upstream-kind")
        if values.get("api-method") is ApiMethod.XMLRPC and kind in (UpstreamKind.SIMPLE, UpstreamKind.SHADOWMIRE):
            self.problems.append(
                f"{self.ini.place(section, 'upstream-kind')}: expected auto or warehouse, since api-method = xmlrpc"
            )
        if {"projects", "prefix"} <= values.keys() and bool(values["projects"]) == bool(values["prefix"]):
            self.problems.append(
                f"{self.ini.place(section)}: expected either projects, which are this index's and no other's, "
                "or prefix, below which it is served on its own"
            )

    def _check_patterns(self, sections: Iterable[UpstreamSection]) -> None:
        """Refuse patterns that decide nothing, because an earlier one has all that they have."""
        places = {each.name: each.place for each in sections}
        for claim, earlier in owners_of(sections).in_vain():
            self.problems.append(
                f"{places[claim.upstream]} projects: {claim.pattern} has no effect, since {earlier}, "
                "and the first in the file counts"
            )

    def _check_prefixes(self, sections: Iterable[UpstreamSection]) -> None:
        """Refuse a prefix that another has too, or that lies below another: the one would write into the other's folders."""
        known: dict[str, str] = {}
        for section in sections:
            if not section.prefix:
                continue
            small = f"{section.prefix.lower()}/"  # some filesystems do not tell letters by case
            for other, name in known.items():
                if small.startswith(other) or other.startswith(small):
                    self.problems.append(
                        f"{section.place} prefix = {section.prefix}: expected one that is not that of [upstream {name}], "
                        "nor within it, nor around it"
                    )
            known[small] = section.name

    def _complain(self, section: str, name: str, value: str, reason: str) -> None:
        self.problems.append(f"{self.ini.place(section, name)} = {shown(masked_wrong(name, value))}: {reason}")


def is_upstream(section: str) -> bool:
    """Whether a section is about another index, or was meant so: with a typo, nothing of that index would be mirrored."""
    word = re.split(r"[^a-z]", section.lower().strip(), maxsplit=1)[0]
    return word == SECTION or (bool(word) and bool(suggestion(word, [SECTION], _SIMILAR_WORD)))


def owners_of(sections: Iterable[UpstreamSection]) -> Owners:
    """Return whose each project is."""
    return Owners(tuple(Claim(each.name, pattern) for each in sections for pattern in each.projects))
