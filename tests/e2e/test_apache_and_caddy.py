"""What Apache and Caddy serve with README's configurations: both forms of a page, to pip and uv too."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.clients import V1_JSON, get
from tests.e2e.ports import await_listening, reserved_port
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig

pytestmark = pytest.mark.e2e

README = Path(__file__).parents[2] / "README.md"
APACHE_MODULES = ("mpm_event", "authz_core", "mime", "dir", "autoindex", "rewrite", "headers")


def block(language: str) -> str:
    """Return README's only block in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def apache(web: Path, folder: Path, port: int) -> list[str]:
    modules = (f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in APACHE_MODULES)
    lines = ["ServerName 127.0.0.1", f"Listen 127.0.0.1:{port}", f"PidFile {folder}/pid", f"ErrorLog {folder}/log"]
    lines += [*modules, "User www-data", "Group www-data", "TypesConfig /etc/mime.types", f"DocumentRoot {web}"]
    lines += [f"<Directory {web}>", "Require all granted", "</Directory>", block("apache")]
    (folder / "apache.conf").write_text("\n".join(lines))
    program = shutil.which("apache2", path=f"{os.environ['PATH']}:/usr/sbin")
    return [str(program), "-d", str(folder), "-f", str(folder / "apache.conf"), "-D", "FOREGROUND"]


def caddy(web: Path, folder: Path, port: int) -> list[str]:
    site = block("caddy").replace("<path-to-mirror>/web", str(web))
    around = f"{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{port} {{\nbind 127.0.0.1\n"
    (folder / "Caddyfile").write_text(f"{around}{site}}}\n")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.mark.parametrize("server", [apache, caddy], ids=["apache", "caddy"])
def test_pip_and_uv_install_from_another_server(
    server: Callable[[Path, Path, int], list[str]], rig: Rig, pypi: FakePyPI
) -> None:
    pypi.add_file("sample", "1.0")
    rig.run()
    with TemporaryDirectory() as name, reserved_port() as port:
        folder = Path(name)
        folder.chmod(0o755)  # Apache reads the pages as another user
        shutil.copytree(rig.web, folder / "web")
        command = server(folder / "web", folder, port)
        with subprocess.Popen(command, env={**os.environ, "HOME": name}, stderr=subprocess.DEVNULL) as process:
            try:
                await_listening(process, port)
                _install(f"http://127.0.0.1:{port}/simple/", folder)
            finally:
                process.terminate()


def _install(index: str, folder: Path) -> None:
    for path in ("", "sample/"):
        assert get(index + path, V1_JSON).content_type == V1_JSON
        html = get(index + path, "text/html")
        assert (html.content_type, html.headers["Vary"]) == ("text/html; charset=utf-8", "Accept")
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "-q", "--no-cache-dir", "--index-url", index]
    subprocess.run([*pip, "--target", str(folder / "pip"), "sample"], check=True)
    uv = ["uv", "pip", "install", "-q", "--no-cache", "--default-index", index]
    subprocess.run([*uv, "--target", str(folder / "uv"), "sample"], check=True)
    for installer in ("pip", "uv"):
        assert list((folder / installer).glob("sample-1.0.dist-info"))
