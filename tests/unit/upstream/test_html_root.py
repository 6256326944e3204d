"""A root index in HTML is told from a page for people."""

import pytest

from bandersnatch.errors import MalformedResponseError
from bandersnatch.upstream.html_root import parse_html_root

URL = "https://index.example/whl/cu126/"


def names(body: str, url: str = URL) -> dict[str, str] | None:
    listed = parse_html_root(body.encode(), "text/html", url)
    return None if listed is None else {name: project.display_name for name, project in listed.items()}


@pytest.mark.parametrize(
    "body",
    [
        '<a href="foo-bar/">Foo.Bar</a>',
        "<A HREF='foo-bar/'>Foo.Bar</A>",
        '<a href="/whl/cu126/foo-bar/">Foo.Bar</a>',
        '<a href="https://other.example/whl/cu126/Foo_Bar/#x">\n Foo.Bar </a>',
        '<a href="foo%2Dbar/">Foo.Bar/</a>',
        '<a href="foo-bar/index.html">Foo.Bar</a>',
        '<!DOCTYPE html><html><base href="/whl/"><body><a href="cu126/foo-bar/">Foo.Bar</a></body></html>',
        '<a href="foo-bar/">Foo.Bar<a href="../">Up</a>',
        '<a href="http://[/">x</a><a href="foo-bar/">Foo.Bar</a>',
    ],
)
def test_a_link_to_a_folder_below_it_is_a_project(body: str) -> None:
    assert names(body) == {"foo-bar": "Foo.Bar"}


ARTIFACTORY = "<html><head><title>Simple Index</title></head><body>{}</body></html>"
GITLAB = "<html><head><title>Links for team/project</title></head><body>{}</body></html>"
MARKED = '<meta name="pypi:repository-version" content="1.0">{}'


@pytest.mark.parametrize("page", [ARTIFACTORY, GITLAB, MARKED])
@pytest.mark.parametrize("href", ["foo-bar", "https://other.example/whl/cu126/foo-bar", "Foo_Bar"])
def test_an_index_that_says_what_it_is_may_leave_out_the_slash(page: str, href: str) -> None:
    assert names(page.format(f'<a href="{href}">Foo.Bar</a>')) == {"foo-bar": "Foo.Bar"}
    assert names(f'<html><title>Sign in</title><a href="{href}">Foo.Bar</a></html>') is None


@pytest.mark.parametrize("href", ["foo/bar", "../foo", "foo.html", "", "/foo"])
def test_no_other_link_of_it_is_a_project(href: str) -> None:
    assert not names(ARTIFACTORY.format(f'<a href="{href}">foo</a>'))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html><body>Welcome</body></html>",
        '<a href="/help/">help</a>',
        '<a href="help">help</a>',
        '<a href="help/">Help and support</a>',
        '<a href="../cpu/">cpu</a>',
        '<a href="foo/bar/">foo/bar</a>',
        '<a href="http://[/">x</a>',
        '<a href="-/">-</a>',
    ],
)
def test_a_page_for_people_is_no_root_index(body: str) -> None:
    assert names(body) is None


LOG_IN = '<html><head><title>Sign in</title></head><body><form>{}</form><a href="help/">Help</a></body></html>'
FIELDS = ['<input type="password">', '<input name="user">', "<INPUT TYPE=Email />", '<input type=" TEXT ">']


@pytest.mark.parametrize("field", FIELDS)
def test_a_page_to_log_in_is_no_root_index(field: str) -> None:
    assert names(LOG_IN.format(field)) is None
    assert names(LOG_IN.replace("Sign in", "Simple index").format(field)) == {"help": "Help"}
    assert names(MARKED.format(LOG_IN.format(field))) == {"help": "Help"}


@pytest.mark.parametrize("field", ["", '<input type="submit">', '<input type="search">', '<input type="hidden">'])
def test_a_button_alone_is_no_page_to_log_in(field: str) -> None:
    assert names(LOG_IN.format(field)) == {"help": "Help"}


@pytest.mark.parametrize("head", ['<meta name="pypi:repository-version" content="1.0">', "<title>Simple Index</title>"])
def test_an_index_of_nothing_says_by_its_mark_or_title_what_it_is(head: str) -> None:
    assert names(f"<html><head>{head}</head><body></body></html>") == {}


def test_the_name_of_the_page_itself_plays_no_part() -> None:
    assert names('<a href="foo/">foo</a>', f"{URL}index.html") == {"foo": "foo"}


def test_an_index_that_breaks_off_is_refused() -> None:
    with pytest.raises(MalformedResponseError, match="breaks off"):
        names('<html><body><a href="foo/">foo</a>')
