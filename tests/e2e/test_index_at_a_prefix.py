"""An index at a prefix, behind nginx as docs/configuration.md says: each page in each form, and the files."""

import json
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.e2e.clients import HTML, V1_JSON, get
from tests.e2e.nginx import running, site_configuration
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig
from tests.support.static_index import HTML as PLAIN_HTML
from tests.support.static_index import Form, static_index

pytestmark = pytest.mark.e2e

TORCH = "torch-2.7.0+cu126-py3-none-any.whl"


def site_on(web: Path, port: int) -> str:
    """Return README's configuration of nginx, with the two lines that docs/configuration.md changes."""
    site = site_configuration(web, port, hash_index=False)
    for folder in ("simple", "packages"):
        assert site.count(f"location /{folder}/ {{") == 1
        site = site.replace(f"location /{folder}/ {{", f"location ~ ^/(whl/cu126/)?{folder}/ {{")
    return site


def test_nginx_serves_both_indexes_in_each_form(rig: Rig, pypi: FakePyPI, tmp_path: Path) -> None:
    pypi.add_file("torch", "2.7.0")
    with static_index(Form(root=PLAIN_HTML, pages=PLAIN_HTML)) as index:
        index.add("torch", TORCH)
        rig.filters = f"[upstream torch]\nmaster = {index.url}\nallow-non-https = true\nprefix = whl/cu126\n"
        assert rig.call("mirror").returncode == 0
    with running(tmp_path / "nginx", lambda port: site_on(rig.web, port)) as port:
        for prefix, only in (("", "torch-2.7.0-py3-none-any.whl"), ("/whl/cu126", TORCH)):
            root = f"http://127.0.0.1:{port}{prefix}/simple/"
            assert b"torch" in get(root, V1_JSON).body
            page = get(f"{root}torch/", V1_JSON)
            assert (page.status, page.headers["Content-Type"]) == (200, V1_JSON)
            (file,) = json.loads(page.body)["files"]
            assert file["filename"] == only
            found = get(urljoin(f"{root}torch/", file["url"]))
            assert (found.status, found.headers["Content-Type"]) == (200, "application/octet-stream")
            assert (found.body == f"content of {TORCH}".encode()) is (only == TORCH)
            assert get(f"{root}torch/", HTML).headers["Content-Type"].startswith("text/html")
            assert get(f"{root}torch").status == 301
