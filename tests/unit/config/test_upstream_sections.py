"""Sections ``[upstream NAME]``: what they say, and every mistake in them."""

from pathlib import Path

import pytest

from bandersnatch.config.config import Config
from bandersnatch.config.option_groups import UpstreamConfig
from bandersnatch.config.show import effective_lines
from bandersnatch.config.upstream_sections import is_upstream
from bandersnatch.inifile.option import ApiMethod, UpstreamKind
from tests.support.builders import named
from tests.support.config_text import load, problems_of

MIRROR = "[mirror]\ndirectory = /srv/pypi\n"
TORCH = "[upstream pytorch]\nmaster = https://a.example/whl/cu126\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


def only(config: Config) -> UpstreamConfig:
    (upstream,) = config.upstreams
    return upstream


def test_a_section_says_which_projects_are_an_indexes(path: Path) -> None:
    config = load(path, f"{MIRROR}timeout = 3\n{TORCH}projects = torch*, nvidia-*\n")
    upstream = only(config)
    assert (upstream.name, upstream.projects, upstream.prefix) == ("pytorch", ("torch*", "nvidia-*"), "")
    assert upstream.http.upstream_url == "https://a.example/whl/cu126"
    assert upstream.http.timeout_seconds == 3
    assert config.owners.owner_of(named("torchvision")) == "pytorch"
    assert (config.warnings, config.remarks) == ((), ())


def test_a_section_says_where_an_index_is_served(path: Path) -> None:
    upstream = only(load(path, f"{MIRROR}{TORCH}prefix = whl/cu126\nupstream-kind = simple\napi-method = simple\n"))
    assert (upstream.projects, upstream.prefix) == ((), "whl/cu126")
    assert (upstream.http.kind, upstream.http.api_method) == (UpstreamKind.SIMPLE, ApiMethod.SIMPLE)


def test_what_tells_who_we_are_is_not_taken_over_from_mirror(path: Path) -> None:
    more = "allow-non-https = true\ndownload-mirror = https://m.example\nproxy = http://p.example\n"
    config = load(path, f"{MIRROR}{more}{TORCH}prefix = x\n")
    http = only(config).http
    assert (http.allow_non_https, http.download_mirror, http.client_cert) == (False, "", None)
    assert not http.may_ask("http://a.example/x")
    assert config.http.may_ask("http://a.example/x")
    assert http.proxy == "http://p.example"
    other = only(load(path, f"{MIRROR}{more}{TORCH}prefix = x\nproxy = http://q.example\nallow-non-https = yes\n")).http
    assert (other.proxy, other.allow_non_https) == ("http://q.example", True)


def test_sections_stay_in_the_order_of_the_file(path: Path) -> None:
    text = "".join(f"[upstream {name}]\nmaster = https://{name}.example\nprojects = {name}\n" for name in "cab")
    assert [each.name for each in load(path, text + MIRROR).upstreams] == ["c", "a", "b"]


EITHER = (
    "expected either projects, which are this index's and no other's, or prefix, below which it is served on its own"
)
NAME = "expected a name of small letters, digits and -, such as [upstream pytorch]"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TORCH, f"line 3: [upstream pytorch]: {EITHER}"),
        (f"{TORCH}projects = a\nprefix = b\n", f"line 3: [upstream pytorch]: {EITHER}"),
        (
            "[upstream x]\nprojects = a\n",
            "line 3: [upstream x] master: must be given: the index to copy, without /simple",
        ),
        (
            f"{TORCH}projects = a ; b\n",
            "line 5: [upstream pytorch] projects = a ; b: a comment must be on its own line",
        ),
        (
            f"{TORCH}project = a\nprefix = b\n",
            'line 5: [upstream pytorch] project = a: unknown option (did you mean "projects"?)',
        ),
        (f"{TORCH}prefix = b\ndirectory = /x\n", "line 6: [upstream pytorch] directory = /x: unknown option"),
        (
            "[upstream x]\nmaster = http://u:secret@a.example\nprefix = b\n",
            "line 4: [upstream x] master = http://***@a.example: expected https://, or allow-non-https = true beside it",
        ),
        (
            f"{TORCH}prefix = b\nupstream-kind = simple\napi-method = xmlrpc\n",
            "line 6: [upstream pytorch] upstream-kind: expected auto or warehouse, since api-method = xmlrpc",
        ),
        (
            "[upstream mirror]\nmaster = https://a.example\nprefix = b\n",
            "line 3: [upstream mirror]: expected another name: mirror is that of [mirror]",
        ),
        ("[upstream]\nmaster = https://a.example\nprefix = b\n", f"line 3: [upstream]: {NAME}"),
        ("[upstream Py Torch]\nmaster = https://a.example\nprefix = b\n", f"line 3: [upstream Py Torch]: {NAME}"),
        ("[upstream ../x]\nmaster = https://a.example\nprefix = b\n", f"line 3: [upstream ../x]: {NAME}"),
        ("[upstreams x]\nmaster = https://a.example\nprefix = b\n", f"line 3: [upstreams x]: {NAME}"),
        ("[upstream:x]\nmaster = https://a.example\nprefix = b\n", f"line 3: [upstream:x]: {NAME}"),
        ("[Upstream x]\nmaster = https://a.example\nprefix = b\n", f"line 3: [Upstream x]: {NAME}"),
        (
            f"{TORCH}projects = torch*\n[upstream b]\nmaster = https://b.example\nprojects = x, torchvision\n",
            "line 6: [upstream b] projects: torchvision has no effect, since [upstream pytorch] projects has torch*, "
            "and the first in the file counts",
        ),
        (
            f"{TORCH}prefix = whl\n[upstream b]\nmaster = https://b.example\nprefix = WHL/x\n",
            "line 6: [upstream b] prefix = WHL/x: expected one that is not that of [upstream pytorch], nor within it, "
            "nor around it",
        ),
        (
            f"{TORCH}prefix = whl/x\n[upstream b]\nmaster = https://b.example\nprefix = whl\n",
            "line 6: [upstream b] prefix = whl: expected one that is not that of [upstream pytorch], nor within it, "
            "nor around it",
        ),
    ],
)
def test_each_mistake_is_one_problem(path: Path, text: str, problem: str) -> None:
    assert problems_of(path, f"{MIRROR}{text}") == [problem]


def test_prefixes_may_share_their_beginning(path: Path) -> None:
    text = f"{TORCH}prefix = whl/cu126\n[upstream b]\nmaster = https://b.example\nprefix = whl/cu128\n"
    assert len(load(path, f"{MIRROR}{text}").upstreams) == 2


@pytest.mark.parametrize("section", ["upstream", "upstream x", "Upstream x", "upstreams", "upstrem x", "upstream-x"])
def test_what_was_meant_as_a_section_about_an_index_is_not_ignored(section: str) -> None:
    assert is_upstream(section)


@pytest.mark.parametrize("section", ["plugins", "mirror", "stream", "x upstream", "s3", ""])
def test_other_sections_are_not_taken_for_one(section: str) -> None:
    assert not is_upstream(section)


def test_shared_values_may_be_used(path: Path) -> None:
    config = load(
        path, f"[DEFAULT]\nhost = a.example\n{MIRROR}[upstream x]\nmaster = https://%(host)s/whl\nprefix = x\n"
    )
    assert only(config).http.upstream_url == "https://a.example/whl"


def test_the_values_are_shown_without_secrets(path: Path) -> None:
    load(path, f"{MIRROR}[upstream x]\nmaster = https://u:secret@a.example\nprojects = a, b\n")
    lines = list(effective_lines(path))
    assert lines[-3:] == ["\n[upstream x]", "master = https://***@a.example", "projects = a, b"]
