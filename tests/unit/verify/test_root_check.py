"""``verify``: the root index is exactly what is held."""

import json

import pytest

from tests.support.fakepypi import FakePyPI, Status
from tests.support.rig import Rig
from tests.support.verifying import NAMES, filled, path_of, problems, verify

PAGES = ("index.html", "index.v1_html", "index.v1_json")


@pytest.fixture
def held(rig: Rig, pypi: FakePyPI) -> Rig:
    return filled(rig, pypi)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_what_is_wrong_with_it_is_found_and_repaired(held: Rig, page: str, damage: str) -> None:
    before = held.tree()
    path = held.web / "simple" / page
    match damage:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case _:
            path.write_bytes(path.read_bytes().replace(NAMES[1].encode(), NAMES[2].encode()))
    problem = "missing" if damage == "missing" else "differs from what is held"
    broken = held.stamps()
    document = verify(held, "--dry-run", status=1)
    assert problems(document) == {(f"web/simple/{page}", problem, False)}
    assert (document["found"], document["repaired"], document["left"]) == (1, 0, 1)
    held.assert_same_tree(broken)
    document = verify(held, status=6)
    assert problems(document) == {(f"web/simple/{page}", problem, True)}
    assert document["problems"][problem] == {"found": 1, "repaired": 1, "deleted": 0}
    assert document["findings"][0]["project"] is None
    assert held.tree() == before
    verify(held, status=0)


def test_index_of_one_project_lists_all_again(held: Rig) -> None:
    path = held.web / "simple" / "index.v1_json"
    document = json.loads(path.read_bytes())
    document["projects"] = document["projects"][:1]
    path.write_text(json.dumps(document))
    verify(held, status=6)
    held.assert_matches()


def test_only_its_own_pages_are_rewritten(held: Rig) -> None:
    before = held.mtimes()
    (held.web / "simple" / "index.html").unlink()
    verify(held, status=6)
    after = held.mtimes()
    assert {path for path in before if before[path] != after[path]} == {"simple/index.html"}


def test_it_follows_what_the_verification_brings(held: Rig, pypi: FakePyPI) -> None:
    pypi.add_file(NAMES[0], "3.0")
    assert verify(held, status=0)["found"] == 0
    assert verify(held, status=0)["found"] == 0
    held.run()
    held.assert_matches()


def test_it_follows_a_verification_whose_budget_ends(held: Rig, pypi: FakePyPI) -> None:
    pypi.add_file(NAMES[0], "3.0")
    pypi.fault(f"/simple/{NAMES[5]}/", Status(503, headers={"Retry-After": "100"}), times=None)
    assert verify(held, "--budget", "2s", status=0)["complete"] is False
    pypi.clear_faults()
    assert verify(held, status=0)["found"] == 0


def test_form_that_is_not_configured_is_found(rig: Rig, pypi: FakePyPI) -> None:
    rig.options["simple-format"] = "JSON"
    filled(rig, pypi)
    before = rig.tree()
    (rig.web / "simple" / "index.html").write_text("left by hand")
    document = verify(rig, status=6)
    assert problems(document) == {("web/simple/index.html", "differs from what is held", False)}
    assert [finding["deleted"] for finding in document["findings"]] == [True]
    assert rig.tree() == before


def test_index_that_cannot_be_written_is_left_and_the_projects_are_repaired(held: Rig, pypi: FakePyPI) -> None:
    page, wheel = held.web / "simple" / "index.html", path_of(held, pypi, 0)
    page.unlink()
    (page / "folder").mkdir(parents=True)
    wheel.unlink()
    result = held.call("verify")
    assert result.returncode == 1, result.stderr
    assert (
        "the root index can't be written: web/simple/index.html: a folder is where the file would be" in result.stderr
    )
    assert wheel.exists()
    assert page.is_dir()
