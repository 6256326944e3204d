"""The kind of an index: found out, said by the operator, lost, or another one now."""

import pytest

from bandersnatch.errors import UpstreamError
from tests.support.other_index import ALLOWLIST, OWN, mirror_it, state
from tests.support.rig import Rig
from tests.support.static_index import Form, StaticIndex

KINDS = [
    ("simple", Form(), ["GET /changes/index.json 404", "GET /simple/ 200"]),
    ("simple", Form(has_serials=True), ["GET /changes/index.json 404", "GET /simple/ 200"]),
    ("shadowmire", Form(is_shadowmire=True), ["GET /local.db.serial 200", "GET /local.json 200"]),
    ("warehouse", Form(has_serials=True), ["POST /pypi 405", "GET /changes/index.json 404", "GET /simple/ 200"]),
]


@pytest.mark.parametrize(("kind", "index", "asked"), KINDS, indirect=["index"])
def test_the_operator_may_say_what_the_index_is(rig: Rig, index: StaticIndex, kind: str, asked: list[str]) -> None:
    rig.options["upstream-kind"] = kind
    index.add("foo", "foo-1.0.tar.gz")
    mirror_it(rig, index)
    assert index.asked()[: len(asked)] == asked
    index.add("foo", "foo-1.1.tar.gz")
    mirror_it(rig, index)


@pytest.mark.parametrize(("kind", "words"), [("warehouse", "has no serials"), ("shadowmire", "not found")])
def test_an_index_that_is_not_what_the_operator_says_is_refused(
    rig: Rig, index: StaticIndex, kind: str, words: str
) -> None:
    index.form = Form()
    index.add("foo", "foo-1.0.tar.gz")
    with pytest.raises(UpstreamError, match=words):
        rig.run(upstream_kind=kind)


@pytest.mark.parametrize("index", [Form(has_serials=True)], indirect=True)
def test_the_operator_may_say_that_the_serials_are_gone_for_good(rig: Rig, held: StaticIndex) -> None:
    held.form = Form()
    held.add("foo", "foo-1.1.tar.gz")
    rig.options["upstream-kind"] = "simple"
    before = state(rig)
    mirror_it(rig, held)
    assert state(rig) == before + 1


@pytest.mark.parametrize("form", [Form(), Form(has_serials=True), Form(has_whole_serial=True)], ids=str)
@pytest.mark.parametrize("index", [Form(is_shadowmire=True)], indirect=True)
def test_a_mirror_by_shadowmire_that_another_program_makes_now_is_followed_when_the_operator_says_so(
    rig: Rig, held: StaticIndex, form: Form
) -> None:
    held.form = form
    held.add("foo", "foo-1.1.tar.gz")
    with pytest.raises(UpstreamError, match="if it is another kind now, set upstream-kind = simple"):
        rig.run()
    rig.options["upstream-kind"] = "simple"
    mirror_it(rig, held)


@OWN
def test_without_the_record_of_its_kind_an_index_is_refused_until_the_option_names_it(
    rig: Rig, held: StaticIndex
) -> None:
    before = rig.tree()
    (rig.directory / "upstream").unlink()
    with pytest.raises(UpstreamError, match="if this index has none, set upstream-kind = simple"):
        rig.run()
    assert rig.run(upstream_kind="simple").failures == []
    assert rig.tree() == before
    held.yank("foo", "foo-1.0.tar.gz")
    mirror_it(rig, held)


@pytest.mark.parametrize("index", [Form(has_serials=True)], indirect=True)
def test_serials_that_are_lost_on_the_way_change_nothing(rig: Rig, held: StaticIndex) -> None:
    before = rig.tree()
    held.form = Form()
    with pytest.raises(UpstreamError, match="the root index has no serials, although what is here has some; if this"):
        rig.run()
    assert rig.tree() == before


def test_serials_that_an_index_gets_later_are_not_taken_for_ours(rig: Rig, index: StaticIndex) -> None:
    index.form = Form()
    for name in ("foo", "bar", "baz"):
        index.add(name, f"{name}-1.0.tar.gz")
    mirror_it(rig, index)
    index.form = Form(has_serials=True)
    index.yank("foo", "foo-1.0.tar.gz")
    index.asked()
    mirror_it(rig, index)
    pages = ["GET /simple/bar/ 200", "GET /simple/baz/ 200", "GET /simple/foo/ 200"]
    assert sorted(index.asked()) == ["GET /simple/ 200", *pages]
    mirror_it(rig, index)
    assert index.asked() == ["GET /simple/ 304"]


@OWN
def test_after_records_are_lost_the_count_goes_on(rig: Rig, held: StaticIndex) -> None:
    held.add("foo", "foo-1.1.tar.gz")
    mirror_it(rig, held)
    reached = state(rig)
    before = rig.tree()
    rig.resync()
    mirror_it(rig, held)
    assert (state(rig), rig.tree()) == (reached, before)
    held.yank("foo", "foo-1.1.tar.gz")
    rig.resync()
    mirror_it(rig, held)
    assert state(rig) == reached + 1


@pytest.mark.parametrize("index", [Form(root=None)], indirect=True)
def test_without_a_list_a_name_that_does_not_exist_is_told(
    rig: Rig, index: StaticIndex, caplog: pytest.LogCaptureFixture
) -> None:
    rig.filters = ALLOWLIST
    index.add("foo", "foo-1.0.tar.gz")
    mirror_it(rig, index)
    assert "upstream does not have these projects of the allowlist: bar, baz, new" in caplog.text


@pytest.mark.parametrize("index", [Form(root=None)], indirect=True)
def test_without_a_list_and_any_page_it_is_no_index(rig: Rig, index: StaticIndex) -> None:
    rig.filters = ALLOWLIST
    with pytest.raises(UpstreamError, match=f"So {index.url} is not a package index; is the option master right"):
        rig.run()
