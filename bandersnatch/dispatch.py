"""Gives orders to helpers, many at a time; what is too much for them, or does not come easily, goes to packages."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from msgspec.structs import replace
from packaging.utils import NormalizedName

from bandersnatch.config import HttpConfig
from bandersnatch.errors import InterruptedRunError
from bandersnatch.helpers import Helpers, helping
from bandersnatch.order import Order
from bandersnatch.package import Package
from bandersnatch.project_batch import Announced, BatchResult, HelpedOrder
from bandersnatch.report import Failure, Outcome
from bandersnatch.workshop import Workshop

logger = logging.getLogger(__name__)

ORDERS_TOGETHER = 32
"""So many projects make one batch: enough that the end of it, when not all lanes have work, does not count."""
REST_SECONDS = 60.0
"""So long helpers are given no projects, after nothing came of a batch: this index does not answer plainly."""


@contextmanager
def dispatching(
    workshop: Workshop, config: HttpConfig, most_packages: int
) -> Iterator[tuple[Callable[[Order], None], int]]:
    """Have helpers for the length of the block; give what starts the work on a project, and how many may be under way.

    To be called before other threads of the process hold locks.
    """
    with helping(workshop, config) as helpers:
        if helpers is None:
            yield lambda order: Package(order, workshop).start(), most_packages
            return
        helped = replace(workshop, together=helpers)
        if is_easy_to_ask(workshop):
            dispatcher = Dispatcher(helpers, helped, most_packages)
            yield dispatcher.start, dispatcher.window
        else:
            yield lambda order: Package(order, helped).start(), most_packages


def is_easy_to_ask(workshop: Workshop) -> bool:
    """Whether a project takes its page and its files only, and these may come without a proxy, by all that is known."""
    needs_json = workshop.pages.legacy_json or workshop.chooser.filters.needs_json
    page = workshop.upstream.page_question(NormalizedName("pip"), None)  # any would do
    return not needs_json and workshop.upstream.may_have_easily(page)


class Dispatcher:
    """Starts the work on projects. Thread-safe; ``start`` is called by one thread.

    Not more than ``most_packages`` of those that helpers hand back are under way at a time.
    """

    def __init__(self, helpers: Helpers, workshop: Workshop, most_packages: int) -> None:
        self._helpers, self._shop, self._most_packages = helpers, workshop, most_packages
        self._package_shop = replace(workshop, report=self._end_package)
        self._guard = threading.Lock()
        self._waiting: deque[Order] = deque()
        self._serving = self._packages = 0
        self._rests_until = 0.0

    @property
    def window(self) -> int:
        """How many orders may be under way at a time: those that helpers work on, as many that wait, and packages."""
        return 2 * ORDERS_TOGETHER * self._helpers.number + self._most_packages

    def start(self, order: Order) -> None:
        """See to it that a project is worked on; its outcome is reported when all is done."""
        with self._guard:
            self._waiting.append(order)
        self._call_up()

    def _call_up(self) -> None:
        """Let another thread serve a helper, if there is something to do for it."""
        with self._guard:
            if self._serving == self._helpers.number or not self._waiting or self._packages >= self._most_packages:
                return
            self._serving += 1
        try:
            self._shop.executor.submit(self._serve)
        except RuntimeError:  # the pool was shut down: the run is being stopped
            with self._guard:
                self._serving -= 1
                orders = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._fail(orders, InterruptedRunError())

    def _serve(self) -> None:
        while orders := self._next_orders():
            if self._shop.is_stopped():
                self._fail(orders, InterruptedRunError())
            elif time.monotonic() < self._rests_until:
                self._start_packages(orders)
            else:
                self._work_together(orders)

    def _next_orders(self) -> list[Order]:
        """Return the next orders for a helper, fewer towards the end; where there are none, this thread serves no more."""
        with self._guard:
            if self._packages >= self._most_packages or not self._waiting:
                self._serving -= 1
                return []
            number = min(ORDERS_TOGETHER, -(-len(self._waiting) // self._helpers.number))
            return [self._waiting.popleft() for _ in range(number)]

    def _work_together(self, orders: Sequence[Order]) -> None:
        """Have a helper work on projects, and take over what it leaves."""
        left = {order.project: order for order in orders}
        inventory = self._shop.inventory
        try:
            helped = [
                HelpedOrder(order, inventory.get(project), frozenset(inventory.unsettled(project)))
                for project, order in left.items()
            ]
            result = self._helpers.work_on_projects(helped, partial(self._take_note, left))
            inventory.put_some(result.records if result is not None else ())
        except Exception as error:  # noqa: BLE001 - without an outcome the run would wait for ever
            return self._fail(left.values(), error)
        if result is not None:
            self._take(result, left)
            if len(left) == len(orders):
                logger.debug("nothing came of a batch of projects; for a while each is worked on by itself")
                self._rests_until = time.monotonic() + REST_SECONDS
        return self._start_packages(left.values())

    def _take_note(self, left: dict[NormalizedName, Order], announced: Sequence[Announced]) -> None:
        """Note what is about to be touched, and go on with the projects that are too much for a helper."""
        self._shop.inventory.note_unsettled([(each.project, path) for each in announced for path in each.paths])
        for each in announced:
            if each.handed_back is not None:
                self._package(left.pop(each.project)).go_on(each.handed_back)

    def _take(self, result: BatchResult, left: dict[NormalizedName, Order]) -> None:
        for outcome in result.outcomes:
            del left[outcome.project]
            self._shop.report(outcome)
        for each in result.unfinished:
            self._package(left.pop(each.project)).finish(each.prepared, each.synced)

    def _start_packages(self, orders: Iterable[Order]) -> None:
        for order in orders:
            self._package(order).start()

    def _package(self, order: Order) -> Package:
        with self._guard:
            self._packages += 1
        return Package(order, self._package_shop)

    def _end_package(self, outcome: Outcome) -> None:
        with self._guard:
            self._packages -= 1
        self._shop.report(outcome)
        self._call_up()

    def _fail(self, orders: Iterable[Order], error: Exception) -> None:
        for order in orders:
            self._shop.report(Failure(order.project, error))
