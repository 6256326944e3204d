"""Indexes that are not PyPI: where their files lie, and what becomes of each in the stories that PyPI's projects have."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bandersnatch.errors import UpstreamError
from bandersnatch.inifile import option
from tests.support.rig import IN_PROCESSES, Rig
from tests.support.static_index import HTML, JSON, Answer, Form, StaticIndex, serve_tree, static_index

TORCH = "torch-2.7.0+cu126-cp311-cp311-linux_x86_64.whl"


@pytest.fixture
def index(rig: Rig, request: pytest.FixtureRequest) -> Iterator[StaticIndex]:
    """An index in place of the fake PyPI."""
    with static_index(getattr(request, "param", Form(has_serials=True))) as index:
        rig.options["master"] = index.url
        yield index


@pytest.mark.quick
def test_files_at_another_host_and_below_no_packages_are_mirrored_and_followed(rig: Rig, index: StaticIndex) -> None:
    index.add("torch", TORCH)
    index.add("foo", "foo-1!1.0.tar.gz")
    assert rig.run().failures == []
    index.assert_held(rig.directory)
    host = index.files_url.removeprefix("http://").replace(":", "+")
    (file,) = json.loads((rig.web / "simple/torch/index.v1_json").read_bytes())["files"]
    assert file["url"] == f"../../packages/{host.replace('+', '%2B')}/whl/torch/{TORCH.replace('+', '%2B')}"
    assert (rig.web / f"packages/{host}/whl/torch/{TORCH}").is_file()
    before = rig.tree()
    (rig.directory / "inventory.sqlite").unlink()
    rig.resync()
    assert rig.run().failures == []
    assert rig.tree() == before
    assert rig.command("verify", "--delete").returncode == 0
    assert rig.tree() == before
    index.remove("torch")
    index.remove("foo", "foo-1!1.0.tar.gz")
    index.add("foo", "foo-1.1.tar.gz")
    assert rig.run().failures == []
    index.assert_held(rig.directory)


def test_a_file_with_a_hostile_url_is_left_out_alone(rig: Rig, index: StaticIndex) -> None:
    index.add("foo", "foo-1.0.tar.gz", "foo-1.1.tar.gz")
    page = index.answer("/simple/foo/")
    index.in_place_of["/simple/foo/"] = Answer(
        200, page.body.replace(b"/whl/foo/foo-1.1", b"/whl/%2e%2e/%2e%2e/foo-1.1"), page.type
    )
    assert rig.run().failures == []
    del index.projects["foo"]["foo-1.1.tar.gz"]
    index.assert_held(rig.directory)


def test_other_bytes_where_a_file_without_a_told_size_belongs_are_replaced(rig: Rig, index: StaticIndex) -> None:
    index.add("foo", "foo-1.0.tar.gz")
    path = rig.web / "packages" / index.files_url.removeprefix("http://").replace(":", "+") / "whl/foo/foo-1.0.tar.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"of another tool")
    run(rig, index)


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


ALLOWLIST = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n  foo\n  bar\n  baz\n  new\n"
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


def run(rig: Rig, index: StaticIndex) -> None:
    assert rig.run(max_removals="50%").failures == []
    index.assert_held(rig.directory)


def state(rig: Rig) -> int:
    return int((rig.directory / "state").read_text())


@pytest.mark.parametrize(("index", "cost"), FORMS.values(), ids=list(FORMS), indirect=["index"])
def test_the_stories_of_projects(rig: Rig, index: StaticIndex, cost: list[str]) -> None:
    if index.form.root is None:
        rig.filters = ALLOWLIST
    for name in ("foo", "bar", "baz"):
        index.add(name, f"{name}-1.0.tar.gz", f"{name}-1.0-py3-none-any.whl")
    run(rig, index)
    serials = [state(rig)]
    index.asked()
    run(rig, index)  # with nothing new
    assert state(rig) == serials[-1]
    assert sorted(index.asked()) == sorted(cost)
    index.add("foo", "foo-1.1.tar.gz")
    index.yank("bar", "bar-1.0.tar.gz")
    run(rig, index)
    serials.append(state(rig))
    index.remove("foo", "foo-1.0.tar.gz")
    index.add("new", "new-1.tar.gz")
    run(rig, index)
    serials.append(state(rig))
    index.remove("bar")
    run(rig, index)
    index.add("bar", "bar-1.0.tar.gz", content=b"other bytes")  # created again
    run(rig, index)
    serials.append(state(rig))
    assert serials == sorted(set(serials))
    before, index.is_down = rig.tree(), True
    with suppress(UpstreamError):
        assert rig.run().failures
    assert rig.tree() == before
    index.is_down = False
    run(rig, index)
    assert rig.tree() == before


@pytest.fixture
def held(rig: Rig, index: StaticIndex) -> StaticIndex:
    """An index of two projects, which a mirror has."""
    index.add("foo", "foo-1.0.tar.gz")
    index.add("bar", "bar-1.0.tar.gz")
    run(rig, index)
    return index


OWN = pytest.mark.parametrize("index", [Form(), Form(root=HTML, pages=HTML)], ids=["JSON", "HTML"], indirect=True)
LOGIN = Answer(200, b"<!DOCTYPE html><html><body><a href='/help/'>Help</a><form action='/login'></form></body></html>")
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
    run(rig, held)
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
    run(rig, held)


@OWN
def test_what_the_list_lacks_is_removed_when_its_page_goes_later(rig: Rig, held: StaticIndex) -> None:
    held.in_place_of["/simple/foo/"] = held.answer("/simple/foo/")
    held.remove("foo")
    assert rig.run(max_removals="50%").failures == []
    held.in_place_of = {}
    run(rig, held)
    held.asked()
    run(rig, held)
    assert "GET /simple/ 304" in held.asked()


@OWN
def test_a_project_for_which_another_index_is_named_is_not_there(rig: Rig, held: StaticIndex) -> None:
    other = held.url.replace("127.0.0.1", "localhost")
    page = held.answer("/simple/foo/")
    held.remove("foo")
    held.in_place_of = {"/simple/foo/": Answer(302, location=f"{other}/elsewhere/"), "/elsewhere/": page}
    run(rig, held)
    assert any(line.startswith("GET /elsewhere/") for line in held.asked())


def asked_for_files(index: StaticIndex) -> list[str]:
    return [line for line in index.asked() if "/whl/" in line]


@pytest.mark.parametrize("deleted", ["remove", "hide"])
@OWN
def test_files_that_an_index_moves_to_another_host_are_not_fetched_again(
    rig: Rig, held: StaticIndex, deleted: str
) -> None:
    rig.options["deleted"] = deleted
    run(rig, held)
    held.files_url = held.files_url.replace("127.0.0.1", "localhost")
    held.asked()
    forecast = json.loads(rig.call("mirror", "--dry-run", "--full", "--json").stdout)
    assert forecast["total"]["download"]["files"] == 0
    report = rig.run()  # no removal needs to be allowed
    assert (report.updated, report.withheld, report.failures) == (2, None, [])
    assert asked_for_files(held) == []
    held.assert_held(rig.directory)
    assert len(list((rig.web / "packages").iterdir())) == 1
    assert rig.call("verify").returncode == 0


@OWN
def test_a_file_that_is_damaged_where_it_was_is_fetched_from_its_new_place(rig: Rig, held: StaticIndex) -> None:
    (path,) = (rig.web / "packages").rglob("foo-1.0.tar.gz")
    path.write_bytes(path.read_bytes()[::-1])
    held.files_url = held.files_url.replace("127.0.0.1", "localhost")
    held.asked()
    run(rig, held)
    assert asked_for_files(held) == ["GET /whl/foo/foo-1.0.tar.gz 200"]


@OWN
def test_a_304_of_another_etag_does_not_hide_what_is_new(rig: Rig, held: StaticIndex) -> None:
    held.confuses_etags = True
    held.add("foo", "foo-1.1.tar.gz")
    held.add("new", "new-1.0.tar.gz")
    held.remove("bar")
    run(rig, held)


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
        run(rig, index)


@pytest.mark.parametrize("index", [Form(has_whole_serial=True)], indirect=True)
def test_a_root_index_that_was_written_again_with_the_same_serial_is_not_believed(rig: Rig, held: StaticIndex) -> None:
    held.add("foo", "foo-1.1.tar.gz")
    held.serial -= 1
    root = held.answer("/simple/")
    held.in_place_of["/simple/"] = Answer(200, root.body + b"\n", root.type)
    run(rig, held)


@pytest.mark.parametrize("index", [Form(has_etags=False)], indirect=True)
def test_versions_in_another_order_are_no_change(rig: Rig, held: StaticIndex) -> None:
    page = held.answer("/simple/foo/")
    for versions in (["1.0", "1.1"], ["1.1", "1.0"]):
        value = json.loads(page.body) | {"versions": versions}
        held.in_place_of["/simple/foo/"] = Answer(200, json.dumps(value).encode(), JSON)
        run(rig, held)
        assert state(rig) == 2


@OWN
def test_the_brake_holds_for_an_index_without_serials(rig: Rig, held: StaticIndex) -> None:
    for number in range(9):
        held.add(f"project-{number}", f"project-{number}-1.tar.gz")
    run(rig, held)
    for number in range(9):
        held.remove(f"project-{number}")
    assert rig.run(max_removals="5%").withheld is not None
    assert len(list((rig.web / "simple").glob("project-*"))) == 9
    assert rig.run(allow_removals=True).removed == 9
    held.assert_held(rig.directory)


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
    run(rig, index)
    index.form = Form(has_serials=True)
    index.yank("foo", "foo-1.0.tar.gz")
    index.asked()
    run(rig, index)
    pages = ["GET /simple/bar/ 200", "GET /simple/baz/ 200", "GET /simple/foo/ 200"]
    assert sorted(index.asked()) == ["GET /simple/ 200", *pages]
    run(rig, index)
    assert index.asked() == ["GET /simple/ 304"]


@OWN
def test_after_records_are_lost_the_count_goes_on(rig: Rig, held: StaticIndex) -> None:
    held.add("foo", "foo-1.1.tar.gz")
    run(rig, held)
    reached = state(rig)
    before = rig.tree()
    rig.resync()
    run(rig, held)
    assert (state(rig), rig.tree()) == (reached, before)
    held.yank("foo", "foo-1.1.tar.gz")
    rig.resync()
    run(rig, held)
    assert state(rig) == reached + 1


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
    run(rig, held)


@OWN
def test_one_named_project_is_synced_and_verified(rig: Rig, held: StaticIndex) -> None:
    assert rig.command("verify").returncode == 0
    held.add("foo", "foo-1.1.tar.gz")
    assert rig.command("sync", "foo").returncode == 0
    held.assert_held(rig.directory)
    held.add("bar", "bar-1.1.tar.gz")
    before = state(rig)
    run(rig, held)
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
        run(rig, held)
        report = follower.run(max_removals="50%")
        assert (report.updated, report.removed, report.failures) == (1, 1, [])
        held.assert_held(follower.directory)
        assert state(follower) == state(rig)


@pytest.mark.parametrize("index", [Form(root=None)], indirect=True)
def test_without_a_list_a_name_that_does_not_exist_is_told(
    rig: Rig, index: StaticIndex, caplog: pytest.LogCaptureFixture
) -> None:
    rig.filters = ALLOWLIST
    index.add("foo", "foo-1.0.tar.gz")
    run(rig, index)
    assert "upstream does not have these projects of the allowlist: bar, baz, new" in caplog.text


@pytest.mark.parametrize("index", [Form(root=None)], indirect=True)
def test_without_a_list_and_any_page_it_is_no_index(rig: Rig, index: StaticIndex) -> None:
    rig.filters = ALLOWLIST
    with pytest.raises(UpstreamError, match=f"So {index.url} is not a package index; is the option master right"):
        rig.run()


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
    run(rig, held)


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
    run(rig, held)


@pytest.mark.parametrize("index", [Form(is_shadowmire=True)], indirect=True)
def test_a_serial_far_ahead_of_a_mirror_by_shadowmire_is_not_believed(rig: Rig, held: StaticIndex) -> None:
    held.add("foo", "foo-1.1.tar.gz")
    told = {"foo": 10**6, "bar": str(held.serials["bar"]), "baz": None}
    held.in_place_of["/local.json"] = Answer(200, json.dumps(told).encode(), JSON)
    held.add("baz", "baz-1.0.tar.gz")
    run(rig, held)
    assert state(rig) == held.serial
    held.in_place_of.clear()
    held.add("bar", "bar-1.1.tar.gz")
    run(rig, held)


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
    run(rig, index)
    assert index.asked()[: len(asked)] == asked
    index.add("foo", "foo-1.1.tar.gz")
    run(rig, index)


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
    run(rig, held)
    assert state(rig) == before + 1


@OWN
def test_it_is_the_same_with_workers_in_processes_and_legacy_json(rig: Rig, held: StaticIndex) -> None:
    rig.tuning = IN_PROCESSES
    rig.options["json"] = "true"
    run(rig, held)
    reached = state(rig)
    held.yank("foo", "foo-1.0.tar.gz")
    held.add("new", "new-1.0.tar.gz")
    held.remove("bar")
    run(rig, held)
    assert state(rig) == reached + 1
    pages = {name: json.loads((rig.web / f"simple/{name}/index.v1_json").read_bytes()) for name in ("foo", "new")}
    assert {name: page["meta"]["_last-serial"] for name, page in pages.items()} == {
        "foo": state(rig),
        "new": state(rig),
    }


@pytest.mark.parametrize("index", [Form(has_etags=False)], indirect=True)
def test_a_dry_run_says_what_the_next_run_does(rig: Rig, held: StaticIndex) -> None:
    held.add("same", "same-1.0.tar.gz")
    run(rig, held)
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
    run(rig, held)


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
