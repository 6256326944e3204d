"""Where files come from, and how long they may take: download-mirror and global-timeout."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from bandersnatch.errors import TimeLimitError
from bandersnatch.project.file_receiver import RESUME_MIN_BYTES
from bandersnatch.upstream.file_sources import FileSources
from tests.support.fakepypi import Dialect, Drip, FakePyPI, Fault, ShortBody, Status, UploadedFile, WrongBytes
from tests.support.rig import Rig

UPSTREAM = "https://files.example/packages/aa/bb/foo-1.0.tar.gz?x"
LARGE = 3 * RESUME_MIN_BYTES


@pytest.fixture
def other() -> Iterator[FakePyPI]:
    """A mirror of the files."""
    with FakePyPI() as fake:
        yield fake


def add_to_both(pypi: FakePyPI, other: FakePyPI) -> UploadedFile:
    """Upload a file whose core metadata is not in the wheel."""
    other.add_file("foo", "1.0", metadata_in_wheel=False)
    return pypi.add_file("foo", "1.0", metadata_in_wheel=False)


def asked_for(pypi: FakePyPI) -> list[str]:
    return [request.path for request in (*pypi.file_requests(), *pypi.metadata_requests())]


@pytest.mark.parametrize(
    ("sources", "urls"),
    [
        (FileSources(), (UPSTREAM,)),
        (FileSources("https://m.example"), ("https://m.example/packages/aa/bb/foo-1.0.tar.gz", UPSTREAM)),
        (
            FileSources("https://m.example/x", has_fallback=False),
            ("https://m.example/x/packages/aa/bb/foo-1.0.tar.gz",),
        ),
    ],
)
def test_places_of_a_file_have_an_order(sources: FileSources, urls: tuple[str, ...]) -> None:
    assert sources.urls(UPSTREAM) == urls


def test_the_mirror_of_files_is_asked_first(rig: Rig, pypi: FakePyPI, other: FakePyPI) -> None:
    file = add_to_both(pypi, other)
    rig.run(download_mirror=f"{other.url}/")
    rig.assert_matches()
    assert asked_for(pypi) == []
    assert asked_for(other) == [file.url_path, f"{file.url_path}.metadata"]


@pytest.mark.parametrize("fault", [Status(404), Status(503), ShortBody(20), WrongBytes()])
def test_upstream_has_what_the_mirror_of_files_has_not(rig: Rig, pypi: FakePyPI, other: FakePyPI, fault: Fault) -> None:
    add_to_both(pypi, other)
    other.fault("*", fault, times=None)
    assert rig.run(download_mirror=other.url).failures == []
    rig.assert_matches()


def test_a_mirror_of_files_that_is_down_is_no_outage(rig: Rig, pypi: FakePyPI) -> None:
    for number in range(25):
        pypi.add_file(f"project-{number}", "1.0")
    report = rig.run(download_mirror="http://127.0.0.1:9")
    assert (report.failures, report.outage) == ([], None)
    rig.assert_matches()


def test_without_fallback_upstream_is_not_asked(rig: Rig, pypi: FakePyPI, other: FakePyPI) -> None:
    add_to_both(pypi, other)
    other.fault("*", Status(404), times=None)
    rig.options |= {"download-mirror": other.url, "download-mirror-no-fallback": "true"}
    assert len(rig.run().failures) == 1
    assert asked_for(pypi) == []
    other.clear_faults()
    assert rig.run().failures == []
    rig.assert_matches()
    assert asked_for(pypi) == []


def test_what_has_no_digest_is_taken_from_the_index_alone(rig: Rig, pypi: FakePyPI, other: FakePyPI) -> None:
    pypi.dialect = Dialect(hashes=())
    add_to_both(pypi, other)
    other.fault("*", WrongBytes(), times=None)
    assert rig.run(download_mirror=other.url, allow_unhashed="true").failures == []
    rig.assert_matches()
    assert other.file_requests() == []


def test_what_is_there_is_asked_of_nobody(rig: Rig, pypi: FakePyPI, other: FakePyPI) -> None:
    add_to_both(pypi, other)
    rig.run()
    rig.resync()
    pypi.clear_requests()
    rig.run(download_mirror=other.url, compare_method="hash")
    assert asked_for(pypi) == asked_for(other) == []


def test_a_drip_ends(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", content=b"x" * 5000, kind="sdist")
    pypi.fault(file.url_path, Drip(), times=None)
    (failure,) = rig.run(global_timeout="0.5").failures
    assert isinstance(failure.error, TimeLimitError)
    assert str(failure.error).endswith(": incomplete after 0.5 s, the global-timeout")
    assert len(pypi.file_requests()) == 3
    pypi.clear_faults()
    assert rig.run(global_timeout="0").failures == []
    rig.assert_matches()


def test_a_page_that_drips_ends_too(rig: Rig, pypi: FakePyPI) -> None:
    pypi.add_file("foo", "1.0")
    pypi.fault("/simple/foo/", Drip(), times=None)
    (failure,) = rig.run(global_timeout="0.5").failures
    assert isinstance(failure.error, TimeLimitError)


@pytest.mark.slow
@pytest.mark.measured
def test_a_large_file_on_a_slow_line_gets_there_piece_by_piece(rig: Rig, pypi: FakePyPI) -> None:
    """Each attempt brings more than a part that is worth going on with, and four of them are more than broke off."""
    file = pypi.add_file("foo", "1.0", content=b"x" * (6 * RESUME_MIN_BYTES), kind="sdist")
    pypi.fault(file.url_path, Drip(RESUME_MIN_BYTES + 1000), times=4)
    assert rig.run(global_timeout="0.5").failures == []
    rig.assert_matches()
    ranges = [request.headers.get("Range", "bytes=0-") for request in pypi.file_requests()]
    begins = [int(text.removeprefix("bytes=").partition("-")[0]) for text in ranges]
    assert len(begins) == 5
    assert all(later - earlier > RESUME_MIN_BYTES for earlier, later in pairwise(begins))


@pytest.mark.slow
@pytest.mark.measured
def test_what_came_in_time_is_not_fetched_again_by_the_next_run(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", content=b"x" * LARGE, kind="sdist")
    pypi.fault(file.url_path, Drip(RESUME_MIN_BYTES), Drip(1), Drip(1), Drip(1))
    assert len(rig.run(global_timeout="0.5").failures) == 1
    pypi.clear_faults()
    pypi.clear_requests()
    assert rig.run().failures == []
    rig.assert_matches()
    (request,) = pypi.file_requests()
    assert int(request.headers["Range"].removeprefix("bytes=").rstrip("-")) >= RESUME_MIN_BYTES
