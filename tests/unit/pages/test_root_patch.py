"""The root index with a few lines changed is what it would be if it were rendered as a whole."""

from collections.abc import Iterator, Mapping
from json import loads

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.names import NormalizedName, canonicalize_name
from bandersnatch.pages.forms import IndexedProject
from bandersnatch.pages.render import render_local_json, render_root_html, render_root_json
from bandersnatch.pages.root_patch import Patched, UnknownFormError, patch_html, patch_json, patch_local

NAMES = st.from_regex(r"[a-c0](?:[a-c0]|[-._][a-c0]){0,3}", fullmatch=True)
PROJECTS = st.dictionaries(NAMES.map(canonicalize_name), st.integers(1, 3), max_size=12)


def lines_of(projects: Mapping[NormalizedName, int]) -> Iterator[IndexedProject]:
    for name in sorted(projects):
        yield IndexedProject(name, name.title().replace("-", "._"[projects[name] % 2]), projects[name])


def whole(old: bytes, patched: Patched) -> bytes:
    return b"".join(piece if isinstance(piece, bytes) else old[slice(*piece)] for piece in patched.pieces)


@given(PROJECTS, PROJECTS)
def test_changed_lines_are_the_only_difference(
    before: dict[NormalizedName, int], after: dict[NormalizedName, int]
) -> None:
    new = {line.name: line for line in lines_of(after)}
    changes = {name: new.get(name) for name in {*before, *after} if before.get(name) != after.get(name)}
    more = len(after) - len(before)
    old_html, new_html = (b"".join(render_root_html(lines_of(each))) for each in (before, after))
    html = patch_html(old_html, changes)
    assert (whole(old_html, html), html.more, html.is_changed) == (new_html, more, old_html != new_html)
    old_json, new_json = (
        b"".join(render_root_json(lines_of(each), serial)) for each, serial in ((before, 7), (after, 12))
    )
    json = patch_json(old_json, changes, 12)
    assert (whole(old_json, json), json.more, json.is_changed) == (new_json, more, True)
    old_local, new_local = (b"".join(render_local_json(lines_of(each))) for each in (before, after))
    local = patch_local(old_local, changes)
    assert (whole(old_local, local), local.more) == (new_local, more)
    assert loads(new_local) == after


@given(PROJECTS)
def test_what_is_as_it_was_changes_nothing(projects: dict[NormalizedName, int]) -> None:
    same: dict[NormalizedName, IndexedProject | None] = {line.name: line for line in lines_of(projects)}
    same[NormalizedName("zzz")] = None
    html = b"".join(render_root_html(lines_of(projects)))
    json = b"".join(render_root_json(lines_of(projects), 7))
    local = b"".join(render_local_json(lines_of(projects)))
    for old, patched in (
        (html, patch_html(html, same)),
        (json, patch_json(json, same, 7)),
        (local, patch_local(local, same)),
    ):
        assert (whole(old, patched), patched.more, patched.is_changed) == (old, 0, False)


@pytest.mark.parametrize(
    "old",
    [
        b"",
        b"\0" * 5000,
        b"<html>",
        b'{"meta":{"_last-serial":1,"api-version":"1.4"},"projects":[{"name":"a"}]}\n',
        b'{"meta":{"_last-serial":1,"api-version":"1.4"},"projects":[]}',
        b'{"meta":{"_last-serial":1,"api-version":"1.4"},"projects":[{"_last-serial":1}]}\n',
        b"".join(render_root_html([]))[:-1],
        b" " + b"".join(render_root_html([])),
    ],
)
def test_what_we_have_not_written_is_no_root_index(old: bytes) -> None:
    change = {NormalizedName("b"): IndexedProject(NormalizedName("b"), "b", 2)}
    with pytest.raises(UnknownFormError):
        patch_html(old, change)
    with pytest.raises(UnknownFormError):
        patch_json(old, change, 2)
