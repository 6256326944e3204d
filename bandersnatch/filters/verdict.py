"""What a filter decided about a project, release or file, in words."""

from collections.abc import Iterable

from msgspec import Struct


class Verdict(Struct, frozen=True):
    """Whether something is kept; ``filter_name`` is empty if no filter decided."""

    keeps: bool
    filter_name: str
    reason: str

    def __str__(self) -> str:
        verb = "keeps" if self.keeps else "drops"
        return f"{self.filter_name} {verb} it: {self.reason}" if self.filter_name else self.reason


UNFILTERED = Verdict(keeps=True, filter_name="", reason="no filter drops it")


def first_drop(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the first verdict that drops something, or ``UNFILTERED`` if none does."""
    return next((each for each in verdicts if not each.keeps), UNFILTERED)
