"""Half-written files: outside ``web/``, in a folder that is ours alone, and by no link that somebody has planted."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bandersnatch.config.option_groups import DiskConfig
from bandersnatch.errors import StorageError
from bandersnatch.operations.disk_options import as_configured
from bandersnatch.pages.versions import PageStore
from bandersnatch.storage.file_writer import Partial
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import STATE, StoredPath, page_path
from bandersnatch.storage.unfinished_folder import UNFINISHED_FOLDER
from bandersnatch.storage.unfinished_names import name_inside
from tests.support.fakepypi import FakePyPI, ShortBody
from tests.support.rig import Rig
from tests.support.sample_file import CONTENT, PATH, break_off, failing, files, half_written, write_and

PAGE = StoredPath("web/simple/sample/index.html")
ALL = [
    PATH,
    PAGE,
    StoredPath("web/simple/index.html"),
    StoredPath("web/json/sample"),
    StoredPath("web/last-modified"),
    STATE,
]
Plant = Callable[[Path, Path], None]
PLANTS = pytest.mark.parametrize("plant", [os.symlink, os.link], ids=["symbolic link", "hard link"])
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_bytes(b"somebody's")
    return path


@pytest.mark.parametrize("path", ALL)
def test_nothing_half_written_lies_below_web(storage: FilesystemStorage, path: StoredPath) -> None:
    with storage.write(path) as writer:
        writer.write(CONTENT)
        (part,) = half_written(storage.root)
        assert part.parent == storage.root / UNFINISHED_FOLDER
        assert not (storage.root / "web").exists()
    assert files(storage) == {path: CONTENT}


def test_nobody_else_may_enter_the_folder(storage: FilesystemStorage) -> None:
    with storage.write(PATH):
        found = (storage.root / UNFINISHED_FOLDER).stat()
    assert stat.S_IMODE(found.st_mode) == 0o700
    assert found.st_uid == os.geteuid()


@pytest.mark.parametrize("path", ALL)
@PLANTS
def test_no_planted_link_is_followed(storage: FilesystemStorage, victim: Path, path: StoredPath, plant: Plant) -> None:
    folder, _, name = path.rpartition("/")
    (storage.root / folder).mkdir(parents=True, exist_ok=True)
    (storage.root / UNFINISHED_FOLDER).mkdir(mode=0o700)
    plant(victim, storage.root / folder / f".{name}.part")
    plant(victim, storage.root / UNFINISHED_FOLDER / name_inside(path))
    for write in (lambda: storage.write_bytes(path, CONTENT), lambda: storage.save(path, [CONTENT])):
        # Nobody else can know this name; if they did, it would be of no use.
        plant(victim, storage.root / UNFINISHED_FOLDER / name_inside(path, storage.unfinished.token))
        write()
    assert victim.read_bytes() == b"somebody's"
    assert not (storage.root / path).is_symlink()
    assert storage.read(path) == CONTENT


@PLANTS
def test_no_planted_link_is_gone_on_with(storage: FilesystemStorage, victim: Path, plant: Plant) -> None:
    break_off(storage)
    (part,) = half_written(storage.root)
    part.unlink()
    plant(victim, part)
    assert storage.partial_size(PATH) == 0
    with pytest.raises(StorageError), storage.write(PATH, partial=Partial(4)):
        pytest.fail("the block was entered")
    assert victim.read_bytes() == b"somebody's"


def test_a_fifo_in_the_place_of_a_half_written_file_holds_nothing_up(storage: FilesystemStorage) -> None:
    break_off(storage)
    (part,) = half_written(storage.root)
    part.unlink()
    os.mkfifo(part)
    assert storage.partial_size(PATH) == 0
    storage.write_bytes(PATH, CONTENT)
    assert storage.read(PATH) == CONTENT


def test_a_link_in_the_place_of_the_folder_is_replaced(storage: FilesystemStorage, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    storage.root.mkdir(exist_ok=True)
    (storage.root / UNFINISHED_FOLDER).symlink_to(elsewhere)
    with storage.write(PATH) as writer:
        writer.write(CONTENT)
        assert list(elsewhere.iterdir()) == []
    assert storage.read(PATH) == CONTENT


def test_a_folder_in_which_others_could_write_is_emptied_and_closed_to_them(storage: FilesystemStorage) -> None:
    break_off(storage)
    folder = storage.root / UNFINISHED_FOLDER
    folder.chmod(0o777)
    other = FilesystemStorage(storage.root)
    assert other.partial_size(PATH) == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []


def test_a_twin_takes_the_folder_as_this_run_has_it(storage: FilesystemStorage) -> None:
    """Filesystems without modes, as of Windows shares, show it as open to all, whatever it was given."""
    with storage.write(PATH) as writer:
        writer.write(CONTENT)
        (storage.root / UNFINISHED_FOLDER).chmod(0o777)
        other = PATH.replace("sample", "other")
        storage.twin().write_bytes(StoredPath(other), b"by another")
    assert (storage.root / PATH).read_bytes() == CONTENT
    assert (storage.root / other).read_bytes() == b"by another"


@needs_root
def test_another_users_folder_is_replaced_by_our_own(storage: FilesystemStorage) -> None:
    break_off(storage)
    folder = storage.root / UNFINISHED_FOLDER
    os.chown(folder, 12345, 12345)
    other = FilesystemStorage(storage.root)
    other.write_bytes(PATH, CONTENT)
    assert folder.stat().st_uid == os.geteuid()
    assert other.partial_size(PATH) == 0


def test_nothing_is_left_of_the_folder_when_it_is_empty(storage: FilesystemStorage) -> None:
    with as_configured(storage, DiskConfig()):
        storage.write_bytes(PATH, CONTENT)
    assert not (storage.root / UNFINISHED_FOLDER).exists()
    with as_configured(storage, DiskConfig()):
        break_off(storage)
    assert storage.partial_size(PATH) == 4


def test_what_nobody_can_go_on_with_is_deleted_wherever_it_lies(storage: FilesystemStorage) -> None:
    other = StoredPath("web/packages/aa/bb/other.whl")
    version = StoredPath("web/simple/sample/versions/index_1_2020-01-01T000000.000000Z.html")
    for path in (PATH, other, version):
        break_off(storage, path)
    assert FilesystemStorage(storage.root).sweep_all([PATH, other], [PATH]) == 2
    assert storage.partial_size(PATH) == 4
    assert len(half_written(storage.root)) == 1


# What older versions have left


def old_part(storage: FilesystemStorage, data: bytes = b"cont") -> Path:
    part = (storage.root / PATH).with_name(".sample-1.0.tar.gz.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(data)
    return part


def test_a_download_of_an_older_version_goes_on(rig: Rig, pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0", size=3_000_000)
    pypi.fault(file.url_path, ShortBody(1_500_000), ShortBody(10), ShortBody(10))
    rig.run()
    (part,) = half_written(rig.directory)
    old = (rig.web / file.url_path[1:]).with_name(f".{file.filename}.part")
    old.parent.mkdir(parents=True)
    part.rename(old)
    pypi.clear_faults()
    pypi.clear_requests()
    rig.run()
    assert [request.status for request in pypi.file_requests()] == [206]
    rig.assert_matches()


def test_what_an_older_version_left_is_deleted_where_it_can_not_go_on(storage: FilesystemStorage) -> None:
    old_part(storage)
    assert storage.sweep_all([PATH], []) == 1
    assert files(storage) == {}
    assert not (storage.root / "web/packages/aa").exists()


@PLANTS
def test_a_planted_link_is_not_taken_over(storage: FilesystemStorage, victim: Path, plant: Plant) -> None:
    old_part(storage).unlink()
    plant(victim, (storage.root / PATH).with_name(".sample-1.0.tar.gz.part"))
    storage.sweep_all([PATH], [PATH])
    assert storage.partial_size(PATH) == 0
    assert half_written(storage.root) == []
    assert victim.read_bytes() == b"somebody's"


# Where a folder is another filesystem, or hands down other things


@contextmanager
def beside(storage: FilesystemStorage, path: StoredPath) -> Iterator[Path]:
    with storage.write(path) as writer:
        writer.write(CONTENT)
        (part,) = half_written(storage.root)
        assert part.parent == (storage.root / path).parent
        assert part.name.startswith(".")
        yield part


def test_a_half_written_file_lies_beside_its_place_where_a_rename_would_lose_its_group(
    split: FilesystemStorage,
) -> None:
    with beside(split, PATH):
        pass
    assert split.read(PATH) == CONTENT
    with split.write(PAGE):
        (part,) = half_written(split.root)
        assert part.parent.name == UNFINISHED_FOLDER


def test_names_beside_can_not_be_foretold_and_are_the_same_in_the_next_run(split: FilesystemStorage) -> None:
    def name() -> str:
        storage = FilesystemStorage(split.root)
        break_off(storage)
        (part,) = half_written(split.root)
        part.unlink()
        return part.name

    first = name()
    assert name() == first
    split.sweep_all((), ())
    split.tidy()
    assert name() != first


KEYS: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: (path / "x").mkdir(parents=True),
    "link": lambda path: path.symlink_to("elsewhere"),
    "FIFO": os.mkfifo,
    "cut short": lambda path: path.write_bytes(b"x"),
}


@pytest.mark.parametrize("make", KEYS.values(), ids=KEYS)
def test_what_is_no_key_is_replaced_by_one(split: FilesystemStorage, make: Callable[[Path], object]) -> None:
    (split.root / UNFINISHED_FOLDER).mkdir(mode=0o700)
    make(split.root / UNFINISHED_FOLDER / "key")
    for storage in (split, FilesystemStorage(split.root)):
        with beside(storage, PATH):
            pass
        assert storage.read(PATH) == CONTENT
        assert len((split.root / UNFINISHED_FOLDER / "key").read_bytes()) == 32


def test_a_download_beside_its_place_goes_on_in_the_next_run(split: FilesystemStorage) -> None:
    with as_configured(split, DiskConfig()):
        break_off(split)
    later = FilesystemStorage(split.root)
    with as_configured(later, DiskConfig()):
        assert later.sweep_all([PATH], [PATH]) == 0
        assert later.partial_size(PATH) == 4
        with later.write(PATH, partial=Partial(4)) as writer:
            writer.write(b"ent")
    assert later.read(PATH) == CONTENT
    assert half_written(later.root) == []


def test_half_written_versions_beside_their_places_go(split: FilesystemStorage) -> None:
    (split.root / "web/simple").mkdir()
    (split.root / "web/simple").chmod(0o2755)
    folder = StoredPath("web/simple/sample")
    store = PageStore(split, 1)
    break_off(split, page_path(StoredPath(f"{folder}/versions"), "index_1_2020-01-01T000000.000000Z.html"))
    assert len(half_written(split.root / folder)) == 1
    store.write(folder, {"index.html": b"2"}, 10)
    assert half_written(split.root / folder) == []


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder of another filesystem."""
    roots = [Path("/dev/shm"), Path("/tmp"), Path("/var/tmp")]
    root = next((root for root in roots if root.is_dir() and root.stat().st_dev != tmp_path.stat().st_dev), None)
    if root is None:
        pytest.skip("there is no second filesystem")
    with TemporaryDirectory(dir=root) as folder:
        yield Path(folder)


@pytest.mark.parametrize("place", ["web", "web/packages", "web/simple"])
@pytest.mark.usefixtures("in_processes_or_not")
def test_a_mirror_that_spans_two_filesystems(rig: Rig, pypi: FakePyPI, elsewhere: Path, place: str) -> None:
    (rig.directory / place).parent.mkdir(parents=True)
    (rig.directory / place).symlink_to(elsewhere)
    for number in range(3):
        pypi.add_file(f"project-{number}", "1.0")
    for versions in ("2", "0"):
        assert rig.run(keep_index_versions=versions).failures == []
    assert half_written(elsewhere) == half_written(rig.directory) == []
    for number in range(3):
        assert (rig.web / f"simple/project-{number}/index.html").is_file()
    assert not (rig.directory / UNFINISHED_FOLDER).exists()


def test_a_rename_that_the_kernel_refuses_becomes_a_copy_beside_its_place(
    storage: FilesystemStorage, elsewhere: Path
) -> None:
    """Here by a link below ``web/packages``, of which nobody knew before."""
    (storage.root / "web/packages").mkdir(parents=True)
    (storage.root / "web/packages/aa").symlink_to(elsewhere)
    storage.write_bytes(PATH, CONTENT, mtime=1_000_000_000.0)
    assert storage.read(PATH) == CONTENT
    assert (storage.root / PATH).stat().st_mtime == 1_000_000_000
    storage.link(StoredPath("web/packages/aa/link"), "there")
    assert (elsewhere / "link").readlink() == Path("there")
    assert half_written(storage.root) == half_written(elsewhere) == []
    with storage.write(PATH) as writer:
        writer.write(CONTENT)
        assert len(half_written(elsewhere)) == 1
    assert half_written(elsewhere) == []


# The list of what has changed


def test_the_list_of_changes_follows_our_own_link_and_the_systems(storage: FilesystemStorage, tmp_path: Path) -> None:
    link = tmp_path / "list"
    link.symlink_to(tmp_path / "real")
    with as_configured(storage, DiskConfig(diff_file=link)):
        storage.write_bytes(PATH, CONTENT)
    assert (tmp_path / "real").read_text() == f"{storage.root / PATH}\n"


@needs_root
def test_the_list_of_changes_follows_nobody_elses_link(
    storage: FilesystemStorage, victim: Path, tmp_path: Path
) -> None:
    link = tmp_path / "list"
    link.symlink_to(victim)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    with pytest.raises(StorageError), as_configured(storage, DiskConfig(diff_file=link)):
        pytest.fail("the block was entered")
    assert victim.read_bytes() == b"somebody's"


def test_an_error_of_the_block_deletes_what_lies_beside(split: FilesystemStorage) -> None:
    with pytest.raises(ValueError, match="x"):
        write_and(split, CONTENT, failing(ValueError("x")))
    assert half_written(split.root) == []
    split.tidy()
    assert files(split) == {}
