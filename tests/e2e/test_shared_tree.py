"""Two indexes in one tree, behind nginx: installers have each project from its owner, whatever the other one offers."""

from pathlib import Path

import pytest

from tests.e2e.installers import FreshEnvironment
from tests.e2e.nginx import serving
from tests.e2e.test_pytorch import make_wheel
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig
from tests.support.static_index import HTML, Form, static_index

pytestmark = pytest.mark.e2e


def test_installers_have_each_project_of_its_owner(rig: Rig, pypi: FakePyPI, tmp_path: Path) -> None:
    pypi.add_file("torch", "9.0")
    pypi.add_file("plain", "1.0")
    wheel = make_wheel(tmp_path, "torch", "2.7.0+cu126", 1_000_000, needs="plain")
    with static_index(Form(root=HTML, pages=HTML)) as index:
        index.add("torch", wheel.name, content=wheel.read_bytes())
        index.add("plain", "plain-9.tar.gz")
        rig.filters = f"[upstream torch]\nmaster = {index.url}\nallow-non-https = true\nprojects = torch*\n"
        assert rig.call("mirror").returncode == 0
    with serving(rig.web, tmp_path / "nginx") as site:
        environment = FreshEnvironment.make(tmp_path / "fresh", site.index_url)
        environment.pip("install", "-q", "--no-cache-dir", "torch")
        assert environment.installed() == {"torch": "2.7.0+cu126", "plain": "1.0"}
        environment.uv_pip("install", "--reinstall", "torch")
        assert environment.installed() == {"torch": "2.7.0+cu126", "plain": "1.0"}
