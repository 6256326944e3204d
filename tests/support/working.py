"""What workers work with, and jobs for them, in tests that look at workers themselves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.http.retry_policy import RetryPolicy
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.http.transfer import Transfer
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.project.job import Job
from bandersnatch.project.job_context import JobContext, build_context
from bandersnatch.state.reservations import Reservation
from bandersnatch.state.todo import TodoEntry
from bandersnatch.upstream.changelog_actions import Expectation
from bandersnatch.workers.link import SPARE_PROCESSES, PoolSize
from bandersnatch.workers.pool import WorkerPool, worker_pool
from tests.support.builders import named
from tests.support.fakepypi import FakePyPI
from tests.support.rig import IMPATIENT, Rig


@contextmanager
def working_context(rig: Rig, is_stopped: Callable[[], bool] = lambda: False, **options: str) -> Iterator[JobContext]:
    """What jobs for the mirror work with, as a run of its configuration makes it."""
    config = Config.load(rig.write_config(**options))
    with rig.resources(config) as resources:
        policy = RemovalPolicy.of(config.removals)
        yield build_context(config, policy, resources.upstream.documents, resources.storage, is_stopped)


def reserving(context: JobContext, name: str = "reserved") -> JobContext:
    """Return the context of one job, whose reservations are written down."""
    return replace(context, reservation=Reservation(context.storage, name))


def http_config(pypi: FakePyPI, max_in_flight: int = 10) -> HttpConfig:
    return HttpConfig(pypi.url, workers=max_in_flight, timeout_seconds=5.0, allow_non_https=True)


def transfer_to(pypi: FakePyPI, policy: RetryPolicy = IMPATIENT) -> Transfer:
    """Return an engine as a worker has it."""
    return Transfer(http_config(pypi), RunLimits(policy))


@contextmanager
def pool_of(
    context: JobContext, pypi: FakePyPI, number: int, recover: Callable[[str], None] = lambda _: None
) -> Iterator[WorkerPool]:
    """So many workers, which may have as many requests in flight as is usual."""
    with worker_pool(
        context, http_config(pypi), RunLimits(IMPATIENT), PoolSize(number, SPARE_PROCESSES), recover
    ) as pool:
        yield pool


def make_job(pypi: FakePyPI, project: str, **fields: Any) -> Job:
    """Return the job that a run would have for a project, of which nothing is held."""
    entry = TodoEntry(project, pypi.project_serial(project), Expectation.CONTENT)
    return Job(named(project), entry, **fields)
