"""Indexes that are not PyPI: what becomes of each in the stories that PyPI's projects have, and what that costs."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from bandersnatch.errors import UpstreamError
from tests.support.other_index import ALLOWLIST, OWN, mirror_it, state
from tests.support.rig import IN_PROCESSES, Rig
from tests.support.static_index import HTML, JSON, Answer, Form, StaticIndex, serve_tree


@pytest.mark.parametrize("index", [Form(has_serials=True), Form(root=HTML, pages=HTML)], indirect=True)
def test_where_else_a_project_is_stays_on_its_page_as_long_as_the_index_says_so(rig: Rig, index: StaticIndex) -> None:
    index.add("foo", "foo-1.0.tar.gz")
    before = index.answer("/simple/foo/")
    told = [("tracks", "https://a.example/simple/foo/"), ("alternate-locations", "https://b.example/foo/")]
    metas = "".join(f'<meta name="pypi:{name}" content="{url}">' for name, url in told)
    body = before.body.replace(b"</head>", f"{metas}</head>".encode())
    body = body.replace(
        b'"meta": {',
        b'"alternate-locations": ["https://b.example/foo/"], "meta": {"tracks": ["https://a.example/simple/foo/"], ',
    )
    assert body != before.body
    index.in_place_of["/simple/foo/"] = Answer(200, body, before.type)
    assert rig.run().failures == []
    page, html = (rig.web / "simple/foo" / name for name in ("index.v1_json", "index.html"))
    value = json.loads(page.read_bytes())
    assert value["meta"]["tracks"] == ["https://a.example/simple/foo/"]
    assert value["alternate-locations"] == ["https://b.example/foo/"]
    assert all(f'    <meta name="pypi:{name}" content="{url}">\n' in html.read_text() for name, url in told)
    index.in_place_of.clear()
    index.add("foo", "foo-1.1.tar.gz")
    assert rig.run().failures == []
    assert b"a.example" not in page.read_bytes() + html.read_bytes()
    assert b"b.example" not in page.read_bytes() + html.read_bytes()


ALL_SAME = [f"GET /simple/{name}/ 304" for name in ("bar", "baz", "foo")]


ALL_AGAIN = [f"GET /simple/{name}/ 200" for name in ("bar", "baz", "foo")]


BY_SERIALS = ["GET /changes/index.json 404", "GET /simple/ 200", "POST /pypi 405"]


FORMS = {
    "JSON": (Form(), [*ALL_SAME, "GET /simple/ 304"]),
    "HTML": (Form(root=HTML, pages=HTML), [*ALL_SAME, "GET /simple/ 304"]),
    "HTML without ETags": (Form(root=HTML, pages=HTML, has_etags=False), [*ALL_AGAIN, "GET /simple/ 200"]),
    "JSON with a serial of the whole": (Form(has_whole_serial=True, has_etags=False), ["GET /simple/ 200"]),
    "JSON with a serial of the whole, and ETags": (Form(has_whole_serial=True), ["GET /simple/ 304"]),
    "serials as text": (Form(has_serials=True, serials_are_text=True), BY_SERIALS),
    "serials of projects alone": (Form(has_serials=True, has_index_serial=False), BY_SERIALS),
    "shadowmire": (
        Form(is_shadowmire=True, has_whole_serial=True, serials_are_text=True),
        ["GET /local.db.serial 200"],
    ),
    "no list of projects": (Form(root=None), [*ALL_SAME, "GET /simple/new/ 404"]),
    "pages at the URL itself": (Form(folder=""), [*[line.replace("/simple", "") for line in ALL_SAME], "GET / 304"]),
}


@pytest.mark.parametrize(("index", "cost"), FORMS.values(), ids=list(FORMS), indirect=["index"])
def test_the_stories_of_projects(rig: Rig, index: StaticIndex, cost: list[str]) -> None:
    if index.form.root is None:
        rig.filters = ALLOWLIST
    for name in ("foo", "bar", "baz"):
        index.add(name, f"{name}-1.0.tar.gz", f"{name}-1.0-py3-none-any.whl")
    mirror_it(rig, index)
    serials = [state(rig)]
    index.asked()
    mirror_it(rig, index)  # with nothing new
    assert state(rig) == serials[-1]
    assert sorted(index.asked()) == sorted(cost)
    index.add("foo", "foo-1.1.tar.gz")
    index.yank("bar", "bar-1.0.tar.gz")
    mirror_it(rig, index)
    serials.append(state(rig))
    index.remove("foo", "foo-1.0.tar.gz")
    index.add("new", "new-1.tar.gz")
    mirror_it(rig, index)
    serials.append(state(rig))
    index.remove("bar")
    mirror_it(rig, index)
    index.add("bar", "bar-1.0.tar.gz", content=b"other bytes")  # created again
    mirror_it(rig, index)
    serials.append(state(rig))
    assert serials == sorted(set(serials))
    before, index.is_down = rig.tree(), True
    with suppress(UpstreamError):
        assert rig.run().failures
    assert rig.tree() == before
    index.is_down = False
    mirror_it(rig, index)
    assert rig.tree() == before


@pytest.mark.parametrize("index", [Form(has_etags=False)], indirect=True)
def test_versions_in_another_order_are_no_change(rig: Rig, held: StaticIndex) -> None:
    page = held.answer("/simple/foo/")
    for versions in (["1.0", "1.1"], ["1.1", "1.0"]):
        value = json.loads(page.body) | {"versions": versions}
        held.in_place_of["/simple/foo/"] = Answer(200, json.dumps(value).encode(), JSON)
        mirror_it(rig, held)
        assert state(rig) == 2


@OWN
def test_one_named_project_is_synced_and_verified(rig: Rig, held: StaticIndex) -> None:
    assert rig.command("verify").returncode == 0
    held.add("foo", "foo-1.1.tar.gz")
    assert rig.command("sync", "foo").returncode == 0
    held.assert_held(rig.directory)
    held.add("bar", "bar-1.1.tar.gz")
    before = state(rig)
    mirror_it(rig, held)
    assert state(rig) > before


@OWN
def test_who_follows_such_a_mirror_sees_each_change_by_its_serial(rig: Rig, held: StaticIndex, tmp_path: Path) -> None:
    with serve_tree(rig.web) as url:
        follower = Rig(rig.pypi, tmp_path / "follower")
        follower.folder.mkdir()
        follower.options["master"] = url
        assert follower.run().failures == []
        held.assert_held(follower.directory)
        held.yank("foo", "foo-1.0.tar.gz")
        held.remove("bar")
        mirror_it(rig, held)
        report = follower.run(max_removals="50%")
        assert (report.updated, report.removed, report.failures) == (1, 1, [])
        held.assert_held(follower.directory)
        assert state(follower) == state(rig)


@OWN
def test_it_is_the_same_with_workers_in_processes_and_legacy_json(rig: Rig, held: StaticIndex) -> None:
    rig.tuning = IN_PROCESSES
    rig.options["json"] = "true"
    mirror_it(rig, held)
    reached = state(rig)
    held.yank("foo", "foo-1.0.tar.gz")
    held.add("new", "new-1.0.tar.gz")
    held.remove("bar")
    mirror_it(rig, held)
    assert state(rig) == reached + 1
    pages = {name: json.loads((rig.web / f"simple/{name}/index.v1_json").read_bytes()) for name in ("foo", "new")}
    assert {name: page["meta"]["_last-serial"] for name, page in pages.items()} == {
        "foo": state(rig),
        "new": state(rig),
    }
    assert len(held.askers - {os.getpid()}) > 0
    rig.has_meant_processes = False  # of the fake PyPI, nobody has asked for anything


@pytest.mark.parametrize("index", [Form(has_etags=False)], indirect=True)
def test_a_dry_run_says_what_the_next_run_does(rig: Rig, held: StaticIndex) -> None:
    held.add("same", "same-1.0.tar.gz")
    mirror_it(rig, held)
    held.add("new", "new-1.0.tar.gz")
    held.add("foo", "foo-1.1.tar.gz")
    held.remove("bar")
    before = rig.tree()
    result = rig.command("mirror", "--dry-run", "--full", "--json", max_removals="50%")
    assert result.returncode == 0
    forecast = json.loads(result.stdout)
    assert {each["project"] for each in forecast["update"]} == {"foo", "new"}
    assert {each["project"] for each in forecast["remove"]} == {"bar"}
    assert rig.tree() == before
    mirror_it(rig, held)


@pytest.mark.parametrize("index", [Form(folder="")], indirect=True)
def test_filters_are_explained_where_the_pages_are_at_the_url_itself(rig: Rig, held: StaticIndex) -> None:
    result = rig.command("config", "explain", "foo")
    assert (result.returncode, "foo" in result.stdout) == (0, True), result.stderr
    assert "GET /foo/ 200" in held.asked()


@OWN
def test_a_page_that_is_damaged_is_told_from_one_that_has_changed_upstream(rig: Rig, held: StaticIndex) -> None:
    held.yank("bar", "bar-1.0.tar.gz")
    result = rig.command("verify")
    assert (result.returncode, "index" in result.stdout) == (0, False)
    path = rig.web / "simple/foo/index.html"
    path.write_bytes(path.read_bytes().replace(b"foo-1.0", b"fop-1.0"))
    assert "1 found, 1 repaired" in rig.command("verify").stderr
    assert b"fop-1.0" not in path.read_bytes()
    assert "0 found" in rig.command("verify").stderr
    held.assert_held(rig.directory)
