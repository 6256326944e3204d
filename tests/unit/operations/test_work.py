"""How many workers a todo list is worth: processes where there is much to do, one thread where there is not."""

import pytest

from bandersnatch.operations.tuning import Tuning
from bandersnatch.workers.pool import workers_wanted
from tests.support.fakepypi import Call, FakePyPI
from tests.support.processes import children
from tests.support.rig import Rig

NEW = Tuning().new_projects_for_processes


@pytest.mark.skipif(workers_wanted(4) == 1, reason="with one core, there is always one worker")
@pytest.mark.parametrize(
    ("first", "then", "has_processes"),
    [
        pytest.param(0, NEW, True, id="new ones"),
        pytest.param(NEW, NEW, False, id="changed ones"),
        pytest.param(NEW - 1, NEW + 1, False, id="a few new ones among changed ones"),
        pytest.param(0, NEW - 1, False, id="few new ones"),
    ],
)
def test_a_few_projects_get_processes_if_they_are_new(
    rig: Rig, pypi: FakePyPI, first: int, then: int, *, has_processes: bool
) -> None:
    def release(number: int, version: str) -> None:
        for each in range(number):
            pypi.add_file(f"project-{each}", version)

    if first:
        release(first, "1.0")
        assert rig.command("mirror").returncode == 0
    release(then, "2.0")
    seen: list[int] = []
    pypi.fault(pypi.files("project-0")[-1].url_path, Call(lambda: seen.extend(children(process.pid))))
    with rig.start_command("mirror") as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert len(seen) == (workers_wanted(4) if has_processes else 0)  # and no spare processes
    rig.assert_matches()
