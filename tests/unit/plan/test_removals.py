"""What is deleted, hidden or kept, and how much of it a run may carry out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.config.option_groups import RemovalsConfig
from bandersnatch.filters.verdict import UNFILTERED
from bandersnatch.inifile.option import DeletedPolicy, RemovalLimit
from bandersnatch.plan.removals import RemovalPolicy, Removals, Totals, files_in_question
from bandersnatch.storage.layout import StoredPath
from tests.support.builders import SAMPLE, named, unhurried

FILES = tuple(StoredPath(f"web/packages/aa/{number}.whl") for number in range(6))
NAMES = tuple(named(name) for name in "abcdefgh")
LIMIT = RemovalLimit(2, 0.0)
REMOVE = RemovalPolicy(DeletedPolicy.REMOVE, LIMIT)
HELD = Totals(10, 100)

path_sets = st.frozensets(st.sampled_from(FILES))
limits = st.builds(RemovalLimit, st.integers(0, 10), st.sampled_from([0.0, 5.0, 50.0, 100.0]))
policies = st.builds(RemovalPolicy, st.sampled_from(DeletedPolicy), limits, are_named=st.booleans())


@st.composite
def removals(draw: st.DrawFn) -> Removals:
    """Return some of a small mirror: projects that are gone, for any reason, and others that lose files."""
    made = Removals()
    for project in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        match draw(st.sampled_from(["told", "unlisted", "excluded", "shrinks"])):
            case "shrinks":
                files = tuple(draw(st.lists(st.sampled_from(FILES), min_size=1, unique=True)))
                made.add_files(project, files, draw(st.integers(0, len(files))))
            case "excluded":
                made.add_project(project, UNFILTERED, is_unlisted=draw(st.booleans()))
            case why:
                made.add_project(project, None, is_unlisted=why == "unlisted")
    return made


def test_no_removals_are_none() -> None:
    assert not Removals()
    assert Removals().listing() == ""
    assert RemovalPolicy(DeletedPolicy.REMOVE, RemovalLimit(0, 0.0)).excess(Removals(), Totals()) is None


def test_projects_or_files_are_removals() -> None:
    assert Removals(projects=[SAMPLE])
    assert Removals(files={SAMPLE: FILES})


def test_listing_has_a_line_for_each_in_a_fixed_order() -> None:
    made = Removals([SAMPLE, named("a")], {named("z"): FILES[:1], named("b"): FILES[1:3]})
    assert made.listing() == (
        "project a\nproject sample\n"
        "file web/packages/aa/1.whl\nfile web/packages/aa/2.whl\nfile web/packages/aa/0.whl\n"
    )


def test_two_lists_of_removals_do_not_share_what_they_hold() -> None:
    Removals().projects.append(SAMPLE)
    assert Removals().projects == []


def test_files_of_all_projects_are_counted_together() -> None:
    made = Removals(files={SAMPLE: FILES[:2], named("other"): FILES[2:3]})
    assert REMOVE.excess(made, HELD) == "0 of 10 projects, and from others 3 of 100 files"


def test_files_that_were_not_counted_are_told_as_such() -> None:
    made = Removals([*NAMES[:3]])
    told = REMOVE.excess(made, HELD, are_files_known=False)
    assert told == "3 of 10 projects, and from others it is not known how many of 100 files"


def test_policy_is_that_of_the_configuration() -> None:
    config = RemovalsConfig(DeletedPolicy.HIDE, LIMIT)
    assert RemovalPolicy.of(config) == RemovalPolicy(DeletedPolicy.HIDE, LIMIT)
    assert RemovalPolicy.of(config, allows_all=True, are_named=True).allows_all


@pytest.mark.parametrize("deleted", DeletedPolicy)
def test_option_is_about_what_upstream_deletes_and_not_about_what_filters_drop(deleted: DeletedPolicy) -> None:
    policy = RemovalPolicy(deleted, LIMIT)
    assert policy.policy_for(None) is deleted
    assert policy.policy_for(UNFILTERED) is DeletedPolicy.REMOVE


def test_no_accident_reaches_other_projects_than_those_the_operator_named() -> None:
    limit, made, held = RemovalLimit(9, 5.0), Removals([*NAMES]), Totals(10, 10)
    assert RemovalPolicy(DeletedPolicy.REMOVE, limit).excess(made, held) is not None
    assert RemovalPolicy(DeletedPolicy.REMOVE, limit, are_named=True).excess(made, held) is None


def test_operators_own_projects_stay_unless_he_allows_it_or_names_them() -> None:
    assert REMOVE.keeps_own
    assert not RemovalPolicy(DeletedPolicy.REMOVE, LIMIT, allows_all=True).keeps_own
    assert not RemovalPolicy(DeletedPolicy.REMOVE, LIMIT, are_named=True).keeps_own


def test_nothing_holds_back_the_page_of_a_quarantined_project() -> None:
    assert files_in_question({FILES[1], FILES[0]}, {*FILES}, is_quarantined=False) == FILES[:2]
    assert files_in_question({*FILES}, {*FILES}, is_quarantined=True) == ()


@unhurried
@given(policies, path_sets, path_sets, path_sets)
def test_only_what_upstream_deleted_from_a_page_is_kept(
    policy: RemovalPolicy,
    unwanted: frozenset[StoredPath],
    held: frozenset[StoredPath],
    filtered_out: frozenset[StoredPath],
) -> None:
    deleted = policy.deletions(unwanted, held, filtered_out)
    assert deleted <= unwanted
    assert unwanted - held <= deleted, "never on a page: half-done work"
    assert unwanted & filtered_out <= deleted, "the filters are the operator's word"
    assert (deleted == unwanted) or policy.keeps_bytes


@unhurried
@given(policies, removals(), st.integers(0, 20), st.booleans())
def test_what_is_allowed_is_never_too_much(
    policy: RemovalPolicy, made: Removals, held: int, is_reconfigured: bool
) -> None:
    allowing = RemovalPolicy(policy.deleted, policy.limit, allows_all=True, are_named=policy.are_named)
    assert allowing.excess(made, Totals(held, held), is_reconfigured=is_reconfigured) is None
    assert allowing.unlisted_excess(held, 0) is None


@unhurried
@given(policies, removals(), st.booleans())
def test_less_is_not_too_much_where_more_is_allowed(
    policy: RemovalPolicy, made: Removals, is_reconfigured: bool
) -> None:
    totals = Totals(len(NAMES), len(FILES) * len(NAMES))
    if policy.excess(made, totals, is_reconfigured=is_reconfigured) is not None or not made.projects:
        return
    made.keep(made.projects[0])
    assert policy.excess(made, totals, is_reconfigured=is_reconfigured) is None


@unhurried
@given(policies, removals(), st.booleans())
def test_projects_the_operator_named_are_not_held_back_where_others_pass(
    policy: RemovalPolicy, made: Removals, is_reconfigured: bool
) -> None:
    totals = Totals(len(NAMES), len(FILES) * len(NAMES))
    named_by_operator = RemovalPolicy(policy.deleted, policy.limit, are_named=True)
    of_run = RemovalPolicy(policy.deleted, policy.limit)
    if of_run.excess(made, totals, is_reconfigured=is_reconfigured) is None:
        assert named_by_operator.excess(made, totals, is_reconfigured=is_reconfigured) is None
