"""What is to be done for a project, as it was found out from its page and from what is held."""

from msgspec import Struct

from bandersnatch.pages.stored_page import StoredPage
from bandersnatch.plan.file_plan import FilePlan
from bandersnatch.plan.page_selection import WantedPage
from bandersnatch.state.inventory import HeldProject
from bandersnatch.upstream.expectations import Expectation


class Prepared(Struct, frozen=True):
    """The page that a project shall have, and what its files need.

    ``etag`` is that of upstream's page, ``required_serial`` what the legacy JSON owes; ``held`` and ``record`` are what is
    here now.
    """

    wanted: WantedPage
    plan: FilePlan
    etag: str | None
    display_name: str
    required_serial: int
    held: StoredPage | None
    record: HeldProject | None
    expectation: Expectation
