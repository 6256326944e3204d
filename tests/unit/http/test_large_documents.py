"""A large document comes into one buffer where that is easy; all else is left to the ordinary way."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from bandersnatch.errors import BrokenBodyError, NotFoundError, TimeLimitError
from bandersnatch.http.fetcher import Fetcher
from bandersnatch.http.plain_body import BUFFER_BYTES
from bandersnatch.http.retries import RetryPolicy
from tests.support.builders import make_fetcher
from tests.support.fakepypi import Drip, ExtraBytes, FakePyPI, Fault, Reset, ShortBody, Stall, Status, UploadedFile
from tests.support.fetching import free_turns
from tests.support.rig import Rig

WORKERS = 2
CONTENT = bytes(range(256)) * (10 * BUFFER_BYTES // 1024)


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with closing(make_fetcher(workers=WORKERS)) as fetcher:
        yield fetcher


@pytest.fixture
def file(pypi: FakePyPI) -> UploadedFile:
    return pypi.add_file("large", "1.0", kind="sdist", content=CONTENT)


def read(fetcher: Fetcher, url: str, size: int = len(CONTENT)) -> bytes | None:
    """Return the document, or None where it does not come in this way; afterwards nobody has a turn."""
    with fetcher.stream_plainly(url, size) as body:
        content = None if body is None else b"".join(bytes(chunk) for chunk in body.chunks())
    assert free_turns(fetcher) == WORKERS
    return content


def test_a_document_comes_whole_and_its_connection_is_used_again(
    pypi: FakePyPI, fetcher: Fetcher, file: UploadedFile
) -> None:
    assert read(fetcher, pypi.url + file.url_path) == CONTENT
    with fetcher.stream_plainly(pypi.url + file.url_path, len(CONTENT)) as body:
        assert body is not None
        assert body.etag is not None
        assert body.offset == 0
        assert b"".join(bytes(chunk) for chunk in body.chunks()) == CONTENT
        assert body.is_whole
    assert len(fetcher.bulk._parked) == 1


def test_the_turn_is_free_before_the_last_piece_is_written(
    pypi: FakePyPI, fetcher: Fetcher, file: UploadedFile
) -> None:
    left = len(CONTENT)
    with fetcher.stream_plainly(pypi.url + file.url_path, len(CONTENT)) as body:
        assert body is not None
        for chunk in body.chunks():
            left -= len(chunk)
            assert free_turns(fetcher) == (WORKERS if left == 0 else WORKERS - 1)
    assert left == 0


def test_a_connection_that_was_not_read_to_its_end_is_closed(
    pypi: FakePyPI, fetcher: Fetcher, file: UploadedFile
) -> None:
    with fetcher.stream_plainly(pypi.url + file.url_path, len(CONTENT)) as body:
        assert body is not None
        next(body.chunks())
    assert not fetcher.bulk._parked
    assert read(fetcher, pypi.url + file.url_path) == CONTENT


@pytest.mark.parametrize("fault", [Status(302, {"Location": "/elsewhere"}), Status(503), ExtraBytes(1), Reset()])
def test_what_does_not_come_plainly_is_left_and_upstream_rests(
    pypi: FakePyPI, fetcher: Fetcher, file: UploadedFile, fault: Fault
) -> None:
    pypi.fault(file.url_path, fault)
    assert read(fetcher, pypi.url + file.url_path) is None
    assert read(fetcher, pypi.url + file.url_path) is None
    assert len(pypi.requests) == 1


def test_a_document_that_is_gone_does_not_let_upstream_rest(
    pypi: FakePyPI, fetcher: Fetcher, file: UploadedFile
) -> None:
    pypi.fault(file.url_path, Status(404))
    with pytest.raises(NotFoundError):
        read(fetcher, pypi.url + file.url_path)
    assert free_turns(fetcher) == WORKERS
    assert read(fetcher, pypi.url + file.url_path) == CONTENT
    assert len(pypi.requests) == 2


@pytest.mark.parametrize("fault", [ShortBody(1000), Reset(after_bytes=1000)])
def test_a_host_that_breaks_off_every_large_body_is_given_up(rig: Rig, pypi: FakePyPI, fault: Fault) -> None:
    policy = RetryPolicy(attempts=2, backoff_seconds=0, failures_until_down=5)
    for number in range(20):
        uploaded = pypi.add_file(f"large-{number}", "1.0", kind="sdist", content=bytes([number]) * 2 * BUFFER_BYTES)
        pypi.fault(uploaded.url_path, fault, times=None)
    rig.run(policy=policy, workers="2")
    assert len(pypi.file_requests()) < 30  # of sixty, if each file were tried as often as it may be


@pytest.mark.parametrize("url", ["/packages/x?y", "/packages/../x"])
def test_a_url_that_needs_a_second_look_is_left(pypi: FakePyPI, fetcher: Fetcher, url: str) -> None:
    assert read(fetcher, pypi.url + url) is None
    assert pypi.requests == []


@pytest.mark.parametrize("fault", [ShortBody(BUFFER_BYTES + 1), Reset(after_bytes=BUFFER_BYTES)])
def test_a_body_that_breaks_off_is_an_error_that_may_be_gone_on_after(
    pypi: FakePyPI, fetcher: Fetcher, file: UploadedFile, fault: Fault
) -> None:
    pypi.fault(file.url_path, fault)
    with pytest.raises(BrokenBodyError):
        read(fetcher, pypi.url + file.url_path)
    assert free_turns(fetcher) == WORKERS
    assert not fetcher.bulk._parked


def test_a_silent_upstream_is_an_error(pypi: FakePyPI, file: UploadedFile) -> None:
    pypi.fault(file.url_path, Stall(after_bytes=BUFFER_BYTES))
    with closing(make_fetcher(workers=WORKERS, timeout_seconds=0.2)) as fetcher:
        with pytest.raises(BrokenBodyError, match=r"no answer for 0\.2 s"):
            read(fetcher, pypi.url + file.url_path)
        assert free_turns(fetcher) == WORKERS


def test_a_body_that_drips_ends_with_the_time_limit(pypi: FakePyPI, file: UploadedFile) -> None:
    pypi.fault(file.url_path, Drip(1000))
    with (
        closing(make_fetcher(workers=WORKERS, global_timeout_seconds=0.2)) as fetcher,
        pytest.raises(TimeLimitError),
    ):
        read(fetcher, pypi.url + file.url_path)


def test_a_large_file_that_breaks_off_goes_on_from_there(rig: Rig, pypi: FakePyPI, file: UploadedFile) -> None:
    pypi.fault(file.url_path, ShortBody(BUFFER_BYTES * 2))
    assert rig.run().failures == []
    first, second = pypi.file_requests()
    assert "Range" not in first.headers
    begin = int(second.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < begin <= BUFFER_BYTES * 2
    rig.assert_matches()
