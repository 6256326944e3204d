"""Another mirror follows the one that ``bandersnatch serve`` serves, also where something was removed."""

from pathlib import Path

import pytest

from bandersnatch.serving.site import Site
from bandersnatch.storage.layout import Layout
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig
from tests.support.serving import needs_waitress, server_of

pytestmark = needs_waitress


@pytest.mark.parametrize("hashed", ["false", "true"])
def test_another_mirror_follows_a_served_one(pypi: FakePyPI, rig: Rig, tmp_path: Path, hashed: str) -> None:
    for name in ("alpha", "beta"):
        pypi.add_file(name, "1.0")
    rig.options["hash-index"] = hashed
    rig.run()
    (tmp_path / "second").mkdir()
    second = Rig(pypi, tmp_path / "second")
    with server_of(Site(rig.web, Layout(hashed == "true"))) as port:
        second.options["master"] = f"http://127.0.0.1:{port}"
        assert second.run().failures == []
        assert {path.name for path in second.web.glob("packages/**/*.whl")} >= {"alpha-1.0-py3-none-any.whl"}
        pypi.remove_project("alpha")
        pypi.add_file("beta", "2.0")
        rig.run(allow_removals=True)
        second.run(allow_removals=True)
    assert {str(path.relative_to(second.web)) for path in second.web.glob("packages/**/*.whl")} == {
        str(path.relative_to(rig.web)) for path in rig.web.glob("packages/**/*.whl")
    }
    assert sorted(path.name for path in (second.web / "simple").iterdir() if path.is_dir()) == ["beta"]
