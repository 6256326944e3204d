"""A mirror of several indexes: whose each project is, and that none touches what is of another."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from bandersnatch.serving.site import Document, Redirect, Site
from bandersnatch.storage.layout import Layout
from bandersnatch.storage.lock import run_lock
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig
from tests.support.static_index import HTML, Answer, Form, StaticIndex, serve_tree, static_index

TORCH = "torch-2.7.0+cu126-cp311-cp311-linux_x86_64.whl"


@pytest.fixture
def index(rig: Rig) -> Iterator[StaticIndex]:
    """An index like PyTorch's, beside the fake PyPI."""
    with static_index(Form(root=HTML, pages=HTML)) as index:
        yield index


def section(index: StaticIndex, *lines: str, name: str = "torch") -> str:
    return "\n".join([f"[upstream {name}]", f"master = {index.url}", "allow-non-https = true", *lines, ""])


def test_a_project_is_explained_by_the_index_that_owns_it(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    pypi.add_file("torch", "2.7.0")
    pypi.add_file("numpy", "1.0")
    index.add("torch", TORCH)
    index.add("numpy", "numpy-9.tar.gz")
    rig.filters = section(index, "projects = torch*")
    told = rig.call("config", "explain", "torch").stdout
    assert f"torch: of [upstream torch], {index.url}\n" in told
    assert f"    refused if it comes from [mirror], {pypi.url}\n" in told
    assert "torch==2.7.0+cu126: kept" in told
    assert "torch==2.7.0:" not in told
    told = rig.call_again("config", "explain", "numpy").stdout
    assert f"numpy: of [mirror], {pypi.url}\n" in told
    assert "numpy==1.0: kept" in told
    assert "numpy==9" not in told


def test_a_project_is_explained_by_an_index_that_is_chosen(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    pypi.add_file("torch", "2.7.0")
    index.add("torch", TORCH)
    rig.filters = section(index, "projects = torch*")
    told = rig.call("config", "explain", "--upstream", "mirror", "torch").stdout
    assert "torch: dropped\n    upstream drops it: [upstream torch] projects has torch*\n" in told
    assert "torch==2.7.0: dropped, with torch" in told
    rig.filters = section(index, "prefix = whl")
    told = rig.call("config", "explain", "--upstream", "torch", "torch").stdout
    assert "torch==2.7.0+cu126: kept" in told


def test_all_indexes_are_asked_what_they_tell(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    pypi.add_file("numpy", "1.0")
    index.add("torch", TORCH)
    rig.filters = section(index, "prefix = whl")
    lines = rig.call("config", "check", "--online").stdout.splitlines()
    assert lines[0] == f"[upstream torch]: {index.url}"
    begin = lines.index(f"[mirror]: {pypi.url}")
    assert any(line.startswith("journal (XML-RPC)") and "none" in line for line in lines[:begin])
    assert any(line.startswith("journal (XML-RPC)") and "serial" in line for line in lines[begin:])


# An index at a prefix


@pytest.fixture
def beside(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> StaticIndex:
    """An index that is served at ``whl/cu126``, with a project of the same name as one of PyPI's."""
    rig.filters = section(index, "prefix = whl/cu126")
    index.add("torch", TORCH)
    pypi.add_file("torch", "2.7.0")
    pypi.add_file("numpy", "1.0")
    return index


def served(rig: Rig, prefix: str = "whl/cu126") -> Path:
    return rig.web / prefix


def tree(rig: Rig) -> dict[str, bytes]:
    """Return all that is served, but for the times of the last runs."""
    return {path: data for path, data in rig.tree().items() if not path.endswith("last-modified")}


def names_in(folder: Path) -> set[str]:
    root = json.loads((folder / "simple/index.v1_json").read_bytes())
    return {project["name"] for project in root["projects"]}


def assert_whole(rig: Rig, index: StaticIndex, prefix: str = "whl/cu126") -> None:
    """Assert that both indexes are mirrored, each with its own files, and nothing of the other."""
    assert names_in(rig.web) == {"torch", "numpy"}
    folder = served(rig, prefix)
    assert names_in(folder) == set(index.projects)
    for name, files in index.projects.items():
        page = json.loads((folder / f"simple/{name}/index.v1_json").read_bytes())
        assert {file["filename"] for file in page["files"]} == set(files)
        for file in page["files"]:
            path = folder / f"simple/{name}" / unquote(file["url"])
            assert path.resolve().is_relative_to(folder / "packages")
            assert path.read_bytes() == files[file["filename"]].content
    (file,) = json.loads((rig.web / "simple/torch/index.v1_json").read_bytes())["files"]
    assert file["filename"].startswith("torch-2.7.0-py3")
    assert not (folder / "simple").is_symlink()


def test_an_index_at_a_prefix_is_apart_from_the_other_and_kept_current(rig: Rig, beside: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    assert_whole(rig, beside)
    before = tree(rig)
    assert rig.call_again("mirror").returncode == 0  # with nothing new
    assert tree(rig) == before
    beside.add("torchvision", "torchvision-1.0+cu126.tar.gz")
    beside.remove("torch", TORCH)
    beside.add("torch", TORCH.replace("2.7.0", "2.8.0"))
    assert rig.call_again("mirror", "--allow-removals").returncode == 0
    assert_whole(rig, beside)
    beside.remove("torchvision")
    assert rig.call_again("mirror", "--allow-removals").returncode == 0
    assert_whole(rig, beside)
    assert rig.call_again("verify", "--delete").returncode == 0
    assert_whole(rig, beside)


def test_an_index_that_is_away_holds_up_no_other(rig: Rig, beside: StaticIndex) -> None:
    # A page in place of it is an error at once, while one that is down is asked again and again.
    beside.in_place_of |= dict.fromkeys(("/simple/", "/"), Answer(200, b"<html>log in</html>"))
    result = rig.call("mirror", stop_on_error="true")
    assert result.returncode == 4
    assert "[upstream torch]: " in result.stderr
    assert names_in(rig.web) == {"torch", "numpy"}
    beside.in_place_of.clear()
    assert rig.call_again("mirror").returncode == 0
    assert_whole(rig, beside)
    rig.options["master"] = f"{beside.url}/nothing"
    beside.add("new", "new-1.0.tar.gz")
    assert rig.call("mirror").returncode == 4
    assert_whole(rig, beside)


def test_one_index_may_be_chosen(rig: Rig, pypi: FakePyPI, beside: StaticIndex) -> None:
    assert rig.call("mirror", "--upstream", "torch").returncode == 0
    assert not pypi.requests
    assert names_in(served(rig)) == {"torch"}
    assert rig.call_again("mirror", "--upstream", "mirror").returncode == 0
    assert_whole(rig, beside)
    beside.asked()
    assert rig.call_again("verify", "--upstream", "mirror").returncode == 0
    assert not beside.requests
    assert rig.call_again("sync", "--upstream", "torch", "torch").returncode == 0
    assert beside.asked()
    assert rig.call_again("delete", "--yes", "--upstream", "torch", "torch").returncode == 0
    assert names_in(served(rig)) == set()
    assert names_in(rig.web) == {"torch", "numpy"}
    result = rig.call_again("mirror", "--upstream", "tosch")
    assert result.returncode == 2
    assert "there is no section [upstream tosch]; expected one of torch, mirror" in result.stderr


def test_names_are_of_the_mirrors_index_if_no_other_is_chosen(rig: Rig, pypi: FakePyPI, beside: StaticIndex) -> None:
    assert rig.call("sync", "--upstream", "torch", "torch").returncode == 2
    assert rig.call_again("mirror").returncode == 0
    beside.asked()
    assert rig.call_again("sync", "torch").returncode == 0
    assert rig.call_again("delete", "--yes", "torch").returncode == 0
    assert not beside.requests
    assert names_in(rig.web) == {"numpy"}
    assert names_in(served(rig)) == {"torch"}


def test_a_dry_run_makes_nothing_and_tells_both(rig: Rig, beside: StaticIndex) -> None:
    rig.write_config()
    result = rig.call_again("mirror", "--dry-run")
    assert result.returncode == 0
    assert "torch" in [line.split()[0] for line in result.stdout.splitlines()]
    assert "from the beginning to serial 1: 1 project to update" in result.stdout
    assert list(rig.directory.iterdir()) == []
    assert rig.call_again("mirror").returncode == 0
    beside.add("new", "new-1.0.tar.gz")
    before = rig.tree()
    told = rig.call_again("mirror", "--dry-run").stdout
    assert "new " in told
    assert told.count("to update") == 2
    assert rig.tree() == before
    assert rig.call_again("mirror", "--dry-run", "--json").returncode == 2
    assert json.loads(rig.call_again("mirror", "--dry-run", "--json", "--upstream", "torch").stdout)


def test_another_prefix_moves_what_is_served_and_asks_for_nothing_again(rig: Rig, beside: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    beside.asked()
    rig.filters = section(beside, "prefix = torch/stable")
    result = rig.call("mirror")
    assert result.returncode == 0
    assert f"{rig.web}/whl/cu126 is now {rig.web}/torch/stable" in result.stderr
    assert_whole(rig, beside, "torch/stable")
    assert not served(rig).exists()
    assert not any("/whl/" in line for line in beside.asked())


def test_a_prefix_where_something_is_already_is_refused(rig: Rig, beside: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    (rig.web / "mine").mkdir()
    (rig.web / "mine/file").write_text("of the operator")
    rig.filters = section(beside, "prefix = mine")
    assert rig.call("mirror").returncode == 4
    assert names_in(served(rig)) == {"torch"}
    assert (rig.web / "mine/file").read_text() == "of the operator"


def test_what_is_of_no_section_any_more_stays_and_is_told(rig: Rig, beside: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    rig.filters = ""
    beside.asked()
    result = rig.call("mirror")
    assert result.returncode == 0
    assert "there is no section [upstream torch] any more: what is mirrored of it stays" in result.stderr
    assert f"delete this folder and {served(rig)}\n" in result.stderr
    assert not beside.requests
    assert_whole(rig, beside)


def test_with_another_name_an_index_goes_on(rig: Rig, beside: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    rig.filters = section(beside, "prefix = whl/cu126", name="other")
    planned = rig.call("mirror", "--dry-run", "--upstream", "other").stdout
    assert "from serial 1 to serial 1: 0 projects to update, 0 to remove, 1 to look at" in planned
    beside.asked()
    result = rig.call("mirror")
    assert result.returncode == 0
    assert f"{rig.directory}/upstreams/torch is now {rig.directory}/upstreams/other" in result.stderr
    assert sorted(beside.asked()) == ["GET /simple/ 304", "GET /simple/torch/ 304"]  # as without another name
    result = rig.call_again("mirror")
    assert (result.returncode, "WARNING" in result.stderr) == (0, False)
    assert_whole(rig, beside)


def test_a_run_that_works_on_one_index_holds_up_no_other(rig: Rig, beside: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    beside.add("new", "new-1.0.tar.gz")
    with run_lock(rig.directory):
        result = rig.call_again("mirror")
    assert result.returncode == 3
    assert_whole(rig, beside)


def test_credentials_go_to_their_own_index_alone(rig: Rig, pypi: FakePyPI, beside: StaticIndex) -> None:
    rig.options["master"] = pypi.url.replace("://", "://user:secret@")
    assert rig.call("mirror").returncode == 0
    assert any("Authorization" in request.headers for request in pypi.requests)
    assert not any("Authorization" in headers for headers in beside.headers)


def test_a_missing_mirror_is_not_begun_by_an_index_at_a_prefix(rig: Rig, beside: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    shutil.rmtree(rig.directory)
    rig.directory.mkdir()
    assert rig.call_again("mirror").returncode == 4
    assert list(rig.directory.iterdir()) == []
    assert rig.call_again("mirror", "--init").returncode == 0
    assert_whole(rig, beside)


def test_both_are_served_each_at_its_place(rig: Rig, beside: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    site = Site(rig.web, Layout(), ["whl/cu126"])
    for path, other in (("/whl/cu126/simple/torch/", TORCH), ("/simple/torch/", "torch-2.7.0-py3")):
        page = site.find(path, "text/html")
        assert isinstance(page, Document)
        with page.file as file:
            assert other.replace("+", "%2B").encode() in file.read()
    assert site.find("/whl/cu126/simple/Torch", None) == Redirect("/whl/cu126/simple/torch/")
    assert site.find("/whl/cu126/simple/numpy/", None) is None
    assert site.find("/whl/cu126/../../upstreams/torch/state", None) is None
    assert site.find("/whl/cu128/simple/torch/", None) is None


def test_an_index_at_a_prefix_can_be_followed(rig: Rig, beside: StaticIndex, tmp_path: Path) -> None:
    assert rig.call("mirror").returncode == 0
    (tmp_path / "follower").mkdir()
    follower = Rig(rig.pypi, tmp_path / "follower")
    with serve_tree(rig.web) as url:
        follower.options["master"] = f"{url}/whl/cu126"
        for _ in range(2):
            assert follower.run(max_removals="50%").failures == []
            pages = ("index.v1_json", "index.html", "torch/index.v1_json", "torch/index.html")
            for page in pages:
                ours, theirs = ((web / "simple" / page).read_bytes() for web in (follower.web, served(rig)))
                assert ours == theirs
            beside.add("torch", TORCH.replace("2.7.0", "2.8.0"))
            assert rig.call_again("mirror").returncode == 0
    assert (follower.directory / "followed").exists()
