"""Names and URLs become paths, and never one outside the folder that they belong to."""

import os.path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.errors import MalformedResponseError
from bandersnatch.model import DistributionFile
from bandersnatch.names import has_unsafe_characters, parse_project_name
from bandersnatch.storage.layout import (
    PACKAGES,
    Layout,
    StoredPath,
    all_need,
    file_path,
    is_noted_path,
    json_paths,
    link_below,
    link_from_page,
    metadata_path,
    page_path,
    path_on_own_page,
    stored_path,
)
from tests.support.builders import FOLDER, WHEEL, distribution_files, make_file, named, unhurried

HOSTILE_PIECES = [
    "..", ".", "", "a", "b.whl", "packages", "%2e%2e", "%2E.", ".%2e", "%2f", "%2F..%2f", "\\", "%5c", "..\\..", "%00",
    "\0", "%0a", "\n", "\r", "\t", "%ff", "%c3%28", "%", "%2", "%252e%252e", ".hidden", "%2ehidden", "x" * 300, "ü",
    "u\u0308", "\u202e", "\ud800", " ", "~", "C:", "?", "#", ";", "&", "'", '"', "<", "*", "etc", "passwd",
]  # fmt: skip
hostile_paths = st.lists(st.sampled_from(HOSTILE_PIECES), min_size=1, max_size=6).map("/".join)


def assert_is_inside_packages(path: str) -> None:
    """Ask ``os.path``, as an oracle, where the path leads."""
    assert os.path.normpath(path) == path
    assert path.startswith(f"{PACKAGES}/")
    assert not os.path.isabs(path)
    assert not has_unsafe_characters(path)
    assert "\\" not in path
    assert not any(segment.startswith(".") for segment in path.split("/"))
    assert all(0 < len(segment.encode()) <= 255 for segment in path.split("/"))


# Files


def test_a_file_lies_at_the_path_of_its_url() -> None:
    assert file_path(make_file()) == f"web/packages/{FOLDER}/{WHEEL}"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://files.example/packages/aa/bb/x.whl", "web/packages/aa/bb/x.whl"),
        ("http://files.example:8080/packages/source/F/Foo/Foo-1.tar.gz", "web/packages/source/F/Foo/Foo-1.tar.gz"),
        ("https://files.example/prefix/packages/aa/x.whl", "web/packages/aa/x.whl"),
        ("https://files.example/packages/packages/x.whl", "web/packages/packages/x.whl"),
        ("../../packages/aa/x.whl", "web/packages/aa/x.whl"),
        ("../../packages/aa/x.whl#sha256=0", "web/packages/aa/x.whl"),
        ("https://files.example/packages/aa/x.whl?token=../..", "web/packages/aa/x.whl"),
        ("https://files.example/packages/aa/x%20y.whl", "web/packages/aa/x y.whl"),
        ("https://files.example/packages/aa/x%2By+z.whl", "web/packages/aa/x+y+z.whl"),
        ("https://files.example/packages/aa/%C3%BC.whl", "web/packages/aa/ü.whl"),
        ("https://files.example/packages/aa/ü.whl", "web/packages/aa/ü.whl"),
        ("https://files.example/packages/aa/100%25.whl", "web/packages/aa/100%.whl"),
        ("https://files.example/packages/aa/a%252e.whl", "web/packages/aa/a%2e.whl"),
        ("https://files.example/packages/aa/a%2Fb.whl", "web/packages/aa/a/b.whl"),
    ],
)
def test_a_url_leads_to_the_path_below_packages(url: str, path: str) -> None:
    assert stored_path(url) == path


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://files.example/",
        "https://files.example/packages/",
        "https://files.example/packages/aa/",
        "https://files.example/packages/aa//x.whl",
        "https://files.example/packages//aa/x.whl",
        "https://files.example/packages/./x.whl",
        "https://files.example/packages/aa/.",
        "https://files.example/packages/aa/..",
        "https://files.example/packages/../../x.whl",
        "https://files.example/packages/%2e%2e/%2e%2e/%2e%2e/x",
        "https://files.example/packages/%2E%2E/x.whl",
        "https://files.example/packages/.%2e/x.whl",
        "https://files.example/packages/aa%2f..%2f..%2f..%2fx.whl",
        "https://files.example/packages/aa/%2fetc%2fpasswd",
        "https://files.example/packages/..%5c..%5cx/y.whl",
        "https://files.example/packages/aa\\bb/x.whl",
        "https://files.example/packages/aa/x%00.whl",
        "https://files.example/packages/aa/x\0.whl",
        "https://files.example/packages/aa/x%0a.whl",
        "https://files.example/packages/aa/x%1b.whl",
        "https://files.example/packages/aa/%E2%80%AE.whl",
        "https://files.example/packages/aa/.hidden",
        "https://files.example/packages/.git/x.whl",
        "https://files.example/packages/aa/%2ehidden",
        f"https://files.example/packages/aa/{'x' * 256}",
        f"https://files.example/packages/aa/{'%C3%BC' * 128}",
        f"https://files.example/packages/{'aa/' * 1000}x.whl",
        "https://files.example/?/packages/aa/x.whl",
        "https://files.example?x=/packages/aa/x.whl",
        "https://evil.example?@files.example/packages/aa/x.whl",
        "https://files.example/#/packages/aa/x.whl",
        "https://files.example/whl/%2e%2e/%2e%2e/x.whl",
        "https://files.example/whl/../x.whl",
        "https://files.example/whl/a%2Fx.whl",
        "https://files.example/whl/a%5Cx.whl",
        "https://files.example/whl//x.whl",
        "https://files.example/whl/x%0A.whl",
        "https://files.example/whl/.hidden",
        f"https://files.example/{'a/' * 600}x.whl",
        f"https://files.example/{'x' * 256}",
        "https://user@files.example/whl/x.whl",
        "https://../whl/x.whl",
        "https://.hidden/whl/x.whl",
        "https://[a]b/whl/x.whl",
        "ftp://files.example/whl/x.whl",
        "../../whl/x.whl",
    ],
)
def test_a_url_that_leads_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(MalformedResponseError):
        stored_path(url)


TORCH = "torch-2.7.0%2Bcu126-cp311-cp311-linux_x86_64.whl"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (f"https://download.pytorch.org/whl/cu126/{TORCH}", "download.pytorch.org/whl/cu126/torch-2.7.0+cu126-"),
        ("https://Files.Example:443/whl/x.whl?token=1#sha256=0", "files.example/whl/x.whl"),
        ("https://files.example:8443/whl/x.whl", "files.example+8443/whl/x.whl"),
        ("http://files.example:443/whl/x.whl", "files.example+443/whl/x.whl"),
        ("http://127.0.0.1:3141/root/pypi/+f/a1b/x-1!2.whl", "127.0.0.1+3141/root/pypi/+f/a1b/x-1!2.whl"),
        ("http://[::1]/a/x.whl", "[::1]+80/a/x.whl"),
        ("https://source/f/foo/foo-1.tar.gz", "source+443/f/foo/foo-1.tar.gz"),
        ("https://files.example/packages/x.whl", "files.example/packages/x.whl"),
        ("https://files.example/x.whl", "files.example/x.whl"),
        ("https://files.example/a/x%252By.whl", "files.example/a/x%2By.whl"),
    ],
)
def test_a_file_that_is_not_below_packages_lies_below_its_host(url: str, path: str) -> None:
    assert stored_path(url).startswith(f"web/packages/{path}")


@pytest.mark.parametrize(
    "path",
    [
        "h.example/whl/x+y.whl",
        "h.example+81/x!1.whl",
        "[::1]+80/a/x.whl",
        "h.example/packages/x.whl",
        "h.example/%2B.whl",
    ],
)
def test_who_follows_us_has_such_a_file_at_the_same_path(path: str) -> None:
    stored = StoredPath(f"web/packages/{path}")
    assert stored_path(link_below("https://ours.example/prefix", stored)) == stored
    assert path_on_own_page(link_from_page(stored)) == stored
    assert is_noted_path(stored)


def test_files_of_one_name_at_other_hosts_or_folders_never_share_a_path() -> None:
    urls = [
        f"{host}/{folder}x-1.0{version}.whl"
        for host in ("https://a.example", "https://b.example", "http://a.example:81", "https://a", "https://a:81")
        for folder in ("", "whl/", "whl/cpu/", "WHL/", "%2Bf/", "packages/")
        for version in ("", "%2Bcpu", "%252Bcpu")
    ]
    assert len({stored_path(url) for url in urls}) == len(urls)


@pytest.mark.parametrize("url", ["https://pypi.example/x.whl", "https://www.example/", "../x.whl", ""])
def test_a_link_of_a_page_here_that_leads_elsewhere_is_no_file_of_ours(url: str) -> None:
    with pytest.raises(MalformedResponseError):
        path_on_own_page(url)


@pytest.mark.parametrize("segment", ["%ff", "%c3%28", "a%80b", "%ed%a0%80"])
def test_a_url_that_is_no_utf8_is_refused(segment: str) -> None:
    with pytest.raises(MalformedResponseError):
        stored_path(f"https://files.example/packages/{segment}/x.whl")


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example/packages/aa/other.whl",
        f"https://files.example/packages/aa/{WHEEL}.metadata",
        f"https://files.example/packages/aa/x{WHEEL}",
        f"https://files.example/packages/aa/{WHEEL.upper()}",
        f"https://files.example/packages/aa/x.whl?/{WHEEL}",
        f"https://files.example/packages/aa/x.whl#/{WHEEL}",
    ],
)
def test_a_url_must_end_in_the_name_of_the_file(url: str) -> None:
    with pytest.raises(MalformedResponseError, match="does not end in the file's name"):
        file_path(make_file(url=url))


@unhurried
@given(hostile_paths, st.sampled_from(["https://h/packages/", "../../packages/", "/packages/", "https://h/", ""]))
@example("%ff/x", "https://h/packages/")
def test_no_url_leads_out_of_packages(tail: str, head: str) -> None:
    try:
        path = stored_path(head + tail)
    except MalformedResponseError:
        return
    assert_is_inside_packages(path)


hexadecimal = st.text("0123456789abcdef", min_size=64, max_size=64)
heads = st.sampled_from(["https://h", "http://h:80", "../..", "https://a/packages/..", "https://h/x", "https://u@h"])
usual_tails = st.text("ab.-_+%!~/ü ", min_size=1, max_size=250)


@unhurried
@given(heads, hexadecimal, usual_tails)
def test_the_usual_form_of_a_url_is_only_a_quicker_way(head: str, digest: str, tail: str) -> None:
    url = f"{head}/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{tail}"
    told: list[StoredPath | None] = []
    for same in (url, f"{url}?"):  # what has a query never takes the quicker way
        try:
            told.append(stored_path(same))
        except MalformedResponseError:
            told.append(None)
    assert told[0] == told[1]


@unhurried
@given(st.text())
def test_no_text_leads_out_of_packages(text: str) -> None:
    for url in (text, f"https://h/packages/{text}", f"https://h/packages/a/{text}"):
        try:
            path = stored_path(url)
        except MalformedResponseError:
            continue
        assert_is_inside_packages(path)


@unhurried
@given(hostile_paths)
def test_a_link_on_a_page_leads_back_to_the_path(tail: str) -> None:
    try:
        path = stored_path(f"https://h/packages/{tail}")
    except MalformedResponseError:
        return
    assert stored_path(link_from_page(path)) == path
    assert stored_path(link_below("https://files.example/root", path)) == path
    assert link_from_page(path).isascii()


@unhurried
@given(distribution_files())
def test_every_file_that_a_page_may_have_finds_its_place_and_back(file: DistributionFile) -> None:
    path = file_path(file)
    assert_is_inside_packages(path)
    assert path.endswith(f"/{file.filename}")
    assert stored_path(link_from_page(path)) == path


def test_core_metadata_lies_beside_its_file() -> None:
    assert metadata_path(StoredPath("web/packages/aa/x.whl")) == "web/packages/aa/x.whl.metadata"


def test_links_are_relative_to_the_page_of_a_project() -> None:
    assert link_from_page(StoredPath("web/packages/aa/x y#%?.whl")) == "../../packages/aa/x%20y%23%25%3F.whl"


def test_links_below_root_uri_are_absolute() -> None:
    path = StoredPath("web/packages/aa/x y.whl")
    assert link_below("https://files.example/root", path) == "https://files.example/root/packages/aa/x%20y.whl"


# Pages


def test_pages_lie_in_the_folder_of_their_project() -> None:
    layout = Layout()
    assert layout.page_folder(named("flask")) == "web/simple/flask"
    assert layout.other_page_folder(named("flask")) == "web/simple/f/flask"


def test_hash_index_puts_pages_below_their_first_letter() -> None:
    layout = Layout(hash_index=True)
    assert layout.page_folder(named("flask")) == "web/simple/f/flask"
    assert layout.other_page_folder(named("flask")) == "web/simple/flask"
    assert layout.page_folder(named("0")) == "web/simple/0/0"


def test_a_page_lies_in_its_folder() -> None:
    assert page_path(Layout().page_folder(named("flask")), "index.html") == "web/simple/flask/index.html"


def test_the_legacy_json_has_two_places() -> None:
    assert json_paths(named("flask")) == ("web/json/flask", "web/pypi/flask/json")


@unhurried
@given(st.from_regex(r"[A-Za-z0-9._/\\-]{1,20}"), st.booleans())
def test_no_name_leads_out_of_simple(name: str, hash_index: bool) -> None:
    project = parse_project_name(name)
    if project is not None:
        for folder in (Layout(hash_index).page_folder(project), Layout(hash_index).other_page_folder(project)):
            assert os.path.normpath(folder) == folder
            assert folder.startswith("web/simple/")
            assert folder.endswith(f"/{project}")


def test_what_stands_behind_a_hash_plays_no_part() -> None:
    assert stored_path("../../packages/a/b.whl#x://y/packages/c/d") == "web/packages/a/b.whl"


@pytest.mark.parametrize("path", [
    ".", "..", "../x", "state", "inventory.sqlite", ".unfinished", "web", "web/simple", "web/packages", "web/json",
    "web/pypi", "web/simple/index.html", "web/simple/index.v1_json", "web/last-modified", "web/simple-not",
])  # fmt: skip
def test_what_all_projects_need(path: str) -> None:
    assert all_need(path)


@pytest.mark.parametrize("path", [
    "web/simple/foo", "web/simple/foo/index.html", "web/simple/f", "web/packages/aa", "web/packages/index.html",
    "web/json/foo", "web/pypi/foo", "web/pypi/foo/json",
])  # fmt: skip
def test_what_only_some_projects_need(path: str) -> None:
    assert not all_need(path)
