"""The work that a project needs, found by comparing upstream's page with what is held."""

from msgspec import Struct

from bandersnatch.pages.stored_page import StoredPage
from bandersnatch.plan.file_plan import FilePlan
from bandersnatch.plan.page_selection import WantedPage
from bandersnatch.project.report import NONE_REFUSED, RefusedFiles
from bandersnatch.state.inventory import HeldProject
from bandersnatch.upstream.changelog_actions import Expectation


class Prepared(Struct, frozen=True):
    """The page that the mirror will publish for a project, and the work on its files.

    ``refused`` counts the files of upstream's page that are left out of this one, which have ``refused_names``. ``etag`` is
    that of upstream's page. The legacy JSON must be at ``required_serial`` or later. ``held`` is the page that the mirror
    has now, and ``record`` the project's entry in the inventory.
    """

    wanted: WantedPage
    plan: FilePlan
    etag: str | None
    display_name: str
    required_serial: int
    held: StoredPage | None
    record: HeldProject | None
    expectation: Expectation
    refused: RefusedFiles = NONE_REFUSED
    refused_names: frozenset[str] = frozenset()
