"""Which sections a configuration file may have; those about other indexes are read here, where there are any."""

from typing import TYPE_CHECKING

from bandersnatch.config.option_table import BACKEND_SECTIONS
from bandersnatch.filters.settings import FILTER_SECTIONS, OLD_SECTIONS, filter_of
from bandersnatch.inifile.ini import DEFAULT_SECTION, IniFile
from bandersnatch.inifile.suggestions import suggestion

if TYPE_CHECKING:
    from bandersnatch.config.upstream_sections import UpstreamSection

_SIMILAR_SECTION = 0.85
"""Tolerates a typo of one letter, but not ``[plugins_off]``, which is how operators disable a section."""
_KNOWN = ("mirror", *FILTER_SECTIONS, *OLD_SECTIONS, *BACKEND_SECTIONS, DEFAULT_SECTION)


def check_sections(
    ini: IniFile, problems: list[str], warnings: list[str], remarks: list[str]
) -> tuple["UpstreamSection", ...]:
    """Report sections that are missing, unknown or not needed, and return those about other indexes."""
    if "mirror" not in ini.sections:
        problems.append(f"{ini.path}: there is no section [mirror]")
    unknown = [section for section in ini.sections if section not in _KNOWN]
    upstreams = _read_upstreams(ini, unknown, problems) if unknown else ()
    for section in ini.sections:
        if section in BACKEND_SECTIONS:
            remarks.append(f"{ini.place(section)}: {BACKEND_SECTIONS[section]}")
        elif section in unknown:
            # An error and not a warning: with its filters off, the mirror would have everything.
            if read := filter_of(section):
                problems.append(f"{ini.place(section)}: unknown section; the filter {read[0]} reads {read[1]}")
            elif hint := suggestion(section, _KNOWN, _SIMILAR_SECTION):
                problems.append(f"{ini.place(section)}: unknown section{hint}")
            else:
                warnings.append(f"{ini.place(section)}: unknown section, ignored")
    return upstreams


def _read_upstreams(ini: IniFile, unknown: list[str], problems: list[str]) -> tuple["UpstreamSection", ...]:
    """Take the sections about other indexes off the unknown ones, and return what they say."""
    from bandersnatch.config.upstream_sections import (  # noqa: PLC0415 - few files have such sections
        UpstreamSections,
        is_upstream,
    )

    about = [section for section in unknown if is_upstream(section)]
    unknown[:] = [section for section in unknown if section not in about]
    sections = UpstreamSections(ini)
    found = sections.read(about)
    problems += sections.problems
    return found
