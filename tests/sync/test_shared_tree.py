"""Several indexes in one tree: each project has one owner, and what is of the tree as a whole tells of all of them."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest
from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.config.parts import parts_of
from bandersnatch.names import NormalizedName
from bandersnatch.operations.mirror import Mirror
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.state.tree_record import load_tree, save_tree
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.lock import run_lock
from bandersnatch.storage.upstream_folder import prepare_upstream_folder
from tests.support.fakepypi import FakePyPI, Status
from tests.support.killed_runs import killed_after, run_until_killed
from tests.support.rig import HURRIED, Rig
from tests.support.static_index import HTML, Answer, Form, StaticIndex, serve_tree, static_index

OLD = "torch-2.7.0+cu126-cp311-cp311-linux_x86_64.whl"
NEW = "torch-2.8.0+cu126-cp311-cp311-linux_x86_64.whl"


@pytest.fixture
def index(rig: Rig, pypi: FakePyPI) -> Iterator[StaticIndex]:
    """An index like PyTorch's, that owns ``torch*``; PyPI has a project of that name too."""
    pypi.add_file("torch", "2.7.0")
    pypi.add_file("numpy", "1.0")
    with static_index(Form(root=HTML, pages=HTML)) as index:
        index.add("torch", OLD)
        index.add("numpy", "numpy-9.tar.gz")
        rig.options["json"] = "true"
        own(rig, index)
        yield index


def own(rig: Rig, index: StaticIndex, projects: str = "torch*", *, name: str = "torch") -> None:
    """Configure whose each project is."""
    lines = [f"[upstream {name}]", f"master = {index.url}", "allow-non-https = true", f"projects = {projects}", ""]
    rig.filters = "\n".join(lines)


def told(rig: Rig) -> dict[str, list[str]]:
    """Return the files of each project that the root index lists, having asserted that all documents say the same."""
    simple = rig.web / "simple"
    root = json.loads((simple / "index.v1_json").read_bytes())
    serials = {project["name"]: project["_last-serial"] for project in root["projects"]}
    assert list(serials) == sorted(serials)
    html = (simple / "index.html").read_text()
    assert [line.split('"')[1].rstrip("/") for line in html.splitlines() if "<a " in line] == list(serials)
    assert json.loads((rig.web / "local.json").read_bytes()) == serials
    serial = int((rig.web / "local.db.serial").read_text())
    assert serial == root["meta"]["_last-serial"]
    assert serial >= max(serials.values(), default=0)
    assert json.loads((rig.web / "changes/index.json").read_bytes())["serial"] == serial
    found = {}
    for name in serials:
        page = json.loads((simple / name / "index.v1_json").read_bytes())
        for file in page["files"]:
            assert (simple / name / unquote(file["url"])).is_file()
        found[name] = sorted(file["filename"] for file in page["files"])
    assert {folder.name for folder in simple.iterdir() if folder.is_dir()} == set(found)
    return found


def serial_of(rig: Rig) -> int:
    return int((rig.web / "local.db.serial").read_text())


def files(rig: Rig) -> set[str]:
    return {path.name for path in (rig.web / "packages").rglob("*") if path.is_file() and path.suffix != ".metadata"}


NUMPY = ["numpy-1.0-py3-none-any.whl"]
OF_PYPI = ["torch-2.7.0-py3-none-any.whl"]


def test_each_project_is_of_its_owner_alone(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    assert told(rig) == {"numpy": NUMPY, "torch": [OLD]}
    assert not any("numpy" in line for line in index.asked())
    assert not any("torch" in request.path for request in pypi.requests)
    before, serial = rig.mtimes(), serial_of(rig)
    asked = len(pypi.requests)
    result = rig.call_again("mirror")
    assert (result.returncode, "WARNING" in result.stderr) == (0, False)
    assert [request.path for request in pypi.requests[asked:]] == ["/pypi"]  # the journal
    assert sorted(index.asked()) == ["GET /simple/ 304", "GET /simple/torch/ 304"]
    unchanged = ("simple", "packages", "changes", "local")
    assert {path: time for path, time in before.items() if any(each in path for each in unchanged)}.items() <= (
        rig.mtimes().items()
    )
    assert serial_of(rig) == serial


def test_changes_of_each_index_are_followed_and_raise_the_serial(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    rig.options["max-removals"] = "90%"
    assert rig.call("mirror").returncode == 0
    serial = serial_of(rig)
    expected = {"numpy": NUMPY, "torch": [OLD]}

    def run() -> None:
        nonlocal serial
        assert rig.call_again("mirror").returncode == 0
        assert told(rig) == expected
        assert serial_of(rig) > serial
        serial = serial_of(rig)

    index.add("torchvision", "torchvision-1.tar.gz")
    index.add("torch", NEW)
    expected |= {"torch": [OLD, NEW], "torchvision": ["torchvision-1.tar.gz"]}
    run()
    pypi.add_file("scipy", "1.0")
    pypi.add_file("numpy", "2.0")
    expected |= {"scipy": ["scipy-1.0-py3-none-any.whl"], "numpy": [*NUMPY, "numpy-2.0-py3-none-any.whl"]}
    run()
    index.remove("torch", OLD)
    index.remove("torchvision")
    del expected["torchvision"]
    expected["torch"] = [NEW]
    run()
    pypi.remove_project("scipy")
    del expected["scipy"]
    run()
    assert files(rig) == {name for names in expected.values() for name in names}
    result = rig.call_again("verify", "--delete")
    assert result.returncode == 0, result.stderr + result.stdout
    assert told(rig) == expected


def test_one_that_is_away_holds_up_no_other_and_loses_nothing(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    index.in_place_of |= dict.fromkeys(("/simple/", "/"), Answer(200, b"<html>log in</html>"))
    pypi.add_file("scipy", "1.0")
    result = rig.call_again("mirror")
    assert result.returncode == 4
    assert "[upstream torch]: " in result.stderr
    assert set(told(rig)) == {"numpy", "scipy", "torch"}
    index.in_place_of.clear()
    rig.options["master"] = f"{index.url}/nothing"
    index.add("torch", NEW)
    assert rig.call("mirror").returncode == 4
    assert told(rig)["torch"] == [OLD, NEW]


def test_a_section_that_is_added_takes_its_projects_over(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    section, rig.filters = rig.filters, ""
    assert rig.call("mirror").returncode == 0
    assert told(rig) == {"numpy": NUMPY, "torch": OF_PYPI}
    serial, before = serial_of(rig), json.loads((rig.web / "local.json").read_bytes())["torch"]
    rig.filters = section
    planned = rig.call("mirror", "--dry-run")
    assert "torch (from [mirror] to [upstream torch])" in planned.stderr
    assert "remove" not in [word for line in planned.stdout.splitlines() if "torch" in line for word in line.split()]
    assert told(rig)["torch"] == OF_PYPI
    index.in_place_of |= dict.fromkeys(("/simple/", "/"), Answer(200, b"<html>log in</html>"))
    assert rig.call("mirror").returncode == 4
    assert told(rig) == {"numpy": NUMPY, "torch": OF_PYPI}  # until the new owner has answered
    index.in_place_of.clear()
    result = rig.call("mirror", max_removals="10%")
    assert result.returncode == 5
    assert "from others 1 of 1 file" in result.stderr
    assert told(rig) == {"numpy": NUMPY, "torch": OF_PYPI}
    assert rig.call("mirror", "--allow-removals").returncode == 0
    assert told(rig) == {"numpy": NUMPY, "torch": [OLD]}
    assert files(rig) == {*NUMPY, OLD}
    assert serial_of(rig) > serial
    assert json.loads((rig.web / "local.json").read_bytes())["torch"] > before
    assert rig.call_again("verify", "--delete").returncode == 0


def test_what_the_new_owner_does_not_have_is_removed(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    section, rig.filters = rig.filters, ""
    pypi.add_file("torchaudio", "1.0")
    assert rig.call("mirror").returncode == 0
    rig.filters = section
    assert rig.call("mirror", "--allow-removals").returncode == 0
    assert told(rig) == {"numpy": NUMPY, "torch": [OLD]}
    assert files(rig) == {*NUMPY, OLD}


def test_a_project_that_a_killed_command_left_with_two_is_its_owners(rig: Rig, index: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    before, storage = told(rig), FilesystemStorage(rig.directory)
    with (
        closing(Inventory(rig.directory / "inventory.sqlite")) as old,
        closing(Inventory(rig.directory / "upstreams/torch/inventory.sqlite")) as new,
    ):
        assert old.open()
        assert new.open()
        moved = new.get(NormalizedName("torch"))
        assert moved is not None
        old.put(moved)
    record = load_tree(storage)
    assert record is not None
    save_tree(storage, replace(record, is_divided=False))
    assert rig.call_again("mirror").returncode == 0
    assert told(rig) == before
    with closing(Inventory(rig.directory / "inventory.sqlite")) as old:
        assert old.open()
        assert old.get(NormalizedName("torch")) is None


def test_a_section_that_is_taken_out_gives_its_projects_back(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    index.add("torchonly", "torchonly-1.tar.gz")
    assert rig.call("mirror").returncode == 0
    assert set(told(rig)) == {"numpy", "torch", "torchonly"}
    serial = serial_of(rig)
    rig.filters = ""
    index.asked()
    result = rig.call("mirror", max_removals="90%")
    assert result.returncode == 0
    assert "torch (from [upstream torch] to [mirror])" in result.stderr
    assert told(rig) == {"numpy": NUMPY, "torch": OF_PYPI}
    assert not index.requests
    assert not (rig.directory / "upstreams/torch").exists()
    assert serial_of(rig) > serial
    serial = serial_of(rig)
    pypi.add_file("scipy", "1.0")
    result = rig.call_again("mirror")
    assert (result.returncode, "WARNING" in result.stderr) == (0, False)
    assert serial_of(rig) > serial


@pytest.mark.parametrize(
    "command", [("mirror",), ("verify", "--upstream", "mirror"), ("sync", "numpy"), ("delete", "numpy", "--yes")]
)
@pytest.mark.parametrize(
    ("before", "after"), [("projects = torch*", "prefix = whl"), ("prefix = whl", "projects = torch*")]
)
def test_a_section_that_gets_a_prefix_or_loses_it_is_refused_before_anything_changes(
    rig: Rig, index: StaticIndex, before: str, after: str, command: tuple[str, ...]
) -> None:
    own(rig, index)
    rig.filters = rig.filters.replace("projects = torch*", before)
    assert rig.call("mirror").returncode == 0
    tree = {path: data for path, data in rig.tree().items() if path != "last-modified"}
    records = sorted(path.name for path in (rig.directory / "upstreams/torch").iterdir())
    rig.filters = rig.filters.replace(before, after)
    result = rig.call(*command)
    assert result.returncode == 4
    assert "give its section another name" in result.stderr
    assert {path: data for path, data in rig.tree().items() if path != "last-modified"} == tree
    assert sorted(path.name for path in (rig.directory / "upstreams/torch").iterdir()) == records
    rig.filters = rig.filters.replace(after, before)
    assert rig.call(*command).returncode == 0


def test_a_pattern_that_moves_from_one_section_to_another_moves_its_projects(
    rig: Rig, pypi: FakePyPI, index: StaticIndex
) -> None:
    with static_index(Form()) as other:
        other.add("torch", "torch-3.0.tar.gz")
        other.add("extra", "extra-1.tar.gz")
        both = rig.filters
        own(rig, other, "extra", name="other")
        rig.filters += both
        assert rig.call("mirror").returncode == 0
        assert told(rig) == {"extra": ["extra-1.tar.gz"], "numpy": NUMPY, "torch": [OLD]}
        serial = serial_of(rig)
        index.add("torchvision", "torchvision-1.tar.gz")
        own(rig, index, "torchvision")
        both = rig.filters
        own(rig, other, "extra, torch", name="other")
        rig.filters += both
        result = rig.call("mirror", max_removals="90%")
        assert result.returncode == 0
        assert "1 project of another index now" in result.stderr
        assert told(rig)["torch"] == ["torch-3.0.tar.gz"]
        assert told(rig)["torchvision"] == ["torchvision-1.tar.gz"]
        assert serial_of(rig) > serial


def test_a_rename_of_a_section_asks_again_and_changes_nothing(rig: Rig, index: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    before = told(rig)
    own(rig, index, name="pytorch")
    assert rig.call("mirror").returncode == 0
    assert told(rig) == before
    assert [folder.name for folder in (rig.directory / "upstreams").iterdir()] == ["pytorch"]


def test_names_go_to_their_owner(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    index.add("torch", NEW)
    pypi.add_file("numpy", "2.0")
    result = rig.call_again("sync", "torch", "numpy")
    assert result.returncode == 0, result.stderr
    assert told(rig) == {"numpy": [*NUMPY, "numpy-2.0-py3-none-any.whl"], "torch": [OLD, NEW]}
    result = rig.call_again("sync", "--ignore-filters", "--upstream", "mirror", "torch")
    assert result.returncode == 2
    assert "torch is of [upstream torch]" in result.stderr
    assert "torch" in rig.call_again("delete", "--dry-run", "torch").stdout
    assert rig.call_again("delete", "--yes", "torch", "numpy").returncode == 0
    assert told(rig) == {}
    assert files(rig) == set()


def test_a_todo_entry_of_before_removes_nothing_of_the_new_owner(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    section, rig.filters = rig.filters, ""
    assert rig.call("mirror").returncode == 0
    pypi.add_file("torch", "2.8.0")
    pypi.fault("/simple/torch/", Status(404), times=None)
    assert rig.call("mirror").returncode == 1
    assert b"torch" in (rig.directory / "todo").read_bytes()
    rig.filters = section
    assert rig.call("mirror", "--allow-removals").returncode == 0
    assert told(rig)["torch"] == [OLD]
    assert not (rig.directory / "todo").exists()


def test_one_command_at_a_time_works_on_the_tree(rig: Rig, index: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    index.add("torch", NEW)
    with run_lock(rig.directory):
        assert rig.call_again("mirror").returncode == 3
    assert told(rig)["torch"] == [OLD]


def test_lost_inventories_are_rebuilt_each_from_its_own_pages(rig: Rig, index: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    before = told(rig)
    for path in (rig.directory / "inventory.sqlite", rig.directory / "upstreams/torch/inventory.sqlite"):
        path.unlink()
        assert rig.call_again("mirror").returncode == 0
        assert told(rig) == before


def test_a_dry_run_tells_each_index_and_writes_nothing(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    index.add("torchvision", "torchvision-1.tar.gz")
    pypi.add_file("scipy", "1.0")
    before = rig.tree()
    planned = rig.call_again("mirror", "--dry-run", "--full")
    assert planned.returncode == 0
    assert "torchvision" in planned.stdout
    assert "scipy" in planned.stdout
    assert rig.tree() == before


@pytest.mark.parametrize("full", [(), ("--full",)])
def test_the_first_run_of_an_index_is_planned_without_a_trace(
    rig: Rig, pypi: FakePyPI, index: StaticIndex, full: tuple[str, ...]
) -> None:
    section, rig.filters = rig.filters, ""
    assert rig.call("mirror").returncode == 0
    rig.filters = section
    index.add("torchvision", "torchvision-1.tar.gz")
    before = rig.stamps()
    planned = rig.call("mirror", "--dry-run", "--json", "--upstream", "torch", *full)
    assert planned.returncode == 0, planned.stderr
    assert "torch (from [mirror] to [upstream torch])" in planned.stderr
    told = json.loads(planned.stdout)
    assert (told["from_serial"], told["remove"]) == (None, [])
    updates = {each["project"]: each for each in told["update"]}
    assert set(updates) == ({"torch", "torchvision"} if full else {"torchvision"})
    assert told["unchanged"] == (0 if full else 1)  # torch is looked at; the list does not tell if it is another one
    if full:
        assert updates["torch"]["remove"]["files"] == 1  # the file of the index before
        assert updates["torch"]["download"]["files"] == 1
    rig.assert_same_tree(before)


def test_verify_finds_what_differs_in_each(rig: Rig, index: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    before = told(rig)
    (path,) = (rig.web / "packages").rglob(OLD)
    path.write_bytes(b"rot")
    stray = path.with_name("stray.tar.gz")
    stray.write_bytes(b"")
    (rig.web / "simple/index.html").write_text("gone")
    assert rig.call_again("verify", "--dry-run").returncode == 1
    result = rig.call_again("verify", "--delete", "--allow-removals")
    assert result.returncode == 6, result.stderr + result.stdout
    assert not stray.exists()
    assert told(rig) == before
    assert rig.call_again("verify", "--delete").returncode == 0


def test_unlisted_files_are_of_the_tree_and_not_of_one_index(rig: Rig, pypi: FakePyPI, index: StaticIndex) -> None:
    assert rig.call("mirror").returncode == 0
    (path,) = (rig.web / "packages").rglob(OLD)
    stray = path.with_name("stray.tar.gz")
    stray.write_bytes(b"")
    index.asked()
    result = rig.call_again("verify", "--delete", "--upstream", "torch")
    assert result.returncode == 2
    assert "run verify --delete --upstream mirror, or without --upstream" in result.stderr
    assert (index.asked(), stray.exists()) == ([], True)
    assert rig.call_again("verify", "--delete", "--allow-removals", "--upstream", "mirror").returncode == 6
    assert not stray.exists()
    assert rig.call_again("verify", "--delete").returncode == 0


def test_an_index_without_a_run_is_not_verified_in_silence(rig: Rig, index: StaticIndex) -> None:
    section, rig.filters = rig.filters, ""
    assert rig.call("mirror").returncode == 0
    rig.filters = section
    result = rig.call("verify", "--upstream", "torch", "--json")
    assert (result.returncode, result.stdout) == (2, "")
    assert "[upstream torch]: nothing is mirrored of it yet; bandersnatch mirror does that" in result.stderr


def test_a_mirror_of_this_mirror_follows_all_of_it(
    rig: Rig, pypi: FakePyPI, index: StaticIndex, tmp_path: Path
) -> None:
    assert rig.call("mirror").returncode == 0
    (tmp_path / "follower").mkdir()
    follower = Rig(rig.pypi, tmp_path / "follower")
    follower.options |= {"json": "true"}
    section = rig.filters

    def follow() -> None:
        assert follower.run(max_removals="90%").failures == []
        assert told(follower) == told(rig)
        assert {path: data for path, data in follower.tree().items() if "/simple/" in path} == {
            path: data for path, data in rig.tree().items() if "/simple/" in path
        }

    with serve_tree(rig.web) as url:
        follower.options["master"] = url
        follow()
        index.add("torch", NEW)
        assert rig.call_again("mirror").returncode == 0
        follow()
        pypi.add_file("scipy", "1.0")
        index.remove("torch", OLD)
        assert rig.call("mirror", max_removals="90%").returncode == 0
        follow()
        rig.filters = ""
        assert rig.call("mirror", max_removals="90%").returncode == 0
        follow()
        rig.filters = section
        assert rig.call("mirror", "--allow-removals").returncode == 0
        assert told(rig)["torch"] == [NEW]
        follow()


@pytest.mark.parametrize("has_journal", [True, False])
def test_followers_see_another_owners_page_with_the_serial_of_before(
    rig: Rig, index: StaticIndex, tmp_path: Path, *, has_journal: bool
) -> None:
    rig.options |= {"static-journal": str(has_journal), "max-removals": "100%"}
    assert rig.call("mirror").returncode == 0
    serial = json.loads((rig.web / "local.json").read_bytes())["torch"]
    (tmp_path / "follower").mkdir()
    follower = Rig(rig.pypi, tmp_path / "follower")
    with static_index(Form(has_serials=True)) as other, serve_tree(rig.web) as url:
        follower.options |= {"json": "true", "master": url, "max-removals": "100%", "refresh": "0"}
        assert follower.run().failures == []
        other.serial = serial - 1
        other.add("torch", "torch-3.0.tar.gz")
        own(rig, other, name="other")
        assert rig.call("mirror", "--allow-removals").returncode == 0
        assert json.loads((rig.web / "local.json").read_bytes())["torch"] == serial
        assert follower.run().failures == []
        if not has_journal:  # serials alone do not tell it, and refresh finds it
            assert told(follower)["torch"] == [OLD]
            follower.run(refresh="30 days")
            later = replace(HURRIED, wall_clock=lambda: time.time() + 31 * 86_400)
            assert follower.run(refresh="30 days", tuning=later).failures == []
        assert told(follower)["torch"] == ["torch-3.0.tar.gz"]


@pytest.mark.parametrize("is_all_told", [True, False])
def test_the_journal_goes_on_with_another_section_if_all_was_told(
    rig: Rig, index: StaticIndex, *, is_all_told: bool
) -> None:
    assert rig.call("mirror").returncode == 0
    before = json.loads((rig.web / "changes/index.json").read_bytes())["id"]
    if not is_all_told:  # as a command leaves it that was killed after the removal of a project
        with closing(Inventory(rig.directory / "upstreams/torch/inventory.sqlite")) as inventory:
            assert inventory.open()
            inventory.put(HeldProject(NormalizedName("torchtext"), "torchtext", 1, None, 0, 0, None))
            inventory.remove(NormalizedName("torchtext"))
    own(rig, index, name="pytorch")
    assert rig.call("mirror").returncode == 0
    assert (json.loads((rig.web / "changes/index.json").read_bytes())["id"] == before) is is_all_told


@pytest.mark.parametrize("after", [1, 4, 7, 10, 14, 19, 25])
def test_a_kill_while_projects_move_is_mended_by_the_next_run(
    rig: Rig, pypi: FakePyPI, index: StaticIndex, after: int
) -> None:
    section, rig.filters = rig.filters, ""
    assert rig.call("mirror").returncode == 0
    serial = serial_of(rig)
    rig.filters = section
    pypi.add_file("scipy", "1.0")
    config = Config.load(rig.write_config(max_removals="100%"))

    def run() -> None:
        for part in parts_of(config):
            if part.name is not None:
                prepare_upstream_folder(rig.directory, part.config.directory, part.prefix)
            with rig.resources(part.config) as resources:
                policy = RemovalPolicy.of(part.config.removals, allows_all=True)
                Mirror(part.config, resources, policy, rig.tuning).run()

    run_until_killed(rig, killed_after(after), run)
    assert serial_of(rig) >= serial
    assert rig.call("mirror", "--allow-removals").returncode == 0
    assert told(rig) == {"numpy": NUMPY, "scipy": ["scipy-1.0-py3-none-any.whl"], "torch": [OLD]}
    assert files(rig) == {*NUMPY, "scipy-1.0-py3-none-any.whl", OLD}
    assert serial_of(rig) > serial
    assert rig.call_again("verify", "--delete").returncode == 0
