"""Project pages in HTML say the same as in JSON, as far as HTML can say it; what is no such page is none."""

import json
import re
import tracemalloc
from contextlib import suppress
from html import escape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bandersnatch.errors import MalformedResponseError, UnsupportedVersionError
from bandersnatch.json_documents import parse_project_page
from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.pages.render import render_project_html, render_project_json
from bandersnatch.upstream import html_page
from bandersnatch.upstream.html_page import parse_html_page
from tests.support.builders import PAGE_URL, SAMPLE, SHA256, WHEEL, make_file, named, project_pages, unhurried
from tests.support.recorded import RECORDED

HOST = "https://index.example"
FILE = f'<a href="https://files.example/packages/aa/{WHEEL}#sha256={SHA256}">{WHEEL}</a>'


def read(html: str, url: str = PAGE_URL, content_type: str = "text/html") -> ProjectPage | None:
    return parse_html_page(html.encode(), content_type, SAMPLE, url)


def page_of(html: str, url: str = PAGE_URL) -> ProjectPage:
    """Return what a page says, whose links to files all have a digest."""
    page = read(
        re.sub(
            r"(?i)(href ?= ?[\"']?[^\"'#> ]*\.(?:whl|egg|exe|msi|rpm|zip|tgz|tar\.\w+))(?=[\"'> ])",
            rf"\1#sha256={SHA256}",
            html,
        ),
        url,
    )
    assert page is not None
    return page


def only_file(attributes: str = "", href: str = f"/packages/aa/{WHEEL}#sha256={SHA256}") -> DistributionFile:
    (file,) = page_of(f'<a href="{href}" {attributes}>{WHEEL}</a>').files
    return file


def without_details(page: ProjectPage) -> ProjectPage:
    """Return a page without what HTML can't say."""
    files = tuple(replace(file, size=None, upload_time=None) for file in page.files)
    return replace(page, files=files, versions=())


# The same as JSON


@unhurried
@given(project_pages())
def test_the_html_page_says_what_the_json_page_says(page: ProjectPage) -> None:
    page = replace(page, files=tuple(replace(file, hashes={"sha256": file.sha256}) for file in page.files))
    json_page = parse_project_page(render_project_json(page), SAMPLE, PAGE_URL)
    html = parse_html_page(render_project_html(page, "sha256"), "text/html", SAMPLE, PAGE_URL)
    assert html == without_details(json_page)


@pytest.mark.parametrize("path", sorted(RECORDED.glob("**/*.html.body")), ids=lambda path: path.name)
def test_recorded_pages_of_pypi_say_the_same_in_both_forms(path: Path) -> None:
    in_json = path.with_name(path.name.replace(".html.", ".json."))
    value = json.loads(in_json.read_bytes()) if in_json.exists() else {}
    if "files" not in value:
        pytest.skip("no project's page in both forms")
    project = named(value["name"])
    expected = parse_project_page(in_json.read_bytes(), project, PAGE_URL)
    assert parse_html_page(path.read_bytes(), "text/html", project, PAGE_URL) == without_details(expected)


# Links


@pytest.mark.parametrize(
    ("head", "href", "url"),
    [
        ("", f"../../packages/aa/{WHEEL}", f"{HOST}/packages/aa/{WHEEL}"),
        ("", f"/packages/aa/{WHEEL}", f"{HOST}/packages/aa/{WHEEL}"),
        ("", f"./{WHEEL}", f"{PAGE_URL}{WHEEL}"),
        ("", f"../../../../{WHEEL}", f"{HOST}/{WHEEL}"),
        ("<BASE HREF=/whl/>", f"./{WHEEL}", f"{HOST}/whl/{WHEEL}"),
        ("", f"{WHEEL}?a=1&amp;b=2", f"{PAGE_URL}{WHEEL}?a=1&b=2"),
        ("", f"&#47;aa&#x2F;{WHEEL}", f"{HOST}/aa/{WHEEL}"),
        ("", f"//files.example/packages/aa/{WHEEL}", f"https://files.example/packages/aa/{WHEEL}"),
        ("", f"http://files.example:81/packages/aa/{WHEEL}", f"http://files.example:81/packages/aa/{WHEEL}"),
        ("", f"\n  {WHEEL}", f"{PAGE_URL}{WHEEL}"),
        ("", f"{WHEEL}?token=a/b", f"{PAGE_URL}{WHEEL}?token=a/b"),
        ('<base href="https://cdn.example/whl/">', WHEEL, f"https://cdn.example/whl/{WHEEL}"),
        ('<base href="../all/"><base href="/no/">', WHEEL, f"{HOST}/simple/all/{WHEEL}"),
        ('<base target="_top"><base href="/whl/">', f"../{WHEEL}", f"{HOST}/{WHEEL}"),
    ],
)
def test_a_link_may_be_relative_absolute_or_to_another_host(head: str, href: str, url: str) -> None:
    (file,) = page_of(f'<head>{head}</head><a href="{href}#sha256={SHA256}">x</a>').files
    assert (file.filename, file.url) == (WHEEL, url)


def test_a_base_after_the_links_counts_too() -> None:
    assert page_of(f'<a href="{WHEEL}">x</a><base href="/whl/">').files[0].url == f"{HOST}/whl/{WHEEL}"


@pytest.mark.parametrize("written", ["+", "%2B", "%2b"])
def test_a_plus_in_a_name_may_be_written_in_two_ways(written: str) -> None:
    name = "sample-1.0{}cu126-cp312-cp312-linux_x86_64.whl"
    file = only_file(href=f"/packages/aa/{name.format(written)}#sha256={SHA256}")
    assert file.filename == name.format("+")
    assert file.url.endswith(name.format(written))


@pytest.mark.parametrize(
    "attributes", ['href="x.whl"', "HREF = x.whl", "href='x.whl' href='y.whl'", "rel=x href=x.whl "]
)
def test_attributes_may_be_written_in_all_ways_of_html(attributes: str) -> None:
    assert [file.url for file in page_of(f"<title>Links for sample</title><A {attributes}>x</A>").files] == [
        f"{PAGE_URL}x.whl"
    ]


def test_links_that_lead_to_no_file_are_none() -> None:
    others = ["../", "https://sample.example/", "mailto:a@b.example", "#top", f"{WHEEL}.asc", "x?C=N;O=D", ""]
    html = FILE + "".join(f'<a href="{href}">x</a>' for href in others) + "<a name=x>x</a>"
    assert [file.filename for file in page_of(html).files] == [WHEEL]


@pytest.mark.parametrize(
    "name",
    ["s-1.tar.gz", "s-1.zip", "s-1-py3.egg", "s-1.exe", "s-1.msi", "s-1.rpm", "s-1.tar.Z", "s-1.tgz", "s-1.tar.bz2"],
)
def test_files_of_all_kinds_need_no_digest_to_be_seen(name: str) -> None:
    page = page_of(f'{FILE}<a href="{name}">{name}</a>')
    assert [file.filename for file in page.files] == [WHEEL, name]


def test_a_link_is_left_out_where_it_is_no_url() -> None:
    page = page_of(f'{FILE}<a href="http://[/x.whl">x</a><a href="ftp://h/y.whl">y</a>')
    assert (len(page.files), page.left_out) == (1, ("x.whl", "y.whl"))


def test_a_file_may_be_there_twice_only_if_both_are_the_same() -> None:
    assert len(page_of(FILE * 2 + FILE.replace("/aa/", "/bb/")).files) == 1
    with pytest.raises(MalformedResponseError, match=f"the file '{WHEEL}' is there twice"):
        read(FILE + FILE.replace(SHA256, "1" * 64))


# Attributes


def test_a_file_without_attributes_says_nothing() -> None:
    assert only_file() == make_file(url=f"{HOST}/packages/aa/{WHEEL}", size=None)


@pytest.mark.parametrize(
    ("attributes", "field", "value"),
    [
        ('data-requires-python="&gt;=3.8"', "requires_python", ">=3.8"),
        ("data-yanked", "yanked", True),
        ('data-yanked=""', "yanked", True),
        ('data-yanked="it &#34;breaks&#34;"', "yanked", 'it "breaks"'),
        (f'data-core-metadata="sha256={SHA256}"', "core_metadata_sha256", SHA256),
        (f'data-dist-info-metadata="sha256={SHA256.upper()}"', "core_metadata_sha256", SHA256),
        (f'data-core-metadata="sha256={SHA256}" data-dist-info-metadata="true"', "core_metadata_sha256", SHA256),
        ('data-core-metadata="true"', "has_unhashed_metadata", True),
        ('data-dist-info-metadata="true"', "has_unhashed_metadata", True),
        ('data-core-metadata="false"', "has_unhashed_metadata", False),
        ("data-core-metadata", "has_unhashed_metadata", True),
        ('data-provenance="https://p.example/x"', "provenance", "https://p.example/x"),
    ],
)
def test_an_attribute_is_the_field_of_its_name(attributes: str, field: str, value: object) -> None:
    file = only_file(attributes)
    assert getattr(file, field) == value
    assert replace(file, **{field: getattr(only_file(), field)}) == only_file()


def test_signatures_are_not_told() -> None:
    assert only_file('data-gpg-sig="true"') == only_file()


@pytest.mark.parametrize(
    "fragment",
    [f"sha256={SHA256}", f"egg=x&sha256={SHA256}", f"egg=x#sha256={SHA256}", f"SHA256={SHA256.upper()}&egg=x"],
)
def test_the_digest_is_in_the_fragment(fragment: str) -> None:
    assert only_file(href=f"/packages/aa/{WHEEL}#{fragment}").hashes == {"sha256": SHA256}


# All ways to write the same


def ways_to_write(link: st.DataObject, name: str, value: str) -> str:
    """Return an attribute in one of the ways that HTML allows."""
    name = link.draw(st.sampled_from([name, name.upper(), name.title()]))
    quote = link.draw(st.sampled_from(['"', "'"] if re.search(r"[\s\"'=<>`]", value) or not value else ['"', "'", ""]))
    text = escape(value)
    if link.draw(st.booleans()):
        text = text.replace(">", "&#62;").replace("+", "&#x2b;").replace("=", "&equals;" if quote else "&#61;")
    around = link.draw(st.sampled_from(["=", " = ", "\n="]))
    return f"{name}{around}{quote}{text}{quote}"


def fillers() -> st.SearchStrategy[str]:
    """What may stand between links, and says nothing of files; much of it is broken."""
    texts = [
        "",
        "\n",
        "<br>",
        "<br />",
        "</p>",
        "<p><b>",
        "text & more",
        "</i></a>",
        "<!DOCTYPE html>",
    ]
    hidden = f'<a href="hidden-1.0-py3-none-any.whl#sha256={SHA256}">'
    return st.sampled_from([*texts, f"<!-- {hidden} -->", f"<script>'{hidden}'</script>"])


ATTRIBUTES = {
    "data-requires-python": (">=3.8,<4", {"requires_python": ">=3.8,<4"}),
    "data-yanked": ('it\'s "wrong" & <bad>', {"yanked": 'it\'s "wrong" & <bad>'}),
    "data-core-metadata": (f"sha256={SHA256}", {"core_metadata_sha256": SHA256}),
    "data-dist-info-metadata": (f"sha256={SHA256}", {"core_metadata_sha256": SHA256}),
    "data-provenance": ("https://p.example/x?a=1&b=2", {"provenance": "https://p.example/x?a=1&b=2"}),
    "data-gpg-sig": ("true", {}),
    "rel": ("internal", {}),
}
NAME = "sample-1.0+cu126-cp312-cp312-linux_x86_64.whl"


@unhurried
@given(st.data())
def test_however_a_page_is_written_it_says_the_same(data: st.DataObject) -> None:
    """The bytes of a link's name, attribute, quote, case and place are the writer's choice; what it says is not."""
    base, link = data.draw(
        st.sampled_from([
            ("", f"{HOST}/a/b/"), ("", "/a/b/"), ("", "//index.example/a/b/"), ("", "../../a/b/"), ("", "./../../a/b/"),
            (f"{HOST}/a/", "b/"), ("/a/b/c/", "../"), ("../../a/", "./b/"), ("//index.example/a/b/", ""),
        ])
    )  # fmt: skip
    name = data.draw(st.sampled_from([NAME, NAME.replace("+", "%2B"), NAME.replace("+", "%2b")]))
    told = data.draw(st.lists(st.sampled_from(sorted(ATTRIBUTES)), unique=True))
    attributes = [
        ways_to_write(data, "href", f"{link}{name}#sha256={SHA256}"),
        *(ways_to_write(data, each, ATTRIBUTES[each][0]) for each in told),
    ]
    tag = data.draw(st.sampled_from(["a", "A"]))
    before, after = data.draw(fillers()), data.draw(fillers())
    head = f"<{data.draw(st.sampled_from(['base', 'BASE']))} {ways_to_write(data, 'href', base)}>" if base else ""
    page = read(
        f"<html>{head}{before}<{tag} {' '.join(data.draw(st.permutations(attributes)))} >x</{tag}>{after}</html>"
    )
    assert page is not None
    expected = {field: value for each in told for field, value in ATTRIBUTES[each][1].items()}
    assert page.files == (replace(make_file(NAME, url=f"{HOST}/a/b/{name}", size=None), **expected),)


# The page


def test_status_version_and_serial_are_read() -> None:
    metas = {"pypi:repository-version": "1.4", "pypi:project-status": "archived", "pypi:project-status-reason": "old"}
    html = "".join(f'<meta name="{name}" content="{value}">' for name, value in metas.items())
    page = page_of(f"<html>{html}{FILE}</html>\n<!--SERIAL 77-->")
    assert (page.status, page.status_reason, page.serial, page.versions) == ("archived", "old", 77, ())


def test_where_else_a_project_is_is_read_one_tag_for_each_url() -> None:
    told = [("tracks", "https://b.example/s/"), ("alternate-locations", "/s/"), ("tracks", "https://c.example/s/")]
    metas = "".join(f'<meta name="pypi:{name}" content="{url}">' for name, url in told)
    page = page_of(f"<html><head>{metas}</head>{FILE}</html>")
    assert page.tracks == ("https://b.example/s/", "https://c.example/s/")
    assert page.alternate_locations == (f"{HOST}/s/",)


def test_another_major_version_is_refused() -> None:
    with pytest.raises(UnsupportedVersionError):
        read(f'<meta name="pypi:repository-version" content="2.0">{FILE}')


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", 'text/html; charset="x-unknown"', ""])
def test_text_is_utf_8_where_nothing_else_is_said(kind: str) -> None:
    html = f'\ufeff<a href="{WHEEL}#sha256={SHA256}" data-yanked="zurückgezogen">x</a>'
    page = read(html, content_type=kind)
    assert page is not None
    assert page.files[0].yanked == "zurückgezogen"


def test_another_character_set_is_read() -> None:
    html = f'<a href="{WHEEL}#sha256={SHA256}" data-yanked="zurückgezogen">x</a>'.encode("latin-1")
    page = parse_html_page(html, "text/html; charset=ISO-8859-1", SAMPLE, PAGE_URL)
    assert page is not None
    assert page.files[0].yanked == "zurückgezogen"
    page = parse_html_page(html, "text/html", SAMPLE, PAGE_URL)  # which is wrong, and harms nothing else
    assert page is not None
    assert page.files[0].yanked == "zur\ufffdckgezogen"


@pytest.mark.parametrize(
    "html",
    [
        "<title>Links for sample</title>",
        "<title>root/pypi: links for Sample</title>",
        "<title>\n Links for\n sample</title>",
        '<meta name="pypi:repository-version" content="1.0"><title>Simple index</title>',
    ],
)
def test_a_page_may_list_nothing_if_it_says_that_it_is_one(html: str) -> None:
    assert page_of(html).files == ()


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<html>hello</html>",
        "<title>Sign in</title><form action='/login'><a href='/help'>Help</a></form>",
        "<title>502 Bad Gateway</title><h1>Links for sample</h1>",
        "<title>Downloads</title><a href='/agent-1.0.exe'>Get our agent</a>",
        '<meta name="pypi:repository-version" content="1.0"><a href="/simple/sample/">sample</a>',
        "<![x",
    ],
)
def test_what_is_no_page_of_an_index_is_none(html: str) -> None:
    assert read(html) is None


def test_a_page_of_another_project_is_refused() -> None:
    with pytest.raises(MalformedResponseError, match="the page is of project 'other'"):
        read(f"<title>Links for Other</title>{FILE}")


@pytest.mark.parametrize("end", ["", "<a href='x", "<!-- ", "<script>"])
def test_a_page_that_breaks_off_is_refused(end: str) -> None:
    with pytest.raises(MalformedResponseError, match="the HTML page breaks off"):
        read(f"<html><body>{FILE}{end}")


# What is too much


@pytest.mark.parametrize("begin", ["<!-- ", "<a href='", "<script>", "<title>Links for sample</title><a x='"])
def test_what_never_ends_is_refused(begin: str) -> None:
    with pytest.raises(MalformedResponseError, match="a tag or a comment has more than"):
        read(FILE + begin + "x" * (2 * html_page.MAX_OPEN_CHARACTERS))


def test_more_files_than_any_project_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_page, "MAX_FILES", 10)
    html = "".join(f"<a href={number}.whl>x</a>" for number in range(11))
    with pytest.raises(MalformedResponseError, match="the page lists more than 10 files"):
        read(html)


def test_a_page_takes_little_more_memory_than_what_it_says() -> None:
    html = (FILE + "<p>" + "x" * 4_000_000 + "</p><!--" + "y" * 900_000 + "-->").encode()
    tracemalloc.start()
    try:
        assert parse_html_page(html, "text/html", SAMPLE, PAGE_URL) is not None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


@unhurried
@given(st.text(st.sampled_from("<>!-[]/a ='\"href&;#x.whl?%"), max_size=80))
def test_no_text_is_a_bug(html: str) -> None:
    with suppress(MalformedResponseError, UnsupportedVersionError):
        read(f"{FILE}{html}")
