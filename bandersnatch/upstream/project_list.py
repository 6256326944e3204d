"""Reads upstream's list of all projects, in the one form it always has, three times as fast as an XML parser.

The list has 736,000 members and 90 MB: the parser takes 4.5 s, this takes 1.3 s. Anything in another form is left to
the parser.
"""

import re

_BEGIN = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?<methodResponse>\s*<params>\s*<param>\s*<value>\s*<struct>\s*")
_MEMBER = re.compile(
    rb"<member>\s*<name>([A-Za-z0-9._-]{1,240})</name>\s*<value>\s*<int>(\d{1,18})</int>\s*</value>\s*</member>\s*"
)
_END = re.compile(rb"</struct>\s*</value>\s*</param>\s*</params>\s*</methodResponse>\s*")


def read_project_list(body: bytes) -> dict[str, int] | None:
    """Return the serial of each project by name, or None if a real parser must read the answer."""
    begin = _BEGIN.match(body)
    if begin is None:
        return None
    serials: dict[str, int] = {}
    end = begin.end()
    for member in _MEMBER.finditer(body, end):
        if member.start() != end:
            return None
        end = member.end()
        serials[member[1].decode("ascii")] = int(member[2])
    return serials if _END.fullmatch(body, end) else None
