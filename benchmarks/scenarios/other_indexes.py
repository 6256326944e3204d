"""What it costs to follow indexes that tell less than PyPI: nothing new, and a few changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.bench import Bench, remove
from benchmarks.check import Expected
from benchmarks.dataset import Project, Size
from benchmarks.forms import FORMS, HTML, JOURNAL, NAMES, SERIALS, WHOLE, Form
from benchmarks.index import Index
from benchmarks.results import Results, Target, at_most, exactly, request_count, wall
from benchmarks.scenarios.again import CHANGED_SHARE, QUICK_RUNS, facts_of

SIZE = Size("B12", 10_000, 10_000, (3_000, 5_000))
ASKED_AGAIN = 100
"""Without any serial, a run asks for so many projects although nothing says that they have changed (docs/upstreams.md)."""
BESIDE = {JOURNAL: 1, SERIALS: 3, WHOLE: 1, NAMES: 1 + ASKED_AGAIN, HTML: 1 + ASKED_AGAIN}
"""How many requests a run with nothing new takes, of each form; by serials, the journals are tried before the root index."""


@dataclass(frozen=True)
class OtherIndexes:
    """B12. Where only pages tell of changes, a run that must find all of them is one after ``rm state todo``."""

    name: str = "B12"
    title: str = "10,000 projects, of an index in each form: nothing new, and 1% of the projects changed"

    def run(self, bench: Bench) -> None:
        """Measure."""
        for form in FORMS:
            index = bench.index_in_form(SIZE, form)
            self._nothing_new(bench, index)
            self._few_changes(bench, index)

    def _nothing_new(self, bench: Bench, index: Index) -> None:
        case, expected = case_of(index.form), Expected(index.projects, has_serials=index.form.has_serials)
        asked = min(BESIDE[index.form], 1 + len(index.projects))
        with bench.serving(index) as server:
            for client, tree in bench.synced_trees(case, server, expected, "ours"):
                for _ in range(bench.settings.runs * QUICK_RUNS):
                    bench.sync(case, client, server, tree, expected, facts=facts_of({"needed": asked}))

    def _few_changes(self, bench: Bench, index: Index) -> None:
        case, form = case_of(index.form, "1%"), index.form
        trees = [(client, bench.tree(index, client)) for client in bench.who("ours")]
        before: Sequence[Project] = index.projects
        try:
            for rounds in range(1, bench.settings.runs + 1):
                now = index.upload(CHANGED_SHARE, rounds)
                facts, before = {"needed": needed_requests(form, before, now)}, now
                expected = Expected(now, has_serials=form.has_serials)
                with bench.serving(index) as server:
                    for client, tree in trees:
                        if not (form.has_serials or form.has_whole_serial):
                            client.forget(tree)
                        bench.sync(case, client, server, tree, expected, facts=facts_of(facts))
        finally:
            index.put_back()
            for _, tree in trees:
                remove(tree)  # it is ahead of the index now

    def targets(self, results: Results) -> list[Target]:
        """Compare."""
        found = []
        for form in FORMS:
            same, changed = case_of(form), case_of(form, "1%")
            found += [
                at_most(
                    "B12", f"{form.name}, nothing new: wall at most 0.75 s", results.median(wall, same), 0.75, " s"
                ),
                exactly(
                    "B12",
                    f"{form.name}, nothing new: requests",
                    results.worst(request_count, same),
                    needed(results, same),
                ),
                exactly(
                    "B12", f"{form.name}, 1%: requests", results.worst(request_count, changed), needed(results, changed)
                ),
            ]
        return found


def case_of(form: Form, what: str = "nothing new") -> str:
    """Return the case of an index in that form."""
    return f"B12 {form.name}, {what}"


def needed(results: Results, case: str) -> float | None:
    """Return how many requests a run takes."""
    return results.median(lambda result: result.facts["needed"], case)


def needed_requests(form: Form, before: Sequence[Project], now: Sequence[Project]) -> int:
    """Return what it takes to follow: who tells what has changed, the pages, the new files and their core metadata."""
    pairs = [(then, later) for then, later in zip(before, now, strict=True) if then != later]
    files = sum(len(later.files) - len(then.files) for then, later in pairs)
    if form.has_serials:
        return (2 if form.has_journal else BESIDE[form]) + len(pairs) + files
    return 1 + len(now) + files
