"""Which files may be mirrored, by what upstream tells of their content, and what our own page knows of them."""

import hashlib

import pytest

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.model import DistributionFile
from bandersnatch.pages.stored_page import HeldFile, StoredPage
from bandersnatch.project.hash_rules import accepted, with_held_facts
from bandersnatch.project.report import NONE_REFUSED, RefusedFiles
from bandersnatch.storage.layout import file_path
from tests.support.builders import SHA256, WHEEL, make_file, make_page

DIGESTS = {name: hashlib.new(name, b"content").hexdigest() for name in ("md5", "sha1", "sha224", "sha384", "sha512")}
WEAK, STRONG = ("md5", "sha1", "sha224"), ("sha384", "sha512")


def hashed_by(*algorithms: str) -> DistributionFile:
    return make_file(hashes={name: DIGESTS[name] for name in algorithms}, size=None)


def held(file: DistributionFile, **hashes: str) -> StoredPage:
    return StoredPage(
        7, (HeldFile(file_path(file), 7, hashes, has_metadata=False, upload_time="2024-01-01T00:00:00Z"),)
    )


def known_files(file: DistributionFile, page: StoredPage) -> tuple[DistributionFile, ...]:
    return with_held_facts(make_page(file), page, names_count=True).files


def refused(file: DistributionFile, *published: str, **options: bool) -> RefusedFiles:
    page, refused = accepted(make_page(make_file("sample-2.0.zip"), file), PagesConfig(**options), published)  # type: ignore[arg-type]  # all of them are bool
    assert len(page.files) == 2 - refused.weak - refused.unhashed
    return refused


@pytest.mark.parametrize("algorithm", WEAK)
def test_a_file_with_a_weak_digest_needs_the_option(algorithm: str) -> None:
    assert refused(hashed_by(algorithm)) == refused(hashed_by(algorithm), allow_unhashed=True) == RefusedFiles(weak=1)
    assert refused(hashed_by(algorithm), allow_weak_hashes=True) == NONE_REFUSED


def test_a_file_without_a_digest_needs_an_option_of_its_own() -> None:
    assert refused(hashed_by()) == refused(hashed_by(), allow_weak_hashes=True) == RefusedFiles(unhashed=1)
    assert refused(hashed_by(), allow_unhashed=True) == NONE_REFUSED


def test_a_digest_that_nobody_knows_counts_as_none() -> None:
    assert refused(make_file(hashes={"blake9": "00"})) == RefusedFiles(unhashed=1)


@pytest.mark.parametrize("algorithm", STRONG)
def test_a_strong_digest_needs_no_option(algorithm: str) -> None:
    assert refused(hashed_by(algorithm)) == refused(hashed_by(algorithm, "md5")) == NONE_REFUSED


def test_a_file_that_is_published_stays() -> None:
    assert refused(hashed_by("md5"), WHEEL) == NONE_REFUSED


@pytest.mark.parametrize("algorithms", [("sha256", "sha512"), ("md5", "sha256")])
def test_a_file_is_checked_by_sha_256_if_there_is_one(algorithms: tuple[str, ...]) -> None:
    file = make_file(hashes={name: {**DIGESTS, "sha256": SHA256}[name] for name in algorithms})
    assert (file.checksum and file.checksum.algorithm) == "sha256"


def test_else_by_the_strongest() -> None:
    order = ("sha512", "sha384", "sha224", "sha1", "md5")
    for number in range(len(order)):
        checksum = hashed_by(*reversed(order[number:])).checksum
        assert checksum is not None
        assert (checksum.algorithm, checksum.digest) == (order[number], DIGESTS[order[number]])


def test_a_file_of_the_same_weak_digest_is_the_one_that_is_held() -> None:
    file = hashed_by("md5")
    (known,) = known_files(file, held(file, md5=DIGESTS["md5"], sha256=SHA256))
    assert (known.sha256, known.size, known.upload_time) == (SHA256, 7, "2024-01-01T00:00:00Z")
    assert known.hashes == file.hashes
    assert refused(known) == NONE_REFUSED


def test_a_file_without_a_digest_is_the_one_that_is_held_under_its_name() -> None:
    file = hashed_by()
    (known,) = known_files(file, held(file, sha256=SHA256))
    assert known.sha256 == SHA256


def test_but_not_if_the_held_page_is_of_another_index() -> None:
    file = hashed_by()
    (known,) = with_held_facts(make_page(file), held(file, sha256=SHA256), names_count=False).files
    assert known.sha256 is None


def test_a_file_without_a_digest_that_has_another_size_is_another_file() -> None:
    file = make_file(hashes={}, size=8)
    (known,) = known_files(file, held(file, sha256=SHA256))
    assert known.sha256 is None


@pytest.mark.parametrize(
    "hashes", [{"md5": "0" * 32, "sha256": SHA256}, {"sha256": SHA256}, {"md5": DIGESTS["md5"]}, {}]
)
def test_a_file_is_not_known_where_the_held_page_does_not_say_the_same(hashes: dict[str, str]) -> None:
    file = hashed_by("md5")
    (known,) = known_files(file, held(file, **hashes))
    assert known.sha256 is None


def test_what_upstream_tells_counts_more_than_what_is_held() -> None:
    file = make_file(size=8, upload_time="2025-01-01T00:00:00Z")
    page = make_page(file)
    assert with_held_facts(page, held(file, sha256=SHA256), names_count=True) is page


@pytest.mark.parametrize("upload_time", ["yesterday", None])
def test_a_time_that_is_none_is_not_taken_over(upload_time: str | None) -> None:
    file = make_file(size=None)
    page = StoredPage(
        7, (HeldFile(file_path(file), 7, {"sha256": SHA256}, has_metadata=False, upload_time=upload_time),)
    )
    (known,) = known_files(file, page)
    assert (known.size, known.upload_time) == (7, None)
