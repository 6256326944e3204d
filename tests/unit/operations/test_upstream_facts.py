"""What an index tells is found out, and told in one table."""

import pytest

from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig
from tests.support.static_index import HTML, Form, static_index

OWN = "1 request and 1 conditional one or more, each project within a day"


def table(rig: Rig, **options: str) -> dict[str, str]:
    result = rig.command("config", "check", "--online", **options)
    assert result.returncode == 0, result.stderr
    lines = (line.partition("  ") for line in result.stdout.splitlines()[:-1])
    return {about: told.strip() for about, _, told in lines}


def test_of_pypi(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    assert table(rig) == {
        "journal (XML-RPC)": f"at serial {pypi.serial}",
        "serials": "of each project",
        "pages": "JSON, with ETag (that of foo)",
        "hashes": "sha256",
        "sizes": "of all files",
        "upload times": "of all files",
        "core metadata": "of all files",
        "a run with nothing new": "1 request",
    }
    assert [request.path for request in pypi.requests if request.path == "/simple/"] == []


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (Form(), {"serials": "none, this mirror counts", "sizes": "none", "a run with nothing new": OWN}),
        (Form(root=HTML, pages=HTML, has_etags=False), {"pages": "HTML, without ETag (that of foo)"}),
        (Form(has_whole_serial=True), {"serials": "of the list alone; this mirror counts"}),
        (Form(is_shadowmire=True), {"serials": "of each project", "a run with nothing new": "1 request"}),
        (Form(has_serials=True), {"serials": "of each project"}),
    ],
    ids=str,
)
def test_of_other_indexes(rig: Rig, form: Form, told: dict[str, str]) -> None:
    with static_index(form) as index:
        index.add("foo", "foo-1.0.tar.gz")
        found = table(rig, master=index.url)
    assert {about: found[about] for about in told} == told
    assert found["journal (XML-RPC)"] == "none"


def test_of_a_mirror_by_shadowmire_that_the_operator_names_only_its_own_list_is_read(rig: Rig) -> None:
    with static_index(Form(is_shadowmire=True, has_whole_serial=True)) as index:
        index.add("foo", "foo-1.0.tar.gz")
        found = table(rig, master=index.url, upstream_kind="shadowmire")
        assert "GET /simple/ 200" not in index.asked()
    assert (found["list of projects"].partition(",")[0], found["serials"]) == (
        f"{index.url}/local.json",
        "of each project",
    )


def test_what_is_no_index_is_one_error(rig: Rig) -> None:
    with static_index(Form(root=None)) as index:
        result = rig.command("config", "check", "--online", master=index.url)
    assert result.returncode == 4
    assert result.stderr.count("ERROR") == 1
