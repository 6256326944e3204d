"""Files whose names do not begin with their project's: nginx serves them all, and installers get along with the page."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from urllib.parse import unquote

import pytest

from tests.e2e.clients import V1_HTML, Link, get, read_html_page, read_json_page
from tests.e2e.conftest import make_mirror
from tests.e2e.installers import FreshEnvironment
from tests.e2e.nginx import Site, serving
from tests.support.fakepypi import FakePyPI

pytestmark = pytest.mark.e2e

NAMES = [
    "python-strangers_0.0_all.deb",
    "strangers 1.0.zip",
    "strangers2.0.tar.gz",
    "stran-gers-3.0.tar.gz",
    "日本-0.3.1.tar.gz",
    "café_übung-1.5rc1.tar.gz",
    "100%25 #?&;+<>\"'.zip",
]
PLAIN = "strangers-4.0-py3-none-any.whl"
OTHERS = "kith_and_kin-5.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def strange_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("strangers")
    with FakePyPI() as other:
        wheel = other.add_file("kith-and-kin", "5.0").content
    with FakePyPI() as pypi:
        pypi.add_file("strangers", "4.0")
        for number, name in enumerate(NAMES):
            pypi.add_file("strangers", f"{number}.0", kind="sdist", filename=name)
        pypi.add_file("strangers", "5.0", filename=OTHERS, content=wheel)
        mirror = make_mirror(folder, pypi.url)
    with serving(mirror.web, folder / "nginx") as site:
        yield site


@pytest.mark.parametrize("read", [read_json_page, read_html_page, lambda url: read_html_page(url, V1_HTML)])
def test_every_file_is_served_at_the_url_of_every_page(strange_site: Site, read: Callable[[str], list[Link]]) -> None:
    links = read(f"{strange_site.index_url}strangers/")
    assert {link.filename for link in links} == {*NAMES, PLAIN, OTHERS}
    for link in links:
        assert unquote(link.url).endswith(f"/{link.filename}")
        answer = get(link.url)
        assert (answer.status, sha256(answer.body).hexdigest()) == (200, link.sha256)


def test_pip_installs_from_a_page_with_strange_names(
    strange_site: Site, fresh: Callable[[Site], FreshEnvironment]
) -> None:
    environment = fresh(strange_site)
    environment.pip("install", "strangers")
    assert environment.installed() == {"strangers": "4.0"}


def test_uv_installs_from_a_page_with_strange_names(
    strange_site: Site, fresh: Callable[[Site], FreshEnvironment]
) -> None:
    environment = fresh(strange_site)
    environment.uv_pip("install", "strangers")
    assert environment.installed() == {"strangers": "4.0"}


def test_pip_installs_a_file_of_another_name_by_its_url(
    strange_site: Site, fresh: Callable[[Site], FreshEnvironment]
) -> None:
    (link,) = [each for each in read_json_page(f"{strange_site.index_url}strangers/") if each.filename == OTHERS]
    environment = fresh(strange_site)
    environment.pip("install", f"{link.url}#sha256={link.sha256}")
    assert environment.installed() == {"kith-and-kin": "5.0"}
