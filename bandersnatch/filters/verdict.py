"""What a filter says of a project, a release or a file, in words for people."""

from collections.abc import Iterable

from msgspec import Struct


class Verdict(Struct, frozen=True):
    """Whether something is kept; ``filter_name`` is empty where no filter has a say in it."""

    keeps: bool
    filter_name: str
    reason: str

    def __str__(self) -> str:
        verb = "keeps" if self.keeps else "drops"
        return f"{self.filter_name} {verb} it: {self.reason}" if self.filter_name else self.reason


UNFILTERED = Verdict(keeps=True, filter_name="", reason="no filter drops it")


def first_drop(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the first verdict that drops something, or that no filter does."""
    return next((each for each in verdicts if not each.keeps), UNFILTERED)
