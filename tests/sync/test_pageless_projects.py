"""Projects that an index lists though they have no page: they fail until that is sure, and hold nothing up then."""

import json

import pytest

from tests.support.other_index import OWN, mirror_it, state
from tests.support.rig import Rig
from tests.support.static_index import Answer, StaticIndex

GHOST = Answer(404)


def age_records(rig: Rig, seconds: int) -> None:
    """Let the time since the last run be longer, by what is on record of projects without a page."""
    path = rig.directory / "upstream"
    record = json.loads(path.read_bytes())
    record["pageless"] = [[name, since - seconds, asked - seconds] for name, since, asked in record["pageless"]]
    path.write_text(json.dumps(record))


@OWN
def test_a_listed_project_without_a_page_holds_nothing_up_once_that_is_sure(
    rig: Rig, index: StaticIndex, caplog: pytest.LogCaptureFixture
) -> None:
    index.add("foo", "foo-1.0.tar.gz")
    index.add("ghost", "ghost-1.0.tar.gz")
    index.in_place_of["/simple/ghost/"] = GHOST
    for _ in range(2):
        assert [failure.project for failure in rig.run().failures] == ["ghost"]
        assert not (rig.directory / "state").exists()
    age_records(rig, 3600)
    caplog.clear()
    assert rig.run().failures == []
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "upstream lists 1 project without a page, for an hour or more, which counts as not there: ghost"
    ]
    assert not (rig.directory / "todo").exists()
    index.assert_held(rig.directory, "foo")
    reached, before = state(rig), rig.tree()
    index.asked()
    for _ in range(2):  # it is asked for again, but not in each run
        caplog.clear()
        assert rig.run().failures == []
        assert (caplog.messages, index.asked()) == ([], ["GET /simple/ 304", "GET /simple/foo/ 304"])
    index.add("bar", "bar-1.0.tar.gz")  # nor because the list has changed
    assert rig.run().failures == []
    assert "GET /simple/ghost/ 404" not in index.asked()
    index.assert_held(rig.directory, "foo", "bar")
    age_records(rig, 2 * 3600)
    assert rig.run().failures == []
    assert "GET /simple/ghost/ 404" in index.asked()
    assert state(rig) == reached + 1
    assert rig.tree().items() >= {path: data for path, data in before.items() if "/foo/" in path}.items()
    index.in_place_of = {}
    age_records(rig, 24 * 3600)
    mirror_it(rig, index)
    assert json.loads((rig.directory / "upstream").read_bytes()).get("pageless") is None


@OWN
def test_a_project_without_a_page_that_the_list_drops_is_forgotten(rig: Rig, held: StaticIndex) -> None:
    held.in_place_of["/simple/ghost/"] = GHOST
    held.add("ghost", "ghost-1.0.tar.gz")
    assert [failure.project for failure in rig.run().failures] == ["ghost"]
    held.remove("ghost")
    mirror_it(rig, held)
    assert json.loads((rig.directory / "upstream").read_bytes()).get("pageless") is None
    assert not (rig.directory / "todo").exists()


@OWN
def test_a_project_that_had_a_page_here_is_waited_for(rig: Rig, held: StaticIndex) -> None:
    rig.resync()
    held.in_place_of["/simple/foo/"] = GHOST
    for _ in range(2):
        assert [failure.project for failure in rig.run().failures] == ["foo"]
    assert "pageless" not in json.loads((rig.directory / "upstream").read_bytes())
