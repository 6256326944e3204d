"""What a page wants, compared with what is stored."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.model import DistributionFile, ProjectPage, StoredFile
from bandersnatch.plan.file_plan import FilePlan, FileRules, FileTask, FileWork, Holdings, plan_files, wanted_paths
from bandersnatch.storage.layout import StoredPath, file_path, metadata_path
from tests.support.builders import SHA256, make_file, make_page, project_pages, unhurried

RULES = FileRules(core_metadata=True, check_digests=False)
CHECKING = FileRules(core_metadata=True, check_digests=True)
NOTHING: frozenset[StoredPath] = frozenset()
TIME = "2024-05-06T07:08:09.5Z"
FILE = make_file(upload_time=TIME)
WITH_METADATA = make_file(upload_time=TIME, core_metadata_sha256=SHA256)
PATH = file_path(FILE)
METADATA = metadata_path(PATH)
MTIME = FILE.mtime or 0.0
SIZE = FILE.size or 0
RIGHT = StoredFile(SIZE, MTIME)
SMALL = StoredFile(9, MTIME)

Disk = dict[StoredPath, StoredFile]


def plan(
    page: ProjectPage,
    disk: Disk,
    held: frozenset[StoredPath] = NOTHING,
    suspects: frozenset[StoredPath] = NOTHING,
    rules: FileRules = RULES,
) -> FilePlan:
    wanted = wanted_paths(page, rules)
    return plan_files(wanted, Holdings(disk.get, dict.fromkeys(held, SHA256), suspects), rules)


def task_for(
    file: DistributionFile, stored: StoredFile | None, metadata: StoredFile | None = None, rules: FileRules = RULES
) -> FileTask | None:
    """Return the task for the only file of a page, or None where there is nothing to do."""
    disk = {path: found for path, found in ((PATH, stored), (METADATA, metadata)) if found is not None}
    tasks = plan(make_page(file), disk, rules=rules).tasks
    assert len(tasks) < 2
    return tasks[0] if tasks else None


def test_a_missing_file_is_fetched() -> None:
    assert task_for(FILE, None) == FileTask(FILE, PATH, FileWork.FETCH, wants_metadata=False, is_new=True)


@pytest.mark.parametrize("size", [0, SIZE - 1, SIZE + 1])
def test_a_file_of_another_size_is_fetched(size: int) -> None:
    task = task_for(FILE, StoredFile(size, MTIME))
    assert task is not None
    assert task.work is FileWork.FETCH


def test_where_upstream_tells_no_size_any_size_of_a_held_file_is_right() -> None:
    page = make_page(msgspec.structs.replace(FILE, size=None))
    assert plan(page, {PATH: StoredFile(SIZE + 1, MTIME)}, held=frozenset({PATH})).tasks == ()


@pytest.mark.parametrize("held", [{}, {PATH: "0" * 64}, {PATH: None}], ids=["not held", "another", "unknown"])
def test_without_a_size_what_the_old_page_did_not_know_by_its_digest_is_checked(
    held: dict[StoredPath, str | None],
) -> None:
    wanted = wanted_paths(make_page(msgspec.structs.replace(FILE, size=None)), RULES)
    (task,) = plan_files(wanted, Holdings({PATH: RIGHT}.get, held, NOTHING), RULES).tasks
    assert task.work is FileWork.CHECK


@pytest.mark.parametrize("is_there", [True, False])
def test_a_file_whose_link_has_changed_comes_from_where_it_was_if_it_is_still_there(is_there: bool) -> None:
    before = StoredPath(f"web/packages/old.example/{FILE.filename}")
    found = plan(make_page(FILE), {before: RIGHT} if is_there else {}, held=frozenset({before}))
    (task,) = found.tasks
    assert task.moved_from == (before if is_there else None)
    assert found.moved == (frozenset({before, metadata_path(before)}) if is_there else frozenset())
    assert found.deletions == {before}


def test_a_file_that_is_right_needs_nothing() -> None:
    assert task_for(FILE, RIGHT) is None


def test_a_file_at_another_time_only_gets_its_time() -> None:
    expected = FileTask(FILE, PATH, FileWork.KEEP, wants_metadata=False)
    assert task_for(FILE, StoredFile(SIZE, MTIME + 1)) == expected


def test_parts_of_a_second_do_not_count() -> None:
    assert task_for(FILE, StoredFile(SIZE, MTIME + 0.25)) is None


def test_where_upstream_tells_no_time_any_time_is_right() -> None:
    assert task_for(msgspec.structs.replace(FILE, upload_time=None), StoredFile(SIZE, 5.0)) is None


def test_a_file_is_checked_where_all_are_to_be_checked() -> None:
    task = task_for(FILE, RIGHT, rules=CHECKING)
    assert task is not None
    assert task.work is FileWork.CHECK


def test_a_file_of_another_size_needs_no_check() -> None:
    task = task_for(FILE, StoredFile(1, MTIME), rules=CHECKING)
    assert task is not None
    assert task.work is FileWork.FETCH


def test_missing_metadata_is_made_for_a_file_that_stays() -> None:
    expected = FileTask(WITH_METADATA, PATH, FileWork.KEEP, wants_metadata=True)
    assert task_for(WITH_METADATA, RIGHT) == expected


def test_metadata_that_is_there_stays() -> None:
    assert task_for(WITH_METADATA, RIGHT, SMALL) is None


def test_metadata_is_made_anew_with_its_file() -> None:
    task = task_for(WITH_METADATA, None, SMALL)
    assert task is not None
    assert task.wants_metadata


def test_metadata_is_made_anew_where_all_is_checked() -> None:
    task = task_for(WITH_METADATA, RIGHT, SMALL, CHECKING)
    assert task is not None
    assert task.wants_metadata


def test_metadata_is_not_wanted_where_it_is_not_kept() -> None:
    rules = FileRules(core_metadata=False, check_digests=False)
    assert task_for(WITH_METADATA, RIGHT, None, rules) is None
    assert set(wanted_paths(make_page(WITH_METADATA), rules)) == {PATH}


def test_a_page_wants_its_files_and_their_metadata() -> None:
    assert wanted_paths(make_page(WITH_METADATA), RULES) == {PATH: WITH_METADATA, METADATA: WITH_METADATA}


def test_what_the_old_page_listed_and_the_new_does_not_is_deleted() -> None:
    other = StoredPath("web/packages/aa/other.whl")
    assert plan(make_page(FILE), {PATH: RIGHT}, held=frozenset({PATH, other})).deletions == {other}


def test_metadata_that_is_advertised_no_more_is_deleted() -> None:
    assert plan(make_page(FILE), {PATH: RIGHT}, held=frozenset({PATH, METADATA})).deletions == {METADATA}


def test_a_page_without_files_deletes_all_that_was_held() -> None:
    held = frozenset({PATH, METADATA})
    assert plan(make_page(), {}, held=held) == FilePlan((), held)


def test_a_suspect_is_checked() -> None:
    (task,) = plan(make_page(FILE), {PATH: RIGHT}, suspects=frozenset({PATH})).tasks
    assert task.work is FileWork.CHECK


@pytest.mark.parametrize("suspects", [NOTHING, frozenset({PATH})])
def test_only_a_suspect_may_be_half_written(suspects: frozenset[StoredPath]) -> None:
    (task,) = plan(make_page(FILE), {}, suspects=suspects).tasks
    assert task.may_be_half_written == bool(suspects)


def test_suspect_metadata_is_made_anew() -> None:
    (task,) = plan(make_page(WITH_METADATA), {PATH: RIGHT, METADATA: SMALL}, suspects=frozenset({METADATA})).tasks
    assert (task.work, task.wants_metadata) == (FileWork.KEEP, True)


def test_a_suspect_that_nobody_wants_is_deleted() -> None:
    other = StoredPath("web/packages/aa/other.whl")
    assert plan(make_page(FILE), {PATH: RIGHT}, suspects=frozenset({other})).deletions == {other}


def test_the_plan_touches_what_it_fetches_makes_and_deletes() -> None:
    other = StoredPath("web/packages/aa/other.whl")
    assert plan(make_page(WITH_METADATA), {}, held=frozenset({other})).touched == {PATH, METADATA, other}


def test_setting_a_time_touches_nothing() -> None:
    assert plan(make_page(FILE), {PATH: StoredFile(SIZE, 0.0)}).touched == set()


def applied(plan: FilePlan, disk: Disk) -> Disk:
    """Return what is stored when the plan was carried out."""
    disk = {path: found for path, found in disk.items() if path not in plan.deletions}
    for task in plan.tasks:
        old = disk.get(task.path)
        mtime = task.file.mtime
        kept_mtime = old.mtime if old is not None else 1.0
        disk[task.path] = StoredFile(task.file.size or 0, mtime if mtime is not None else kept_mtime)
        if task.wants_metadata:
            disk[metadata_path(task.path)] = StoredFile(1, 1.0)
    return disk


@unhurried
@given(project_pages(), project_pages(), st.booleans(), st.data())
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    old: ProjectPage, new: ProjectPage, core_metadata: bool, data: st.DataObject
) -> None:
    rules = FileRules(core_metadata=core_metadata, check_digests=False)
    held = frozenset(wanted_paths(old, rules))
    possible = sorted(held | wanted_paths(new, RULES).keys())
    found = st.builds(StoredFile, st.sampled_from([file.size for file in new.files] or [1]), st.just(5.0))
    disk: Disk = {path: data.draw(found) for path in possible if data.draw(st.booleans())}
    suspects = frozenset(path for path in possible if data.draw(st.booleans()))
    first = plan(new, disk, held, suspects, rules)
    after = applied(first, disk)
    wanted = frozenset(wanted_paths(new, rules))
    assert plan(new, after, wanted, NOTHING, rules) == FilePlan((), NOTHING)
    assert wanted <= after.keys()
    assert not after.keys() & ((held | suspects) - wanted)


@unhurried
@given(project_pages(), st.data())
def test_a_plan_never_deletes_what_is_wanted_nor_what_was_not_held(page: ProjectPage, data: st.DataObject) -> None:
    strangers = [StoredPath(f"web/packages/aa/{n}.whl") for n in range(3)]
    possible = [*wanted_paths(page, RULES), *strangers]
    held = frozenset(path for path in possible if data.draw(st.booleans()))
    suspects = frozenset(path for path in possible if data.draw(st.booleans()))
    deletions = plan(page, {}, held, suspects).deletions
    assert deletions == (held | suspects) - wanted_paths(page, RULES).keys()
