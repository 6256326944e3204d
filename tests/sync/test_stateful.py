"""Any story of upstream, told between, during and after runs of any kind, ends in a mirror that matches."""

import tempfile
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from bandersnatch.errors import InterruptedRunError
from bandersnatch.operations.tuning import Tuning
from bandersnatch.stop import StopFlag
from tests.support.fakepypi import Call, FakePyPI, Reset, ShortBody, Status, WrongBytes
from tests.support.rig import HURRIED, IN_PROCESSES, Rig

PROJECTS = ("Foo.Bar", "baz", "Qux_Quux")
SPELLINGS = {"Foo.Bar": ("Foo.Bar", "foo-bar", "FOO_BAR"), "baz": ("baz", "Baz"), "Qux_Quux": ("Qux_Quux", "qux.quux")}
FAULTS = (Status(404), Status(500), Reset(0), ShortBody(10), WrongBytes())

projects = st.sampled_from(PROJECTS)


class MirrorMachine(RuleBasedStateMachine):
    """Upstream events, runs, interruptions and resyncs in any order."""

    @initialize()
    def begin(self) -> None:
        self.pypi = FakePyPI().__enter__()
        self.temporary = tempfile.TemporaryDirectory()
        self.rig = Rig(self.pypi, Path(self.temporary.name))
        self.versions = count()

    def teardown(self) -> None:
        if hasattr(self, "pypi"):
            try:
                self.pypi.clear_faults()
                self.run()  # what was left by failures and interruptions
                self.rig.run(compare_method="stat", allow_removals=self.has_nothing_left())
                # Events without a serial (archiving, provenance) are found by a resync only.
                self.rig.resync()
                self.run()
                self.rig.assert_matches()
            finally:
                self.pypi.__exit__(None, None, None)
                self.temporary.cleanup()

    def exists(self, project: str) -> bool:
        return any(project == name for name in self.names().values())

    def names(self) -> dict[str, str]:
        known = set(self.pypi.project_names())
        return {name: project for project in PROJECTS for name in (self.normalized(project),) if name in known}

    def has_nothing_left(self) -> bool:
        """Whether upstream lists no project, which a resync takes for an outage unless the operator allows the removals."""
        return all(self.is_quarantined(name) for name in self.pypi.project_names())

    def is_quarantined(self, name: str) -> bool:
        return bool(self.pypi.page(name)["project-status"]["status"] == "quarantined")

    def projects_here(self) -> set[str]:
        """The normalized names of the projects that have a page."""
        return {page.parent.name for page in self.rig.web.glob("simple/*/index.html")}

    @staticmethod
    def normalized(project: str) -> str:
        return SPELLINGS[project][0].lower().replace(".", "-").replace("_", "-")

    @rule(project=projects, kind=st.sampled_from(["wheel", "sdist"]), data=st.data(), has_metadata=st.booleans())
    def add_file(self, project: str, kind: str, data: st.DataObject, has_metadata: bool) -> None:
        spelling = data.draw(st.sampled_from(SPELLINGS[project]))
        version = f"1.{next(self.versions)}"
        if kind == "wheel":
            self.pypi.add_file(spelling, version, metadata_in_wheel=has_metadata)
        else:
            self.pypi.add_file(spelling, version, kind="sdist")

    @rule(
        project=projects, data=st.data(), how=st.sampled_from(["yank", "remove file", "remove release", "quarantine"])
    )
    def change_release(self, project: str, data: st.DataObject, how: str) -> None:
        files = self.pypi.files(self.normalized(project)) if self.exists(project) else []
        if not files:
            return
        file = data.draw(st.sampled_from(files))
        match how:
            case "yank":
                self.pypi.yank(project, file.version, data.draw(st.sampled_from(["", 'a "reason"', "<b>"])))
            case "remove file":
                self.pypi.remove_file(project, file.filename)
            case "remove release":
                self.pypi.remove_release(project, file.version)
            case _:
                self.pypi.quarantine_release(project, file.version)

    @rule(project=projects)
    def remove_project(self, project: str) -> None:
        if self.exists(project):
            self.pypi.remove_project(project)

    @rule(project=projects, back=st.booleans())
    def quarantine_project(self, project: str, back: bool) -> None:
        if self.exists(project):
            self.pypi.clear_quarantine(project) if back else self.pypi.quarantine_project(project)

    @rule(project=projects)
    def archive(self, project: str) -> None:
        if self.exists(project):
            self.pypi.archive(project)

    @rule(project=projects)
    def invite(self, project: str) -> None:
        if self.exists(project):
            self.pypi.invite_role(project, "Maintainer", "carol")

    @rule()
    def odd_rows(self) -> None:
        self.pypi.write_journal(None, None, None)
        self.pypi.write_journal("user:bob", None, "nuke user")
        self.pypi.skip_serials(3)

    @rule()
    def run(self) -> None:
        self.rig.run(allow_removals=self.has_nothing_left())

    @rule(project=projects, fault=st.sampled_from(FAULTS), data=st.data())
    def run_with_a_fault(self, project: str, fault: object, data: st.DataObject) -> None:
        paths = [f"/simple/{self.normalized(project)}/"]
        if self.exists(project):
            paths += [file.url_path for file in self.pypi.files(self.normalized(project))]
        self.pypi.fault(data.draw(st.sampled_from(paths)), fault, times=None)  # type: ignore[arg-type]
        self.rig.run()
        self.pypi.clear_faults()

    @rule(request=st.integers(1, 12))
    def run_that_is_stopped(self, request: int) -> None:
        """Ask the run to stop while upstream answers its n-th request."""
        stop, left = StopFlag(), iter(range(request, -1000, -1))

        def count_down() -> None:
            if next(left) == 1:
                stop.set()

        self.pypi.fault("*", Call(count_down), times=None)
        try:
            self.rig.run(stop=stop)
        except InterruptedRunError:
            pass
        finally:
            self.pypi.clear_faults()

    @rule(project=projects)
    def upstream_changes_during_a_run(self, project: str) -> None:
        path = f"/simple/{self.normalized(project)}/"
        self.pypi.fault(path, Call(lambda: self.pypi.add_file(project, f"2.{next(self.versions)}")))
        self.rig.run()
        self.pypi.clear_faults()

    @rule(tuning=st.sampled_from([HURRIED, IN_PROCESSES]))
    def let_runs_have_processes_or_not(self, tuning: Tuning) -> None:
        self.rig.tuning = tuning

    @rule()
    def resync(self) -> None:
        self.rig.resync()

    @rule(name=st.sampled_from(["todo", "inventory.sqlite"]))
    def lose_a_file(self, name: str) -> None:
        """Lose the todo list, or the inventory."""
        (self.rig.directory / name).unlink(missing_ok=True)

    @precondition(lambda self: hasattr(self, "pypi"))
    @rule()
    def matches_after_a_plain_run(self) -> None:
        """After any story a plain run is enough, but for events that upstream does not tell."""
        held = self.projects_here()
        self.run()
        assert not (self.rig.directory / "todo").exists()
        # A project that was quarantined before the mirror had it waits for the end of that.
        wanted = {name for name in self.pypi.project_names() if name in held or not self.is_quarantined(name)}
        assert self.projects_here() == wanted


TestMirrorMachine = MirrorMachine.TestCase
TestMirrorMachine.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
