"""The index of the benchmarks: the same each time, and right."""

import io
import json
import shutil
import socket
import ssl
import tarfile
import xmlrpc.client
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bandersnatch.project.wheel_metadata import read_wheel_metadata
from benchmarks.archives import Archive
from benchmarks.certificate import make_certificate, trusting
from benchmarks.dataset import File, Size, upload
from benchmarks.forms import FORMS, Form
from benchmarks.index import build, build_twin, load_or_build
from benchmarks.rpc import Journal
from benchmarks.server import config_of
from tests.support.small_index import SMALL, make

URL = "http://127.0.0.1:9"
SECURE_URL = "https://127.0.0.1:9"


def keep_nothing(file: File, archive: Archive) -> None:
    pass


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


def test_over_tls_an_index_has_the_same_files_and_pages_that_name_them_there(tmp_path: Path) -> None:
    index = build(tmp_path / "index", URL, SMALL)
    twin = build_twin(index, tmp_path / "twin", SECURE_URL, replace(SMALL, name="twin"))
    assert (index.is_secure, twin.is_secure) == (False, True)
    for project in twin.projects:
        page = json.loads((twin.www / "simple" / project.name / "index.v1_json").read_bytes())
        urls = [file["url"] for file in page["files"]]
        assert [url.startswith(f"{SECURE_URL}/packages/") for url in urls] == [True] * len(project.files)
        for url in urls:
            assert (twin.www / url.removeprefix(f"{SECURE_URL}/")).is_file()
    build_twin(index, tmp_path / "twin", SECURE_URL, SMALL)  # a second making leaves the files of the first index
    assert all((index.www / file.path).is_file() for file in index.files)


def test_tls_and_http_2_are_on_only_where_the_url_says_so(tmp_path: Path) -> None:
    index = build(tmp_path / "index", URL, SMALL)
    assert "ssl" not in config_of(index, 9, 0)
    config = config_of(index, 9, 0, Path("/certificate.pem"))
    assert "listen 127.0.0.1:9 ssl http2 backlog=1024;" in config
    assert "ssl_certificate /certificate.pem; ssl_certificate_key /certificate.pem;" in config


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
def test_certificate_is_for_the_loopback_address_and_is_trusted_by_it_alone(tmp_path: Path) -> None:
    path = make_certificate(tmp_path)
    assert set(trusting(path).values()) == {str(path)}
    server_side, client_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    server_side.load_cert_chain(path)
    client_side.load_verify_locations(path)
    ours, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as executor, ours, theirs:
        serving = executor.submit(server_side.wrap_socket, theirs, server_side=True)
        with client_side.wrap_socket(ours, server_hostname="127.0.0.1") as client, serving.result():
            assert client.version() == "TLSv1.3"


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


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_an_index_in_another_form_tells_no_more_than_that_form_has(tmp_path: Path, form: Form) -> None:
    index = build_twin(build(tmp_path / "plain", URL, SMALL), tmp_path / "twin", URL, SMALL, form)
    before = {path: path.read_bytes() for path in (index.www / "simple").rglob("*.v1_json")}
    root = json.loads(before[index.www / "simple" / "index.v1_json"])
    page = json.loads(before[index.www / "simple" / index.projects[0].name / "index.v1_json"])
    assert ("_last-serial" in root["meta"]) is (form.has_serials or form.has_whole_serial)
    assert ("_last-serial" in root["projects"][0]) is ("_last-serial" in page["meta"]) is form.has_serials
    assert ("size" in page["files"][0]) is ("versions" in page) is form.has_serials
    config = config_of(index, 9, 0)
    assert ("return 405;" in config) is not form.has_journal
    index.upload(0.5, 1)
    index.put_back()
    assert {path: path.read_bytes() for path in before} == before
