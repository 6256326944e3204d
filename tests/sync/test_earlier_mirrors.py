"""The code continues a mirror that earlier code has written: it fetches what has changed, and checks nothing again."""

from collections.abc import Iterator

import pytest

from tests.support.earlier_mirrors import ALL_OPTIONS, BEHIND, DONE, LARGE, UNFINISHED, WHOLE, EarlierIndex, unpack
from tests.support.rig import Rig

OUR_RECORDS = ("state", "todo", "inventory.sqlite", ".lock", ".unfinished", "web/last-modified", "web/changes/")
"""What any run may write, below the mirror's directory; the first one begins the static journal."""


@pytest.fixture
def pypi() -> Iterator[EarlierIndex]:
    with EarlierIndex() as fake:
        fake.tell_second_run()
        yield fake


NEW_FILES = {"web/local.json", "web/local.db.serial"}
"""With legacy JSON, a mirror has these since."""


def files(rig: Rig) -> dict[str, tuple[int, ...]]:
    """Return sizes, inodes and times of all that is no record of ours; folders get a new time by what is put into them."""
    found = {path.removeprefix(f"{rig.directory}/"): stamp for path, stamp in rig.stamps().items()}
    return {
        path: stamp
        for path, stamp in found.items()
        if not path.startswith(OUR_RECORDS) and not (rig.directory / path).is_dir()
    }


def differing(before: dict[str, tuple[int, ...]], after: dict[str, tuple[int, ...]]) -> set[str]:
    """Return the paths of what was written, made or deleted, but for what the code of that time did not make at all."""
    found = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return found - (NEW_FILES - before.keys())


def asked(pypi: EarlierIndex) -> list[str]:
    """Return what was asked for; calls of XML-RPC by the names of their methods."""
    return sorted(request.rpc_method or request.path for request in pypi.requests)


def assert_matches(rig: Rig) -> None:
    if rig.options.keys() & ALL_OPTIONS:  # the tree has another form; verification reads it
        result = rig.call("verify")
        assert result.returncode == 0, result.stdout + result.stderr
    else:
        rig.assert_matches()


@pytest.mark.quick
@pytest.mark.parametrize("name", WHOLE)
def test_nothing_new_is_one_request_and_no_write(
    rig: Rig, pypi: EarlierIndex, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    unpack(name, rig)
    before = files(rig)
    assert rig.run().failures == []
    assert asked(pypi) == ["changelog_since_serial"]
    assert differing(before, files(rig)) == set()
    assert caplog.messages == []
    assert_matches(rig)


@pytest.mark.usefixtures("in_processes_or_not")
@pytest.mark.parametrize("name", WHOLE)
def test_of_one_change_only_its_page_and_file_are_asked_for(rig: Rig, pypi: EarlierIndex, name: str) -> None:
    unpack(name, rig)
    before = files(rig)
    file = pypi.add_file("Zeta_Tools", "2.0")
    assert rig.run().failures == []
    with_json = ["/pypi/zeta-tools/json"] if name == "options" else []
    pages = [path for path in asked(pypi) if path.startswith("/")]
    assert pages == [file.url_path, *with_json, "/simple/zeta-tools/"]
    assert {request.status for request in pypi.requests} == {200}
    changed = differing(before, files(rig))
    places = (f"web{file.url_path}", "web/simple/index.", "web/json/zeta-tools", "web/pypi/zeta-tools/")
    page = "web/simple/z/zeta-tools/" if name == "options" else "web/simple/zeta-tools/"
    assert {path for path in changed if not path.startswith((*places, page))} == set()
    assert_matches(rig)


@pytest.mark.parametrize("name", WHOLE)
def test_a_full_resync_finds_all_pages_unchanged_and_downloads_nothing(rig: Rig, pypi: EarlierIndex, name: str) -> None:
    unpack(name, rig)
    before = files(rig)
    rig.resync()
    assert rig.run().failures == []
    without_page = {"/simple/empty/", "/simple/suspect/"} if name == "options" else set()
    assert {each.path for each in pypi.page_requests() if each.status != 304} == without_page
    assert pypi.file_requests() == pypi.metadata_requests() == []
    assert differing(before, files(rig)) == set()
    assert_matches(rig)


@pytest.mark.parametrize("is_lost", [False, True], ids=["with its part", "part lost"])
@pytest.mark.usefixtures("in_processes_or_not")
def test_an_unfinished_run_is_finished(rig: Rig, pypi: EarlierIndex, *, is_lost: bool) -> None:
    unpack(UNFINISHED, rig)
    pypi.tell_unfinished_run()
    if is_lost:
        for part in rig.directory.rglob("*.part"):
            part.unlink()
    before = files(rig)
    extra = pypi.add_file("Zeta_Tools", "2.0")
    assert rig.run().failures == []
    wanted = {LARGE, *BEHIND}
    assert {path for path in asked(pypi) if path.startswith("/simple/")} == {
        f"/simple/{project}/" for project in {*wanted, "zeta-tools"}
    }
    new_files = {file.url_path for project in wanted for file in pypi.files(project)} | {extra.url_path}
    assert sorted(request.path for request in pypi.file_requests()) == sorted(new_files)
    for project in DONE:
        (file,) = pypi.files(project)
        assert f"web{file.url_path}" in before
    changed = differing(before, files(rig))
    places = [f"web/simple/{project}/" for project in (*wanted, "zeta-tools")]
    places += [f"web{path}" for path in new_files]
    assert {path for path in changed if not path.startswith((*places, "web/simple/index."))} == set()
    assert list(rig.directory.rglob("*.part")) == []
    rig.assert_matches()


@pytest.mark.usefixtures("in_processes_or_not")
def test_a_download_goes_on_from_where_earlier_code_left_it(rig: Rig, pypi: EarlierIndex) -> None:
    unpack(UNFINISHED, rig)
    pypi.tell_unfinished_run()
    (part,) = rig.directory.rglob("*.part")
    size = part.stat().st_size
    assert rig.run().failures == []
    (large,) = pypi.files(LARGE)
    (request,) = [each for each in pypi.file_requests() if each.path == large.url_path]
    assert (request.status, request.headers["Range"]) == (206, f"bytes={size}-")
    rig.assert_matches()
