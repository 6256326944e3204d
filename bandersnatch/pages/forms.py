"""In which forms pages are written, as the configuration says, and what a line of the root index tells.

It is all of the pages that a run with nothing new needs, so rendering them is not imported with it.
"""

from typing import NamedTuple

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.inifile.option import SimpleFormat
from bandersnatch.names import NormalizedName
from bandersnatch.storage.layout import HTML_PAGES, JSON_PAGE, LOCAL_JSON, SIMPLE, StoredPath, page_path


class IndexedProject(NamedTuple):
    """A line of the root index; there are so many that a dataclass, ten times as slow to create, would be noticeable."""

    name: NormalizedName
    display_name: str
    serial: int


def page_names(config: PagesConfig) -> tuple[str, ...]:
    """Return the names of the pages that are written for each project and for the root."""
    match config.simple_format:
        case SimpleFormat.HTML:
            return HTML_PAGES
        case SimpleFormat.JSON:
            return (JSON_PAGE,)
        case SimpleFormat.ALL:
            return (*HTML_PAGES, JSON_PAGE)


def root_paths(config: PagesConfig) -> list[StoredPath]:
    """Return the paths of the root index; shadowmire needs legacy JSON too, and can't follow without it."""
    pages = [page_path(SIMPLE, name) for name in page_names(config)]
    return [*pages, LOCAL_JSON] if config.legacy_json else pages
