"""What all conversations, engines and processes of a run spend of its retries, and know of hosts that are down."""

import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import HostDownError, UpstreamUnavailableError
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.document import whole
from bandersnatch.http.request import Request
from bandersnatch.http.retry_policy import RetryPolicy
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.http.transfer import Transfer
from tests.support.builders import unhurried
from tests.support.fakepypi import FakePyPI, Status
from tests.support.forking import in_process
from tests.support.transferring import fetch

forks = pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")


def limits_of(retries: int) -> RunLimits:
    return RunLimits(RetryPolicy(retries_per_run=retries))


def as_process(limits: RunLimits, place: int, call: Callable[[], Any]) -> None:
    """Call a function in a forked process that has a place of its own."""

    def run() -> None:
        limits.take_place(place)
        call()

    in_process(run)


@unhurried
@given(st.integers(0, 20), st.integers(0, 30))
def test_a_run_has_as_many_retries_as_its_policy_says(retries: int, takes: int) -> None:
    limits = limits_of(retries)
    assert sum(limits.take_retry() for _ in range(takes)) == min(retries, takes)


@forks
def test_processes_spend_the_same_retries() -> None:
    limits = limits_of(10)
    assert limits.take_retry()
    limits.share(2)
    as_process(limits, 1, lambda: [limits.take_retry() for _ in range(4)])
    as_process(limits, 2, lambda: [limits.take_retry() for _ in range(3)])
    as_process(limits, 1, limits.take_retry)  # the spare process that replaces the first one
    limits.share(1)  # the run starts processes once more
    assert limits.take_retry()
    assert not limits.take_retry()


@forks
def test_a_host_that_the_engine_of_one_process_gave_up_is_not_asked_by_another(pypi: FakePyPI) -> None:
    pypi.fault("/x", Status(503), times=None)
    config, limits = HttpConfig("", allow_non_https=True), RunLimits(RetryPolicy(attempts=1, failures_until_down=3))
    limits.share(1)

    def fetch_often() -> None:
        with closing(Transfer(config, limits)) as transfer:
            for _ in range(3):
                with pytest.raises(UpstreamUnavailableError):
                    fetch(transfer, Request(f"{pypi.url}/x", whole(1000)))

    as_process(limits, 1, fetch_often)
    assert len(pypi.requests) == 3
    with closing(Transfer(config, limits)) as transfer, pytest.raises(HostDownError):
        fetch(transfer, Request(f"{pypi.url}/x", whole(1000)))
    assert len(pypi.requests) == 3


def test_the_engine_and_the_conversations_of_a_run_have_one_budget_and_know_the_same_hosts(pypi: FakePyPI) -> None:
    pypi.fault("/x", Status(503), times=None)
    config = HttpConfig("", allow_non_https=True)
    policy = RetryPolicy(attempts=4, backoff_seconds=0, retries_per_run=5, failures_until_down=3)
    with (
        closing(Conversation(config, RunLimits(policy))) as conversation,
        closing(conversation.new_transfer()) as transfer,
        closing(Conversation(config, conversation.limits)) as another,
    ):
        with pytest.raises(UpstreamUnavailableError):
            conversation.get(f"{pypi.url}/x", {})
        assert len(pypi.requests) == 4
        for _ in range(3):
            with pytest.raises(UpstreamUnavailableError):
                fetch(transfer, Request(f"{pypi.url}/x", whole(1000)))
        assert len(pypi.requests) == 4 + 3 + 1
        with pytest.raises(HostDownError):
            another.get(f"{pypi.url}/x", {})
    assert len(pypi.requests) == 4 + 3 + 1
