"""Which filter keeps or drops something, in words."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bandersnatch.config.config import Config
from bandersnatch.operations.explain import Target, UnknownTargetError, explain, explain_owner, owning_part
from bandersnatch.upstream.index import Upstream
from tests.support.builders import make_conversation, named
from tests.support.fakepypi import Edit, FakePyPI

FILTERS = """\
[mirror]
directory = /srv/pypi
[plugins]
enabled =
    regex_project
    blocklist_project
    prerelease_release
    exclude_platform
    latest_release
[filter_regex]
packages = .*nightly
[blocklist]
packages = other
platforms = windows
[latest_release]
keep = 1
"""


@pytest.fixture
def upstream(pypi: FakePyPI) -> Iterator[Upstream]:
    for version in ("1.0", "2.0", "3.0a1"):
        pypi.add_file("Sample", version)
    pypi.add_file("Sample", "2.0", python_tag="cp39", platform_tag="win_amd64")
    pypi.add_file("other", "1.0")
    with closing(make_conversation()) as conversation:
        yield Upstream(conversation, pypi.url)


def told(tmp_path: Path, upstream: Upstream, target: str) -> list[str]:
    path = tmp_path / "bandersnatch.conf"
    path.write_text(FILTERS)
    return list(explain(Target.parse(target), Config.load(path).filters, upstream))


def test_a_project_is_explained_with_its_releases(tmp_path: Path, upstream: Upstream) -> None:
    assert told(tmp_path, upstream, "SAMPLE") == [
        "sample: kept",
        "    blocklist_project keeps it: [blocklist] packages does not name sample",
        "    regex_project keeps it: no pattern of [filter_regex] packages matches Sample",
        "sample==1.0: dropped",
        "    prerelease_release keeps it: 1.0 is no pre-release",
        "    latest_release drops it: 1.0 is not among the 1 latest by version",
        "sample==2.0: kept",
        "    prerelease_release keeps it: 2.0 is no pre-release",
        "    latest_release keeps it: 2.0 is among the 1 latest by version",
        "sample==3.0a1: dropped",
        "    prerelease_release drops it: 3.0a1 is a pre-release",
    ]


def test_a_project_that_is_dropped_is_explained(tmp_path: Path, upstream: Upstream) -> None:
    assert told(tmp_path, upstream, "other")[:2] == [
        "other: dropped",
        "    blocklist_project drops it: [blocklist] packages names other",
    ]


def test_what_is_part_of_something_dropped_is_dropped_with_it(tmp_path: Path, upstream: Upstream) -> None:
    assert "sample-1.0-py3-none-any.whl: dropped, with sample==1.0" in told(
        tmp_path, upstream, "sample-1.0-py3-none-any.whl"
    )
    lines = told(tmp_path, upstream, "other==1.0")
    assert "other==1.0: dropped, with other" in lines
    assert "other-1.0-py3-none-any.whl: dropped, with other" in lines


def test_a_release_is_explained_with_its_files(tmp_path: Path, upstream: Upstream) -> None:
    lines = told(tmp_path, upstream, "sample==2.0.0")
    assert "sample==2.0: kept" in lines
    assert "sample-2.0-py3-none-any.whl: kept" in lines
    assert "sample-2.0-cp39-cp39-win_amd64.whl: dropped" in lines
    assert not any("1.0" in line for line in lines)


def test_a_file_is_explained_with_its_release(tmp_path: Path, upstream: Upstream) -> None:
    lines = told(tmp_path, upstream, "sample-2.0-cp39-cp39-win_amd64.whl")
    assert lines[-2:] == [
        "sample-2.0-cp39-cp39-win_amd64.whl: dropped",
        "    exclude_platform drops it: all that sample-2.0-cp39-cp39-win_amd64.whl is built for "
        "(cp39-cp39-win_amd64) is excluded",
    ]
    assert len([line for line in lines if line.startswith("sample-")]) == 1


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("missing", "has no project missing"),
        ("sample==9", "has no release 9 of sample"),
        ("sample-9.tar.gz", "has no sample-9.tar.gz of sample"),
        ("no name", "no name: expected NAME, NAME==VERSION or the name of a file"),
    ],
)
def test_what_upstream_does_not_have_is_an_error(tmp_path: Path, upstream: Upstream, target: str, problem: str) -> None:
    with pytest.raises(UnknownTargetError) as caught:
        told(tmp_path, upstream, target)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "project"),
    [
        ("sample_project-1.0.tar.gz", "sample-project"),
        ("Foo_Bar-1.0-py3-none-any.whl", "foo-bar"),
        ("a-b-2c-1.0.zip", "a-b-2c"),
    ],
)
def test_a_file_tells_its_project(text: str, project: str) -> None:
    assert Target.parse(text).project == named(project)


def test_what_only_the_legacy_json_says_of_releases_counts_no_more_than_in_a_run(
    tmp_path: Path, upstream: Upstream, pypi: FakePyPI
) -> None:
    def as_prereleases(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "releases": {f"{version}.dev1": files for version, files in document["releases"].items()}}

    before = told(tmp_path, upstream, "sample")
    pypi.fault("/pypi/sample/json", Edit(as_prereleases), times=None)
    assert told(tmp_path, upstream, "sample") == before


# Of which index a project is


SEVERAL = """\
[mirror]
directory = /srv/pypi
master = https://u:secret@index.example
[upstream torch]
master = https://torch.example/whl
projects = torch*, nvidia-*
[upstream cuda]
master = https://cuda.example
projects = *-cu12
[upstream beside]
master = https://beside.example
prefix = whl/beside
"""
BESIDE = "    what [upstream beside], https://beside.example has of it is apart, below whl/beside/simple/"


def several(tmp_path: Path, text: str = SEVERAL) -> Config:
    path = tmp_path / "several.conf"
    path.write_text(text)
    return Config.load(path)


def test_the_owner_is_told_and_who_is_refused(tmp_path: Path) -> None:
    config = several(tmp_path)
    assert list(explain_owner(named("torch"), config)) == [
        "torch: of [upstream torch], https://torch.example/whl",
        "    [upstream torch] projects has torch*",
        "    refused if it comes from [upstream cuda], https://cuda.example",
        BESIDE,
        "    refused if it comes from [mirror], https://index.example",
    ]
    assert list(explain_owner(named("numpy"), config))[:2] == [
        "numpy: of [mirror], https://index.example",
        "    refused if it comes from [upstream torch], https://torch.example/whl",
    ]


def test_the_order_is_told_where_it_decides(tmp_path: Path) -> None:
    told = list(explain_owner(named("nvidia-x-cu12"), several(tmp_path)))
    assert told[1:3] == [
        "    [upstream torch] projects has nvidia-*",
        "    [upstream cuda] projects has *-cu12 too, but comes later in the file",
    ]


def test_of_a_mirror_of_one_index_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert list(explain_owner(named("numpy"), several(tmp_path, FILTERS))) == []


def test_the_index_that_is_asked_is_the_owners(tmp_path: Path) -> None:
    config = several(tmp_path)
    urls = {name: owning_part(named(name), config).config.http.upstream_url for name in ("torch", "a-cu12", "numpy")}
    assert urls == {
        "torch": "https://torch.example/whl",
        "a-cu12": "https://cuda.example",
        "numpy": "https://u:secret@index.example",
    }
