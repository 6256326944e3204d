"""Whether what is held of a project is sound, so that an unchanged page settles the matter."""

from msgspec import Struct

from bandersnatch.held_page import HeldPage
from bandersnatch.layout import metadata_path
from bandersnatch.order import Order
from bandersnatch.workshop import Workshop

LITTLE_FILES = 512
LITTLE_BYTES = 32 * 1024 * 1024
"""So much is hashed in a fraction of a second, and not worth cutting into tasks."""


class Soundness(Struct, frozen=True):
    """Looks at what is held of one project, as closely as its order wants."""

    shop: Workshop
    order: Order
    held: HeldPage | None

    def seems_whole(self) -> bool:
        """Whether the pages, and on a recheck all the files that they list, are there; digests come later, if at all."""
        shop, held = self.shop, self.held
        if self.order.fresh or held is None or not shop.publisher.pages_are_there(self.order.project):
            return False
        if not self.order.recheck:
            return True
        if not shop.publisher.pages_are_whole(self.order.project, held.serial):
            return False
        if not shop.pages.release_files:
            return True
        if shop.rules.check_digests and (held.expected_digests is None or not self._is_little(held)):
            return False
        for file in held.files:
            found = shop.storage.stat(file.path)
            if found is None or found.size != file.size:
                return False
            if file.has_metadata and shop.storage.stat(metadata_path(file.path)) is None:
                return False
        return True

    def has_right_digests(self) -> bool:
        """Whether all that an unchanged page lists has its digests, where these are to be checked."""
        shop, held = self.shop, self.held
        if held is None or not (self.order.recheck and shop.rules.check_digests and shop.pages.release_files):
            return True
        expected = held.expected_digests
        return not expected or shop.together.digests(list(expected)) == list(expected.values())

    @staticmethod
    def _is_little(held: HeldPage) -> bool:
        """Whether one task may hash it all; the tasks that come of a whole page are shared by all workers."""
        size_bytes = sum(file.size or LITTLE_BYTES for file in held.files)
        return len(held.files) <= LITTLE_FILES and size_bytes <= LITTLE_BYTES
