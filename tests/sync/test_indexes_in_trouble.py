"""Indexes that are not PyPI, when what they send is none, or too little: nothing is changed that must not be."""

import json

import pytest

from bandersnatch.errors import UpstreamError
from bandersnatch.inifile import option
from tests.support.other_index import LOGIN, OWN, mirror_it, state
from tests.support.rig import Rig
from tests.support.static_index import HTML, JSON, Answer, Form, StaticIndex

NO_PROJECTS = Answer(200, b'{"meta":{"api-version":"1.0"},"projects":[]}', JSON)


@OWN
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (LOGIN, "no PEP 691 root index, but text/html"),
        (NO_PROJECTS, "upstream lists no projects, and the mirror has 2, which looks like an outage"),
        (Answer(404), "not found"),
        (Answer(502), "upstream answered 502"),
        (Answer(200, b'<html><body><a href="foo/">foo</a>'), "the HTML root index breaks off"),
    ],
    ids=["login", "empty", "gone", "bad gateway", "broken off"],
)
def test_an_index_that_is_none_any_more_changes_nothing(
    rig: Rig, held: StaticIndex, answer: Answer, words: str
) -> None:
    before = rig.tree()
    held.in_place_of["/simple/"] = answer
    with pytest.raises(UpstreamError, match=words):
        rig.run()
    assert rig.tree() == before
    del held.in_place_of["/simple/"]
    mirror_it(rig, held)
    assert rig.tree() == before


@OWN
def test_a_page_that_is_none_any_more_fails_its_project_alone(rig: Rig, held: StaticIndex) -> None:
    held.in_place_of["/simple/foo/"] = LOGIN
    held.add("bar", "bar-1.1.tar.gz")
    (failure,) = rig.run().failures
    assert failure.project == "foo"
    held.assert_held(rig.directory)


@OWN
def test_what_the_list_lacks_is_removed_only_if_its_page_is_gone_too(rig: Rig, held: StaticIndex) -> None:
    whole, page = held.answer("/simple/"), held.answer("/simple/foo/")
    held.remove("foo")
    held.in_place_of["/simple/foo/"] = page
    rig.run(max_removals="50%")
    assert (rig.web / "simple/foo/index.html").exists()
    held.in_place_of = {"/simple/": whole}  # it is listed, though its page is gone
    rig.run(max_removals="50%")
    assert (rig.web / "simple/foo/index.html").exists()
    held.in_place_of = {}
    mirror_it(rig, held)


@OWN
def test_what_the_list_lacks_is_removed_when_its_page_goes_later(rig: Rig, held: StaticIndex) -> None:
    held.in_place_of["/simple/foo/"] = held.answer("/simple/foo/")
    held.remove("foo")
    assert rig.run(max_removals="50%").failures == []
    held.asked()
    assert rig.run().failures == []
    assert {"GET /simple/ 304", "GET /simple/foo/ 304"} <= set(held.asked())  # the list is not read again for it
    held.in_place_of = {}
    mirror_it(rig, held)
    assert {"GET /simple/ 304", "GET /simple/foo/ 404"} <= set(held.asked())
    mirror_it(rig, held)
    assert sorted(held.asked()) == ["GET /simple/ 304", "GET /simple/bar/ 304"]


@OWN
def test_a_project_for_which_another_index_is_named_is_not_there(rig: Rig, held: StaticIndex) -> None:
    other = held.url.replace("127.0.0.1", "localhost")
    page = held.answer("/simple/foo/")
    held.remove("foo")
    held.in_place_of = {"/simple/foo/": Answer(302, location=f"{other}/elsewhere/"), "/elsewhere/": page}
    mirror_it(rig, held)
    assert any(line.startswith("GET /elsewhere/") for line in held.asked())


@OWN
def test_a_304_of_another_etag_does_not_hide_what_is_new(rig: Rig, held: StaticIndex) -> None:
    held.confuses_etags = True
    held.add("foo", "foo-1.1.tar.gz")
    held.add("new", "new-1.0.tar.gz")
    held.remove("bar")
    mirror_it(rig, held)


@OWN
def test_a_root_index_at_another_host_is_another_index(rig: Rig, index: StaticIndex) -> None:
    index.add("foo", "foo-1.0.tar.gz")
    other = f"{index.url.replace('127.0.0.1', 'localhost')}/elsewhere/"
    index.in_place_of = {"/elsewhere/": index.answer("/simple/"), "/simple/": Answer(302, location=other)}
    with pytest.raises(
        UpstreamError, match=f"/simple/: it leads to {other}; if that is the index, set master accordingly"
    ):
        rig.run()


@pytest.mark.parametrize("is_pypi", [False, True])
@pytest.mark.parametrize("index", [Form(has_serials=True)], indirect=True)
def test_an_index_with_serials_may_be_at_another_host_unless_that_is_pypi(
    rig: Rig, index: StaticIndex, monkeypatch: pytest.MonkeyPatch, is_pypi: bool
) -> None:
    monkeypatch.setattr(option, "_PYPI_HOSTS", ("localhost",) if is_pypi else ())
    index.add("foo", "foo-1.0.tar.gz")
    other = f"{index.url.replace('127.0.0.1', 'localhost')}/elsewhere/"
    index.in_place_of = {"/elsewhere/": index.answer("/simple/"), "/simple/": Answer(302, location=other)}
    if is_pypi:
        with pytest.raises(UpstreamError, match="it leads to"):
            rig.run()
    else:
        mirror_it(rig, index)


@pytest.mark.parametrize("index", [Form(has_whole_serial=True)], indirect=True)
def test_a_root_index_that_was_written_again_with_the_same_serial_is_not_believed(rig: Rig, held: StaticIndex) -> None:
    held.add("foo", "foo-1.1.tar.gz")
    held.serial -= 1
    root = held.answer("/simple/")
    held.in_place_of["/simple/"] = Answer(200, root.body + b"\n", root.type)
    mirror_it(rig, held)


@OWN
def test_the_brake_holds_for_an_index_without_serials(rig: Rig, held: StaticIndex) -> None:
    for number in range(9):
        held.add(f"project-{number}", f"project-{number}-1.tar.gz")
    mirror_it(rig, held)
    for number in range(9):
        held.remove(f"project-{number}")
    assert rig.run(max_removals="5%").withheld is not None
    assert len(list((rig.web / "simple").glob("project-*"))) == 9
    assert rig.run(allow_removals=True).removed == 9
    held.assert_held(rig.directory)


@pytest.mark.parametrize("index", [Form(is_shadowmire=True)], indirect=True)
@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/local.db.serial", LOGIN, "no serial of a mirror made by shadowmire"),
        ("/local.json", LOGIN, "no serials of projects, as shadowmire writes them"),
        ("/local.json", Answer(404), "not found"),
    ],
)
def test_a_mirror_by_shadowmire_that_is_none_any_more_changes_nothing(
    rig: Rig, held: StaticIndex, path: str, answer: Answer, words: str
) -> None:
    before = rig.tree()
    held.add("foo", "foo-1.1.tar.gz")
    held.in_place_of[path] = answer
    with pytest.raises(UpstreamError, match=words):
        rig.run()
    assert rig.tree() == before
    held.in_place_of = {}
    mirror_it(rig, held)


@pytest.mark.parametrize("index", [Form(is_shadowmire=True)], indirect=True)
def test_a_serial_far_ahead_of_a_mirror_by_shadowmire_is_not_believed(rig: Rig, held: StaticIndex) -> None:
    held.add("foo", "foo-1.1.tar.gz")
    told = {"foo": 10**6, "bar": str(held.serials["bar"]), "baz": None}
    held.in_place_of["/local.json"] = Answer(200, json.dumps(told).encode(), JSON)
    held.add("baz", "baz-1.0.tar.gz")
    mirror_it(rig, held)
    assert state(rig) == held.serial
    held.in_place_of.clear()
    held.add("bar", "bar-1.1.tar.gz")
    mirror_it(rig, held)


@pytest.mark.parametrize("index", [Form(root=HTML, pages=HTML)], indirect=True)
def test_an_index_in_html_that_says_it_lists_nothing_is_followed_when_the_operator_allows_it(
    rig: Rig, held: StaticIndex
) -> None:
    held.in_place_of["/simple/"] = Answer(200, b"<html><head><title>Simple index</title></head><body></body></html>")
    with pytest.raises(UpstreamError, match="lists no projects, and the mirror has 2"):
        rig.run()
    held.projects.clear()
    assert rig.run(allow_removals=True).removed == 2
    held.assert_held(rig.directory)
