"""Which files may be mirrored, by what upstream tells of their content: a strong digest, a weak one, or none.

What is here already was checked when it came, and stays: a file is known by the SHA-256 that our own page has of it, as
long as upstream tells the same of it as then. The rules are pure.
"""

from collections.abc import Collection

from msgspec.structs import replace

from bandersnatch.config.option_groups import PagesConfig
from bandersnatch.model import DistributionFile, ProjectPage
from bandersnatch.pages.stored_page import HeldFile, StoredPage
from bandersnatch.project.report import NONE_REFUSED, RefusedFiles


def with_held_facts(page: ProjectPage, held: StoredPage, *, names_count: bool) -> ProjectPage:
    """Return the page with what only the held page tells of the same files: digests, the size, and the time.

    It has the digests and sizes of files that were checked, and the times that upstream told while it still did. With
    ``names_count`` a file of which upstream tells no digest is the held one of that name: both pages are of one index.
    """
    if not any(file.size is None or file.sha256 is None or file.has_unhashed_metadata for file in page.files):
        return page
    by_name = {file.name: file for file in held.files}
    by_sha256 = {file.hashes["sha256"]: file for file in held.files if "sha256" in file.hashes}
    files = []
    for file in page.files:
        same = by_sha256.get(file.sha256) if file.sha256 is not None else by_name.get(file.filename)
        files.append(
            _with_facts(file, same) if same is not None and _is_same(file, same, names_count=names_count) else file
        )
    return replace(page, files=tuple(files))


def accepted(page: ProjectPage, config: PagesConfig, published: Collection[str]) -> tuple[ProjectPage, RefusedFiles]:
    """Return the page without the files of which upstream tells too little, and how many these are.

    ``published`` are the names of files that are on the held page: whether these are the same is found out otherwise.
    """
    if all(file.sha256 is not None for file in page.files):
        return page, NONE_REFUSED
    weak = unhashed = 0
    files = []
    for file in page.files:
        checksum = file.checksum
        if file.filename in published or (checksum is not None and not checksum.is_weak):
            files.append(file)
        elif checksum is None and not config.allow_unhashed:
            unhashed += 1
        elif checksum is not None and not config.allow_weak_hashes:
            weak += 1
        else:
            files.append(file)
    if not weak and not unhashed:
        return page, NONE_REFUSED
    return replace(page, files=tuple(files)), RefusedFiles(weak, unhashed)


def _is_same(file: DistributionFile, held: HeldFile, *, names_count: bool) -> bool:
    """Whether upstream tells the same of a file as when the held one was checked."""
    told = file.told_checksum
    if told is None:
        return names_count and (file.size == held.size or None in (file.size, held.size))
    return held.hashes.get(told.algorithm) == told.digest


def _with_facts(file: DistributionFile, held: HeldFile) -> DistributionFile:
    if file.sha256 is None:
        file = replace(file, own_sha256=held.hashes.get("sha256"))
    if file.has_unhashed_metadata:
        file = replace(file, core_metadata_sha256=held.metadata_sha256)
    if file.size is not None:
        return file
    return replace(file, size=held.size, upload_time=file.upload_time or held.valid_upload_time)
