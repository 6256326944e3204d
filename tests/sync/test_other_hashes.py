"""An index that tells other digests of files than SHA-256, or none: what is refused, checked, and added to our pages."""

import json
import re
from typing import Any

import pytest

from bandersnatch.errors import IntegrityError, SuspiciousPageError
from tests.support.fakepypi import Dialect, Edit, FakePyPI, WrongBytes
from tests.support.rig import Rig
from tests.support.static_index import HTML, Answer, Form, StaticIndex, served

WEAK, STRONG, NONE = ("md5", "sha1", "sha224"), ("sha384", "sha512"), ()
TELLING = {
    "MD5 in JSON": Dialect(hashes=("md5",)),
    "SHA-512 in HTML": Dialect(is_html_only=True, hashes=("sha512",)),
    "several": Dialect(hashes=("md5", "sha1")),
    "none in JSON": Dialect(hashes=NONE),
    "none in HTML": Dialect(is_html_only=True, hashes=NONE),
}
ALLOWED: dict[str, Any] = {"allow_weak_hashes": "true", "allow_unhashed": "true"}


@pytest.fixture(params=TELLING)
def dialect(pypi: FakePyPI, request: pytest.FixtureRequest) -> Dialect:
    pypi.dialect = TELLING[request.param]
    return pypi.dialect


def run(rig: Rig, **options: Any) -> None:
    assert rig.run(**options).failures == []
    rig.assert_matches()


def files_on_page(rig: Rig, name: str = "foo") -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = json.loads((rig.web / f"simple/{name}/index.v1_json").read_bytes())["files"]
    return files


@pytest.mark.usefixtures("dialect", "in_processes_or_not")
def test_our_pages_have_the_sha_256_and_what_upstream_tells(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.add_file("foo", "1.0", kind="sdist", size=1_500_000)
    run(rig, **ALLOWED)


@pytest.mark.usefixtures("dialect", "in_processes_or_not")
@pytest.mark.parametrize("simple_format", ["ALL", "HTML"])
def test_what_is_here_is_not_fetched_again(rig: Rig, pypi: FakePyPI, simple_format: str) -> None:
    for name in ("1.0", "1.1"):
        pypi.add_file("foo", name, kind="sdist")
    assert rig.run(**ALLOWED, simple_format=simple_format).failures == []
    pypi.clear_requests()
    pypi.yank("foo", "1.0")
    pypi.add_file("foo", "1.2", kind="sdist")
    assert rig.run(**ALLOWED, simple_format=simple_format).failures == []
    assert [request.path for request in pypi.file_requests()] == [pypi.files("foo")[2].url_path]
    pypi.clear_requests()
    rig.resync()
    assert rig.run(**ALLOWED, simple_format=simple_format).failures == []
    assert rig.run(**ALLOWED, simple_format=simple_format, compare_method="hash").failures == []
    assert pypi.file_requests() == []
    if simple_format == "ALL":
        rig.assert_matches()


def test_a_run_that_finds_all_files_here_only_reads_them(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    run(rig)  # with SHA-256
    pypi.dialect = Dialect(hashes=("md5",))
    pypi.clear_requests()
    rig.resync()
    for folder in (rig.web / "simple").iterdir():
        if folder.is_dir():
            (folder / "index.v1_json").unlink()
            (folder / "index.html").unlink()
            (folder / "index.v1_html").unlink()
    run(rig, **ALLOWED)
    assert pypi.file_requests() == []


@pytest.mark.parametrize("algorithm", [*WEAK, *STRONG])
def test_a_file_that_is_not_what_its_digest_says_is_refused(rig: Rig, pypi: FakePyPI, algorithm: str) -> None:
    pypi.dialect = Dialect(hashes=(algorithm,))
    file = pypi.add_file("foo", "1.0", kind="sdist")
    pypi.fault(file.url_path, WrongBytes(), times=None)
    (failure,) = rig.run(**ALLOWED).failures
    assert isinstance(failure.error, IntegrityError)
    assert failure.error.what == algorithm.upper().replace("SHA", "SHA-")
    assert not (rig.web / "simple/foo").exists()
    pypi.clear_faults()
    run(rig, **ALLOWED)


@pytest.mark.usefixtures("dialect")
def test_a_file_that_is_damaged_here_is_fetched_again(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist")
    run(rig, **ALLOWED)
    stored = rig.web / file.url_path.lstrip("/")
    stored.write_bytes(b"x" * file.size)
    rig.resync()
    run(rig, **ALLOWED, compare_method="hash")


# What else reads our pages


def lines(rig: Rig, *arguments: str, status: int = 0) -> str:
    result = rig.command_again(*arguments)
    assert result.returncode == status, result.stderr
    return result.stdout


@pytest.mark.parametrize("dialect", ["MD5 in JSON", "none in HTML"], indirect=True)
@pytest.mark.usefixtures("dialect")
def test_a_verification_and_a_dry_run_find_nothing_to_do(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    rig.write_config(**ALLOWED)
    lines(rig, "mirror")
    before = rig.tree()
    assert json.loads(lines(rig, "verify", "--json"))["findings"] == []
    rig.resync()
    plan = json.loads(lines(rig, "mirror", "--dry-run", "--full", "--json", "--force-check"))
    none = {"files": 0, "bytes": 0}
    assert (plan["update"], plan["total"]) == ([], {"download": none, "remove": none})
    assert rig.tree() == before


@pytest.mark.parametrize("dialect", ["MD5 in JSON", "none in HTML"], indirect=True)
@pytest.mark.usefixtures("dialect")
def test_a_verification_finds_a_damaged_file_and_mends_it(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", kind="sdist")
    run(rig, **ALLOWED)
    stored = rig.web / file.url_path.lstrip("/")
    stored.write_bytes(b"x" * file.size)
    (finding,) = json.loads(lines(rig, "verify", "--json", status=6))["findings"]
    assert (finding["problem"], finding["repaired"]) == ("wrong digest", True)
    rig.assert_matches()


@pytest.mark.parametrize("dialect", ["MD5 in JSON", "none in HTML"], indirect=True)
@pytest.mark.usefixtures("dialect")
def test_an_inventory_that_is_rebuilt_knows_the_files(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    run(rig, **ALLOWED)
    before = rig.tree()
    for path in rig.directory.glob("inventory.sqlite*"):
        path.unlink()
    rig.resync()
    pypi.clear_requests()
    run(rig, **ALLOWED)
    assert pypi.file_requests() == []
    assert rig.tree() == before


@pytest.mark.parametrize("hashes", [("md5",), NONE])
def test_another_index_with_the_same_names_has_its_own_files(rig: Rig, pypi: FakePyPI, hashes: tuple[str, ...]) -> None:
    pypi.dialect = Dialect(hashes=hashes)
    pypi.add_file("foo", "1.0", kind="sdist")
    run(rig, **ALLOWED)
    with FakePyPI() as other:
        other.dialect = Dialect(hashes=hashes)
        file = other.add_file("foo", "1.0", kind="sdist", content=b"another one")
        rig.resync()
        assert rig.run(**ALLOWED, master=other.url, allow_removals=True).failures == []
        (entry,) = files_on_page(rig)
        assert entry["hashes"]["sha256"] == file.sha256


# What is refused


def both(page: dict[str, Any]) -> dict[str, Any]:
    """Let a page tell MD5 of all files but the last, and nothing of that."""
    for file in page["files"]:
        file["hashes"] = {"md5": "0" * 32}
    page["files"][-1]["hashes"] = {}
    return page


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]


@pytest.mark.usefixtures("in_processes_or_not")
def test_what_upstream_tells_too_little_of_is_left_out_and_told_once_a_run(
    rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    pypi.add_file("good", "1.0")
    for number in range(4):
        for version in ("1.0", "1.1", "1.2"):
            pypi.add_file(f"project-{number}", version, kind="sdist")
        pypi.fault(f"/simple/project-{number}/", Edit(both), times=None)
    report = rig.run()
    assert (report.failures, report.refused.weak, report.refused.unhashed) == ([], 8, 4)
    assert told(caplog) == [
        "8 files left out: upstream tells only MD5, SHA-1 or SHA-224 of them; allow-weak-hashes = true takes them",
        "4 files left out: upstream tells no digest of them; allow-unhashed = true takes them unchecked",
    ]
    assert files_on_page(rig, "project-0") == []
    assert len(files_on_page(rig, "good")) == 1
    caplog.clear()
    assert rig.run().failures == []
    assert told(caplog) == []


@pytest.mark.parametrize(("option", "hashes"), [("allow_weak_hashes", ("md5",)), ("allow_unhashed", NONE)])
def test_the_option_that_is_set_later_takes_them(
    rig: Rig, pypi: FakePyPI, option: str, hashes: tuple[str, ...]
) -> None:
    pypi.dialect = Dialect(hashes=hashes)
    pypi.add_file("foo", "1.0")
    assert rig.run().failures == []
    assert files_on_page(rig) == []
    run(rig, **{option: "true"})


@pytest.mark.parametrize("allowed", ["true", "false"])
def test_the_legacy_json_has_the_files_that_the_page_has(rig: Rig, pypi: FakePyPI, allowed: str) -> None:
    pypi.dialect = Dialect(hashes=("md5",))
    file = pypi.add_file("foo", "1.0")
    for _ in range(2):
        assert rig.run(json="true", allow_weak_hashes=allowed).failures == []
        document = json.loads((rig.web / "json/foo").read_bytes())
        names = [file.filename] if allowed == "true" else []
        assert [entry["filename"] for entry in document["urls"]] == names
        assert list(document["releases"]) == ["1.0"] * len(names)
        rig.resync()


def test_what_is_here_stays_without_the_option(rig: Rig, pypi: FakePyPI) -> None:
    pypi.dialect = Dialect(hashes=("md5",))
    pypi.add_file("foo", "1.0", kind="sdist")
    run(rig, **ALLOWED)
    pypi.clear_requests()
    pypi.yank("foo", "1.0")
    run(rig)
    assert pypi.file_requests() == []


def test_a_page_that_turns_from_sha_256_to_md5_loses_nothing(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0", kind="sdist")
    run(rig)
    pypi.clear_requests()
    pypi.dialect = Dialect(hashes=("md5",))
    pypi.yank("foo", "1.0")
    run(rig)
    assert pypi.file_requests() == []


def test_a_weak_digest_that_changes_is_suspicious(rig: Rig, pypi: FakePyPI) -> None:
    pypi.dialect = Dialect(hashes=("md5",))
    file = pypi.add_file("foo", "1.0", kind="sdist")
    run(rig, **ALLOWED)
    before = rig.tree()
    pypi.yank("foo", "1.0")
    page = Edit(lambda page: page["files"][0].update(hashes={"md5": "0" * 32}) or page)
    pypi.fault("/simple/foo/", page, times=None)
    (failure,) = rig.run(**ALLOWED).failures
    assert isinstance(failure.error, SuspiciousPageError)
    reason = f"upstream lists {file.filename} with MD5 {'0' * 32}, but the one published before has not"
    assert reason in str(failure.error)
    assert rig.tree().items() >= {path: page for path, page in before.items() if "foo" in path}.items()


def test_pages_with_links_to_upstream_tell_what_upstream_tells(rig: Rig, pypi: FakePyPI) -> None:
    pypi.dialect = Dialect(hashes=("md5", "sha1"))
    file = pypi.add_file("foo", "1.0")
    assert rig.run(**ALLOWED, release_files="false").failures == []
    assert files_on_page(rig)[0]["hashes"] == pypi.dialect.told_digests(file)
    html = (rig.web / "simple/foo/index.html").read_text()
    assert f"#sha1={pypi.dialect.told_digests(file)['sha1']}" in html


def test_pages_that_only_link_to_unhashed_files_say_nothing_of_those_that_were_here(rig: Rig, pypi: FakePyPI) -> None:
    pypi.dialect = Dialect(is_html_only=True, hashes=NONE)
    pypi.add_file("foo", "1.0")
    run(rig, **ALLOWED)
    for _ in range(2):
        assert rig.run(**ALLOWED, release_files="false", allow_removals=True).failures == []
        (entry,) = files_on_page(rig)
        assert (entry["hashes"], "size" in entry) == ({}, False)
        rig.resync()
    run(rig, **ALLOWED)


def test_pages_without_a_digest_have_links_without_one(rig: Rig, pypi: FakePyPI) -> None:
    pypi.dialect = Dialect(hashes=NONE)
    file = pypi.add_file("foo", "1.0")
    assert rig.run(**ALLOWED, release_files="false").failures == []
    assert f'href="{pypi.url}{file.url_path}"' in (rig.web / "simple/foo/index.html").read_text()


class WithoutDigests(StaticIndex):
    """An index whose pages tell no digests."""

    def _page(self, name: str) -> Answer:
        page = super()._page(name)
        return Answer(page.status, re.sub(rb"#sha256=\w+", b"", page.body), page.type)


def test_an_index_without_digests_and_serials_is_kept_current(rig: Rig) -> None:
    with served(WithoutDigests(Form(root=HTML, pages=HTML))) as index:
        rig.options |= {"master": index.url, "allow-unhashed": "true"}
        index.add("foo", "foo-1.0.tar.gz", "foo-1.1.tar.gz")
        assert rig.run().failures == []
        index.assert_held(rig.directory)
        index.asked()
        index.yank("foo", "foo-1.0.tar.gz")
        index.add("foo", "foo-1.2.tar.gz")
        assert rig.run().failures == []
        index.assert_held(rig.directory)
        assert [line for line in index.asked() if "/whl/" in line] == ["GET /whl/foo/foo-1.2.tar.gz 200"]
