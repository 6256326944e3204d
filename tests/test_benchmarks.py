"""The parts of the benchmarks that say something by themselves: the same index each time, and sums that are right."""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import xmlrpc.client
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bandersnatch.wheel_metadata import read_wheel_metadata
from benchmarks.archives import Archive
from benchmarks.check import Expected, WrongMirrorError, check_files, check_mirror
from benchmarks.clients import Wishes, write_config
from benchmarks.dataset import File, Project, Size, make_projects, upload
from benchmarks.index import build, load_or_build
from benchmarks.measure import Request, Usage, count_kinds, read_requests
from benchmarks.report import render
from benchmarks.results import Result, Results, Session, at_least, at_most, exactly, load, ratio, save, wall
from benchmarks.rpc import Journal
from benchmarks.scenarios import ORDER, SCENARIOS
from benchmarks.scenarios.growth import deviation
from benchmarks.scenarios.killed import count_repeated, has_asked_for
from benchmarks.server import REPOSITORY

SMALL = Size("small", projects=4, files=15, file_bytes=(3_000, 5_000), largest_project=6)
URL = "http://127.0.0.1:9"


def make(size: Size = SMALL) -> tuple[tuple[Project, ...], dict[str, tuple[File, Archive]]]:
    kept: dict[str, tuple[File, Archive]] = {}
    projects = tuple(make_projects(size, lambda file, archive: kept.update({file.path: (file, archive)})))
    return projects, kept


def keep_nothing(file: File, archive: Archive) -> None:
    pass


# The index


def test_every_making_makes_the_same() -> None:
    assert make() == make()


def test_files_are_what_is_told_of_them() -> None:
    _, kept = make()
    assert len(kept) == SMALL.files
    for file, archive in kept.values():
        assert (file.size, file.sha256) == (len(archive.content), sha256(archive.content).hexdigest())
        low, high = SMALL.file_bytes
        assert low * 0.7 < file.size < high * 1.3


def test_two_thirds_are_wheels_that_hold_the_metadata_that_is_told() -> None:
    _, kept = make()
    wheels = [(file, archive) for file, archive in kept.values() if file.filename.endswith(".whl")]
    assert len(wheels) == 10
    for file, archive in wheels:
        metadata = read_wheel_metadata(io.BytesIO(archive.content))
        assert metadata is not None
        assert metadata == archive.core_metadata
        assert file.metadata_sha256 == sha256(metadata).hexdigest()
        with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
            assert opened.testzip() is None


def test_sdists_can_be_unpacked() -> None:
    _, kept = make()
    sdists = [(file, archive) for file, archive in kept.values() if file.filename.endswith(".tar.gz")]
    assert len(sdists) == 5
    for file, archive in sdists:
        with tarfile.open(fileobj=io.BytesIO(archive.content)) as opened:
            assert f"{file.filename.removesuffix('.tar.gz')}/PKG-INFO" in opened.getnames()


@given(projects=st.integers(2, 500), files=st.integers(0, 3_000), largest=st.integers(0, 600))
def test_all_files_belong_to_some_project(projects: int, files: int, largest: int) -> None:
    assume(files >= projects + largest)
    size = Size("any", projects, files, (1, 2), largest_project=largest)
    counts = [size.files_of(number) for number in range(projects)]
    assert sum(counts) == files
    others = counts[1:] if largest else counts
    assert max(others) - min(others) <= 1


def test_upload_adds_a_file_to_a_share_of_the_projects() -> None:
    projects, _ = make()
    once = upload(projects, 0.5, 1, SMALL, keep_nothing)
    changed = [number for number in range(4) if once[number] != projects[number]]
    assert changed == [1, 3]
    for number in changed:
        assert once[number].files[:-1] == projects[number].files
        assert once[number].files[-1].filename not in {file.filename for file in projects[number].files}
    assert projects[-1].serial < once[1].serial < once[3].serial


def test_second_upload_goes_on_from_the_first() -> None:
    projects, _ = make()
    once, twice = (upload(projects, 0.5, rounds, SMALL, keep_nothing) for rounds in (1, 2))
    assert (twice[1], twice[3]) == (once[1], once[3])
    assert (len(twice[0].files), len(twice[2].files)) == (len(once[0].files) + 1, len(once[2].files) + 1)


def served(folder: Path) -> dict[str, tuple[float, bytes]]:
    """Return what nginx answers and from when it seems to be, but for distribution files."""
    paths = [folder / "journal", folder / "serials.map", *folder.glob("www/simple/**/*"), *folder.glob("www/pypi/**/*")]
    return {str(path): (path.stat().st_mtime, path.read_bytes()) for path in paths if path.is_file()}


def test_index_that_was_changed_and_put_back_is_as_it_was(tmp_path: Path) -> None:
    index = build(tmp_path / "index", URL, SMALL)
    before = served(index.folder)
    index.upload(0.5, 1)
    assert served(index.folder) != before
    index.put_back()
    assert served(index.folder) == before


def test_index_of_a_session_that_died_is_put_back(tmp_path: Path) -> None:
    index = build(tmp_path / "index", URL, SMALL)
    before = served(index.folder)
    index.upload(0.5, 1)
    assert load_or_build(index.folder, URL, SMALL) == index
    assert served(index.folder) == before


def test_index_is_made_only_once(tmp_path: Path) -> None:
    index = build(tmp_path / "index", URL, SMALL)
    (index.folder / "of the first making").touch()
    assert load_or_build(index.folder, URL, SMALL) == index
    assert (index.folder / "of the first making").exists()


def test_index_at_another_url_is_made_anew(tmp_path: Path) -> None:
    index = build(tmp_path / "index", URL, SMALL)
    (index.folder / "of the first making").touch()
    load_or_build(index.folder, f"{URL}9", SMALL)
    assert not (index.folder / "of the first making").exists()


def test_xml_rpc_tells_of_projects_in_the_order_of_their_serials() -> None:
    journal = Journal("Later 7\nfirst 3\n")

    def call(method: str, *arguments: int) -> object:
        answer = journal.answer(xmlrpc.client.dumps(arguments, method).encode())
        return xmlrpc.client.loads(answer)[0][0]

    assert call("changelog_last_serial") == 7
    assert call("list_packages_with_serial") == {"Later": 7, "first": 3}
    assert call("changelog_since_serial", 7) == []
    changes = call("changelog_since_serial", 2)
    assert isinstance(changes, list)
    assert [(name, serial) for name, _, _, _, serial in changes] == [("first", 3), ("Later", 7)]
    assert len(call("changelog_since_serial", 3)) == 1  # type: ignore[arg-type]


# The access log

LOG = [
    'POST /pypi 200 120 "-"\n',
    'GET /simple/ 200 30 "-"\n',
    'GET /simple/one/ 304 0 "-"\n',
    'GET /packages/aa/bb/cc/one-1.0.tar.gz 206 50 "bytes=50-"\n',
    'GET /packages/aa/bb/cc/one-1.0-py3-none-any.whl.metadata 200 10 "-"\n',
    'GET /pypi/one/json 200 10 "-"\n',
]


def test_requests_are_counted_by_kind() -> None:
    assert count_kinds(read_requests(LOG)) == dict.fromkeys(("page", "file", "metadata", "xmlrpc", "json", "other"), 1)


def test_requests_for_a_part_are_told_from_others() -> None:
    assert [request.is_partial for request in read_requests(LOG)] == [False, False, False, True, False, False]


def test_half_way_is_when_so_many_files_were_sent(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(LOG[2])
    is_enough = has_asked_for(log, 2)
    assert not is_enough()
    for expected in (False, True):
        with log.open("a") as more:
            more.write(LOG[3])
        assert is_enough() is expected


def test_only_files_that_were_whole_count_as_fetched_twice() -> None:
    asked = [
        Request("GET", f"/packages/{name}", 200, 1, is_partial=is_partial)
        for name, is_partial in (("whole", False), ("missing", False), ("begun", True))
    ]
    facts = count_repeated({"packages/whole", "packages/left alone"}, 1)(asked)
    assert facts == {"whole": 2, "partial": 1, "fetched twice": 1, "resumed": 1}


# The check of a mirror


def mirror_files(folder: Path) -> list[File]:
    _, kept = make()
    for path, (_, archive) in kept.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(archive.content)
    return [file for file, _ in kept.values()]


def test_right_files_pass(tmp_path: Path) -> None:
    check_files(tmp_path, mirror_files(tmp_path), has_metadata=False)


def test_leftover_is_found(tmp_path: Path) -> None:
    files = mirror_files(tmp_path)
    (tmp_path / files[0].path).with_name(".begun.part").touch()
    with pytest.raises(WrongMirrorError, match=r"begun\.part should not be there"):
        check_files(tmp_path, files, has_metadata=False)


def test_missing_file_is_found(tmp_path: Path) -> None:
    files = mirror_files(tmp_path)
    (tmp_path / files[0].path).unlink()
    with pytest.raises(WrongMirrorError, match="is missing"):
        check_files(tmp_path, files, has_metadata=False)


def test_missing_core_metadata_is_found(tmp_path: Path) -> None:
    with pytest.raises(WrongMirrorError, match=r"\.metadata is missing"):
        check_files(tmp_path, mirror_files(tmp_path), has_metadata=True)


def test_wrong_byte_is_found(tmp_path: Path) -> None:
    files = mirror_files(tmp_path)
    with (tmp_path / files[0].path).open("r+b") as content:
        content.seek(-1, os.SEEK_END)
        content.write(b"?")
    with pytest.raises(WrongMirrorError, match="sha256"):
        check_files(tmp_path, files, has_metadata=False)


class Handler(BaseHTTPRequestHandler):
    """Answers as the index does that is in the server's folder."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_POST(self) -> None:
        call = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, Journal((self.folder / "journal").read_text()).answer(call), "text/xml")

    def do_GET(self) -> None:
        page = "index.v1_json" if self.path.endswith("/") else ""
        path = self.folder / "www" / self.path.lstrip("/") / page
        kind = "application/vnd.pypi.simple.v1+json" if page else "application/octet-stream"
        self.answer(200, path.read_bytes(), kind) if path.exists() else self.answer(404, b"", kind)

    def answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Expected]:
    """Return a mirror of a made-up index, and what must be in it."""
    folder = tmp_path_factory.mktemp("synced")
    handler = type("OfThisIndex", (Handler,), {"folder": folder / "index"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        index = build(folder / "index", f"http://127.0.0.1:{server.server_port}", SMALL)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            config = write_config(folder / "mirror", index, Wishes())
            command = [sys.executable, "-m", "bandersnatch", "--quiet", "-c", str(config), "mirror"]
            subprocess.run(command, check=True, cwd=REPOSITORY)
        finally:
            server.shutdown()
            serving.join()
    return folder / "mirror", Expected(index.projects)


def test_whole_mirror_passes(synced: tuple[Path, Expected]) -> None:
    check_mirror(*synced, "state")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


PAGE, ROOT = "web/simple/bench-000001", "web/simple"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "old state": (lambda mirror: (mirror / "state").write_text("1\n"), "state: 1 and not"),
    "work left": (lambda mirror: (mirror / "todo").touch(), "todo: there is work left"),
    "page missing": (lambda mirror: (mirror / PAGE / "index.html").unlink(), "index.html is missing"),
    "page left over": (lambda mirror: (mirror / PAGE / ".x.part").touch(), "x.part should not be there"),
    "project left over": (lambda mirror: (mirror / ROOT / "gone").mkdir(), "gone should not be there"),
    "old page": (
        lambda mirror: change(mirror / PAGE / "index.v1_json", '"_last-serial":2', '"_last-serial":1'),
        "serial",
    ),
    "wrong digest": (
        lambda mirror: change(mirror / PAGE / "index.v1_json", '"sha256":"', '"sha256":"0'),
        "bench_000001",
    ),
    "wrong link": (lambda mirror: change(mirror / PAGE / "index.html", "packages/", "elsewhere/"), "index.html"),
    "not in root": (lambda mirror: change(mirror / ROOT / "index.html", "bench-000001", "other"), "root index"),
    "not in JSON root": (lambda mirror: change(mirror / ROOT / "index.v1_json", "ench_000001", "other"), "root index"),
    "file missing": (lambda mirror: next(mirror.glob("web/packages/*/*/*/*.whl")).unlink(), "is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_a_mirror_is_found(synced: tuple[Path, Expected], tmp_path: Path, damage: str) -> None:
    mirror, expected = tmp_path / "mirror", synced[1]
    shutil.copytree(synced[0], mirror)
    make_damage, message = DAMAGES[damage]
    make_damage(mirror)
    with pytest.raises(WrongMirrorError, match=re.escape(message)):
        check_mirror(mirror, expected, "state")


# Sums


def result(
    case: str = "B1",
    client: str = "ours",
    seconds: float = 1.0,
    requests: Mapping[str, int] | None = None,
    problem: str | None = None,
    facts: Mapping[str, float] | None = None,
) -> Result:
    counted = count_kinds([]) | dict(requests or {})
    return Result(
        case, client, Usage(0, seconds, seconds, 50_000_000), counted, 1_000_000, problem, facts or {"needed": 33}
    )


def test_median_is_of_good_runs_only() -> None:
    results = Results(
        [result(seconds=3), result(seconds=1), result(seconds=2), result(seconds=0.1, problem="status 1")]
    )
    assert results.median(wall, "B1") == 2
    assert results.worst(wall, "B1") == 3
    assert results.median(wall, "B1", "curl") is None


def test_targets_say_whether_they_are_met() -> None:
    assert at_most("B1", "", 2.0, 2.0).is_met is True
    assert at_most("B1", "", 2.1, 2.0).is_met is False
    assert at_least("B1", "", 0.84, 0.85).is_met is False
    assert exactly("B1", "", 3, 3).is_met is True
    assert exactly("B1", "", 4, 3).is_met is False


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    nothing = Results([])
    targets = [target for scenario in SCENARIOS.values() for target in scenario.targets(nothing)]
    assert {target.scenario for target in targets} == set(SCENARIOS)
    assert {(target.measured, target.is_met) for target in targets} == {("not measured", None)}
    assert ratio(None, 1) is None
    assert ratio(1, None) is None
    assert ratio(1, -0.01) is None


def test_first_sync_is_compared_with_the_peer_and_with_curl() -> None:
    requests, needed = {"page": 10, "file": 20, "xmlrpc": 3}, {"needed": 33}
    runs = [
        result(seconds=5, requests=requests, facts=needed),
        result(client="bandersnatch 8.0.0", seconds=21),
        result(client="curl", seconds=2, requests={"file": 20}),
    ]
    assert [target.is_met for target in SCENARIOS["B1"].targets(Results(runs))] == [True, True, True]
    slower = [replace(runs[0], usage=replace(runs[0].usage, wall_seconds=5.3)), *runs[1:]]
    assert [target.is_met for target in SCENARIOS["B1"].targets(Results(slower))] == [False, False, True]
    for more in ({"metadata": 1}, {"page": 20}):
        needless = [result(seconds=5, requests={**requests, **more}, facts=needed), *runs[1:]]
        assert [target.is_met for target in SCENARIOS["B1"].targets(Results(needless))] == [True, True, False]


def test_a_scenario_of_which_a_run_went_wrong_meets_nothing() -> None:
    good = result("B3", seconds=0.1, requests={"xmlrpc": 1})
    wrong = result("B3", seconds=0.1, requests={"xmlrpc": 1}, problem="exit status 4")
    assert "| yes |" in render({"B3": Session("B3", "2026-01-01 00:00", {}, (good,))}, {})
    text = render({"B3": Session("B3", "2026-01-01 00:00", {}, (good, wrong))}, {})
    assert "| yes |" not in text
    assert "**no**, a run was wrong" in text


def test_deviation_is_a_part_of_the_mean() -> None:
    assert deviation([0.8, 1.0, 1.2]) == pytest.approx(0.2)
    assert deviation([2.0, None]) is None


def test_order_has_every_scenario_once() -> None:
    assert sorted(ORDER) == sorted(SCENARIOS)


# The report


def session(*results: Result) -> Session:
    return Session("B1", "2026-01-01 00:00", {"ours": "1.0"}, results)


def test_sessions_are_kept(tmp_path: Path) -> None:
    sessions = {"B1": session(result(), result(client="curl", problem="exit status 7"))}
    save(tmp_path / "results.json", sessions)
    assert load(tmp_path / "results.json") == sessions
    assert load(tmp_path / "other.json") == {}


def test_report_has_medians_ratios_and_problems() -> None:
    runs = [result(seconds=seconds, requests={"page": 7}) for seconds in (2.0, 4.0, 3.0)]
    runs += [result(client="curl", seconds=1.5), result(client="bandersnatch 8.0.0", problem="exit status 7")]
    text = render({"B1": session(*runs)}, {"cores": "2"})
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| B1 ")]
    measured = {row[1]: row for row in rows if len(row) > 4}
    assert measured["ours"][2] == "3.00 (2.00, 3.00, 4.00)"
    assert measured["ours"][5:11] == ["7", "0", "0", "0", "0", "0"]
    assert measured["ours"][-2:] == ["1.00", "2.00"]
    assert measured["bandersnatch 8.0.0"][2] == "wrong"
    assert "bandersnatch 8.0.0: **wrong**: exit status 7" in text
    assert ["B1", "wall at most 2.5 times curl's", "2", "yes"] in rows


def test_missed_target_stands_out() -> None:
    runs = [result(seconds=9), result(client="curl", seconds=1)]
    assert "| B1 | wall at most 2.5 times curl's | 9 | **no** |" in render({"B1": session(*runs)}, {})
