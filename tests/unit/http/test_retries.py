"""How often requests are tried again."""

from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.http.retries import RetryBudget
from tests.support.builders import unhurried


@unhurried
@given(st.integers(0, 20), st.integers(0, 30))
def test_a_budget_has_as_many_retries_as_it_was_given(retries: int, takes: int) -> None:
    budget = RetryBudget(retries)
    assert sum(budget.take() for _ in range(takes)) == min(retries, takes)
