"""What was found out about an index without serials."""

import pytest
from msgspec.structs import replace

from bandersnatch.names import NormalizedName
from bandersnatch.plan.reached import OwnSerials
from bandersnatch.state.upstream_record import MOST_UNLISTED, UpstreamRecord, load_upstream, save_upstream
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import UPSTREAM

URL = "https://index.example"


def test_it_is_found_again(storage: FilesystemStorage) -> None:
    record = UpstreamRecord(URL, URL, has_root=False, etag='"a"', whole_serial=7, unlisted=("foo",))
    save_upstream(storage, record)
    assert load_upstream(storage, URL) == record


def test_it_is_of_one_index(storage: FilesystemStorage) -> None:
    save_upstream(storage, UpstreamRecord(URL, URL))
    assert load_upstream(storage, "https://other.example") is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"url":"https://index.example","simple_url":"https://evil.example"}',
        b'{"url":"https://index.example","simple_url":"https://index.example","whole_serial":"x"}',
        b'{"url":"https://index.example","simple_url":"https://index.example","more":1}',
    ],
)
def test_one_that_was_edited_counts_as_none(storage: FilesystemStorage, text: bytes) -> None:
    storage.save(UPSTREAM, [text])
    assert load_upstream(storage, URL) is None


def test_an_etag_that_is_none_is_not_sent(storage: FilesystemStorage) -> None:
    storage.save(UPSTREAM, [b'{"url":"https://index.example","simple_url":"https://index.example","etag":"*\\n"}'])
    assert load_upstream(storage, URL) == UpstreamRecord(URL, URL)


def test_what_no_list_has_is_kept_after_a_complete_run_unless_it_is_much() -> None:
    record = UpstreamRecord(URL, URL, etag='"a"', whole_serial=7, unlisted=("old",))
    own = OwnSerials(8, record)
    names = [NormalizedName(f"project-{number}") for number in range(MOST_UNLISTED + 1)]
    assert own.recorded(is_complete=True, unlisted=names[1::-1]) == replace(record, unlisted=("project-0", "project-1"))
    for left in (own.recorded(is_complete=True, unlisted=names), own.recorded(is_complete=False, unlisted=names[:1])):
        assert left == UpstreamRecord(URL, URL)
