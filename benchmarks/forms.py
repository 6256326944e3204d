"""What an index tells of its changes: PyPI with a journal, and other software with less."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """How an index is served. ``has_whole_serial``: its root index has a serial of its own, whatever its projects have."""

    name: str
    has_journal: bool = False
    has_serials: bool = False
    has_whole_serial: bool = False
    is_html: bool = False


JOURNAL = Form("journal", has_journal=True, has_serials=True, has_whole_serial=True)
SERIALS = Form("serials", has_serials=True, has_whole_serial=True)
WHOLE = Form("whole", has_whole_serial=True)
NAMES = Form("names")
HTML = Form("html", is_html=True)
FORMS = (JOURNAL, SERIALS, WHOLE, NAMES, HTML)
