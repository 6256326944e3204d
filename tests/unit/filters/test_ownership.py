"""Each project is of one index: the first in the file that has it, whatever else matches."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.filters.ownership import Claim, Owned, Owners
from bandersnatch.names import NormalizedName
from tests.support.builders import named, unhurried

OWNERS = Owners((Claim("a", "torch*"), Claim("a", "nvidia-*"), Claim("b", "*-cu12"), Claim("b", "jax")))


@pytest.mark.parametrize(
    ("project", "owner"),
    [
        ("torch", "a"),
        ("torchvision", "a"),
        ("pytorch", None),
        ("nvidia-x", "a"),
        ("nvidia", None),
        ("nvidia-x-cu12", "a"),
        ("x-cu12", "b"),
        ("x-cu12-y", None),
        ("jax", "b"),
        ("jaxlib", None),
        ("a-jax", None),
    ],
)
def test_the_first_that_has_a_project_owns_it(project: str, owner: str | None) -> None:
    assert OWNERS.owner_of(named(project)) == owner


def test_all_that_have_a_project_are_told_in_the_order_of_the_file() -> None:
    assert [each.upstream for each in OWNERS.claims_on(named("nvidia-x-cu12"))] == ["a", "b"]
    assert OWNERS.claims_on(named("numpy")) == ()


def test_without_sections_every_project_is_of_the_mirrors_index() -> None:
    assert Owners().owner_of(named("torch")) is None
    assert Owned(Owners()).keeps(named("torch"), "Torch")


names = st.text("abc-", min_size=1, max_size=6).map(NormalizedName)
patterns = st.text("abc-*", min_size=1, max_size=5)
claims = st.lists(st.builds(Claim, st.sampled_from(["a", "b", "c"]), patterns), max_size=5)


@unhurried
@given(claims, names)
def test_exactly_one_index_keeps_a_project_and_it_is_the_owner(some: list[Claim], project: NormalizedName) -> None:
    owners = Owners(tuple(some))
    keeping = [each for each in (None, "a", "b", "c") if Owned(owners, each).keeps(project, project)]
    assert keeping == [owners.owner_of(project)]
    told = Owned(owners, keeping[0]).reason(project, project)
    assert keeping[0] is None or f"[upstream {keeping[0]}]" in told


@unhurried
@given(patterns, patterns, st.lists(st.text("abcx-", max_size=4), min_size=9, max_size=9))
def test_a_pattern_that_covers_another_has_all_that_the_other_has(one: str, other: str, texts: list[str]) -> None:
    if not Claim("a", one).covers(other):
        return
    fill = iter(texts)
    name = re.sub(r"\*", lambda _: next(fill), other)
    assert Claim("a", one).matches(NormalizedName(name))


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        ("torch*", "torchvision", True),
        ("torch*", "torch*", True),
        ("torch*", "torch", True),
        ("torch", "torch*", False),
        ("torch*", "torchv*", True),
        ("torchv*", "torch*", False),
        ("*-cu12", "nvidia-*-cu12", True),
        ("nvidia-*", "*-cu12", False),
        ("a*c", "a*b*c", True),
        ("a*b*c", "a*c", False),
        ("*a*", "*a", True),
    ],
)
def test_what_covers_what(one: str, other: str, covers: bool) -> None:
    assert Claim("a", one).covers(other) is covers


def test_patterns_in_vain_are_told_with_the_one_that_takes_all_they_have() -> None:
    early, late = Claim("a", "torch*"), Claim("b", "torchvision")
    assert list(Owners((early, late)).in_vain()) == [(late, early)]
    assert list(Owners((late, early)).in_vain()) == []


def test_the_reason_names_the_section_and_the_pattern() -> None:
    assert Owned(OWNERS, None).reason(named("torch"), "torch") == "[upstream a] projects has torch*"
    assert Owned(OWNERS, None).reason(named("numpy"), "numpy") == "no section [upstream NAME] has numpy"
