"""Indexes as Artifactory, Nexus, GitLab, PyTorch and shadowmire have them: each is mirrored and kept current."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from bandersnatch.errors import MirrorError
from tests.support.rig import Rig
from tests.support.static_index import Answer, served
from tests.support.vendor_indexes import Artifactory, GitLab, Nexus, OldNexus, PyTorch, Shadowmire, VendorIndex

WHEEL = "torch-2.7.0+cu126-cp311-cp311-linux_x86_64.whl"


@pytest.fixture(params=[Artifactory, Nexus, OldNexus, GitLab, PyTorch, Shadowmire], ids=lambda kind: kind.__name__)
def index(rig: Rig, request: pytest.FixtureRequest) -> Iterator[VendorIndex]:
    """The index, in place of the fake PyPI."""
    with served(request.param()) as index:
        rig.options["master"] = index.master
        if isinstance(index, OldNexus):
            rig.options["allow-weak-hashes"] = "true"
        for name in ("numpy", "sympy", "triton", "nvidia-nccl-cu12"):
            index.add(name, f"{name.replace('-', '_')}-1.0-py3-none-any.whl", f"{name.replace('-', '_')}-1.0.tar.gz")
        index.add("torch", WHEEL)
        yield index


def run(rig: Rig, index: VendorIndex) -> None:
    assert rig.run().failures == []
    index.assert_held(rig.directory)


def test_a_vendors_index_is_mirrored_and_kept_current(rig: Rig, index: VendorIndex) -> None:
    run(rig, index)
    index.add("torch", WHEEL.replace("2.7.0", "2.7.1"))
    index.add("pillow", "pillow-11.0.tar.gz")
    if isinstance(index, Shadowmire):  # the others do not tell of it
        index.yank("sympy", "sympy-1.0.tar.gz")
    run(rig, index)
    index.remove("torch", WHEEL)
    index.remove("numpy")
    run(rig, index)
    index.add("numpy", "numpy-2.0.tar.gz")
    run(rig, index)
    before = rig.tree()
    index.asked()
    assert rig.run().updated == 0
    assert rig.tree() == before
    assert len(index.asked()) == (1 if isinstance(index, Shadowmire) else 1 + len(index.projects))
    index.is_down = True
    with suppress(MirrorError):
        assert rig.run().failures
    assert rig.tree() == before


def test_a_page_to_log_in_in_place_of_any_page_changes_nothing(rig: Rig, index: VendorIndex) -> None:
    run(rig, index)
    before = rig.tree()
    login = index.page(
        "Sign in", ['<a href="/help">Help</a>', '<a href="help/">Help</a>', '<a href="/users/">Users</a>']
    )
    index.in_place_of = dict.fromkeys(dict(index.answers()), login)
    with suppress(MirrorError):
        assert rig.run().failures
    assert rig.tree() == before


def test_403_says_that_nothing_is_there_only_where_the_index_has_said_so_of_the_usual_place(rig: Rig) -> None:
    with served(Nexus()) as index:
        rig.options["master"] = index.master
        index.add("foo", "foo-1.0.tar.gz")
        index.add("bar", "bar-1.0.tar.gz")
        run(rig, index)
        before = rig.tree()
        index.remove("foo")
        index.in_place_of[f"{index.prefix}/simple/foo/"] = Answer(403)
        assert [failure.project for failure in rig.run(max_removals="50%").failures] == ["foo"]
        assert rig.tree().items() >= {path: body for path, body in before.items() if "/foo" in path}.items()


def test_legacy_json_that_such_an_index_does_not_have_is_missing_and_no_failure(rig: Rig) -> None:
    with served(PyTorch()) as index:
        rig.options |= {"master": index.master, "json": "true"}
        index.add("foo", "foo-1.0.tar.gz")
        run(rig, index)
        assert rig.call("config", "explain", "foo").returncode == 0


def test_core_metadata_that_such_an_index_promises_and_does_not_have_is_not_advertised(rig: Rig) -> None:
    with served(PyTorch()) as index:
        rig.options["master"] = index.master
        index.add("torch", WHEEL)
        path = f"{index.prefix}/torch/"
        page = index.answer(path)
        promise = f'<a data-core-metadata="sha256={"0" * 64}" href'.encode()
        index.in_place_of[path] = Answer(200, page.body.replace(b"<a href", promise), page.type)
        run(rig, index)
        assert b"core-metadata" not in (rig.web / "simple/torch/index.html").read_bytes()


def test_an_index_that_forbids_everything_is_none(rig: Rig) -> None:
    with served(PyTorch()) as index:
        rig.options["master"] = index.master
        index.in_place_of[f"{index.prefix}/"] = Answer(403)
        with pytest.raises(MirrorError, match="/whl/cu126/simple/: upstream answered 403"):
            rig.run()
