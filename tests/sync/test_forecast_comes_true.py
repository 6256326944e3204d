"""A dry run says what the run then does: what it fetches, removes and withholds, whatever upstream and the options do."""

import tempfile
import time
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.operations.dry_run import DryRun
from bandersnatch.operations.tuning import Tuning
from bandersnatch.plan.forecast import FileCount, Forecast
from bandersnatch.state.inventory import Inventory
from bandersnatch.storage.layout import INVENTORY
from tests.support.builders import unhurried
from tests.support.fakepypi import FakePyPI
from tests.support.rig import HURRIED, Rig

PROJECTS = ("a", "b", "c", "d", "e", "f")
LINES = "\n    "
EVENTS = ("nothing", "file", "file removed", "removed", "quarantined", "role", "excluded")


def tell(pypi: FakePyPI, project: str, event: str) -> None:
    """Let something happen to a project; ``excluded`` is nothing that upstream does."""
    match event:
        case "file":
            pypi.add_file(project, "3.0", size=700)
        case "file removed":
            pypi.remove_file(project, pypi.files(project)[0].filename)
        case "removed":
            pypi.remove_project(project)
        case "quarantined":
            pypi.quarantine_project(project)
        case "role":
            pypi.add_role(project, "somebody")
        case _:
            pass


def forecast(rig: Rig, tuning: Tuning = HURRIED) -> Forecast:
    config = Config.load(rig.write_config())
    with rig.resources(config) as resources:
        return DryRun(config, resources, tuning).run(fetch_pages=True)


def held(rig: Rig) -> set[str]:
    with closing(Inventory(rig.directory / INVENTORY)) as inventory:
        inventory.open()
        return {each.name for each in inventory.projects()}


def files(rig: Rig) -> dict[Path, int]:
    found = (path for path in (rig.web / "packages").rglob("*") if path.is_file() and path.suffix != ".metadata")
    return {path: path.stat().st_size for path in found}


@unhurried
@given(
    st.fixed_dictionaries(dict.fromkeys(PROJECTS, st.sampled_from(EVENTS))),
    st.fixed_dictionaries(
        {
            "deleted": st.sampled_from(["remove", "hide", "keep"]),
            "max-removals": st.sampled_from(["0", "1", "2", "20%", "100%"]),
            "api-method": st.sampled_from(["auto", "simple"]),
        }
    ),
    st.booleans(),
)
def test_what_a_dry_run_says_is_what_the_run_does(
    events: dict[str, str], options: dict[str, str], is_resync: bool
) -> None:
    with FakePyPI() as pypi, tempfile.TemporaryDirectory() as folder:
        rig = Rig(pypi, Path(folder))
        rig.options |= options
        for project in PROJECTS:
            pypi.add_file(project, "1.0", size=500)
            pypi.add_file(project, "2.0", size=600)
        rig.run()
        for project, event in events.items():
            tell(pypi, project, event)
        pypi.add_file("new", "1.0", size=800)
        excluded = [project for project, event in events.items() if event == "excluded"]
        if excluded:
            rig.filters = f"[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = {LINES.join(excluded)}\n"
        if is_resync:
            rig.resync()
        told, held_before, before = forecast(rig), held(rig), files(rig)
        report = rig.run()
        after = files(rig)
        gone = {path: size for path, size in before.items() if path not in after}
        assert (told.failures, told.unknown) == ({}, [])
        assert report.failures == []
        assert (told.withheld is None) == (report.withheld is None)
        assert told.download == FileCount(report.files, report.size_bytes) or report.withheld is not None
        if told.withheld is not None:
            assert told.withheld in str(report.withheld)
            assert held(rig) >= held_before
            quarantined = {project for project, event in events.items() if event == "quarantined"}
            assert {path.name[0] for path in gone} <= quarantined, "nothing holds back their pages"
            return
        assert {each.project for each in told.removals} == held_before - held(rig)
        assert told.remove == FileCount(len(gone), sum(gone.values()))
        assert len(told.updates) == report.updated


def test_a_removal_that_only_its_page_tells_of_is_said_too(rig: Rig, pypi: FakePyPI) -> None:
    rig.options["api-method"] = "simple"
    for project in ("suspect", "other"):
        pypi.add_file(project, "1.0", size=500)
    rig.run()
    pypi.quarantine_project("suspect")
    rig.run()
    pypi.remove_project("suspect")
    later = replace(HURRIED, wall_clock=lambda: time.time() + 40 * 86_400)
    told = forecast(rig, later)
    assert [each.project for each in told.removals] == ["suspect"]
    assert rig.run(tuning=later).removed == 1
