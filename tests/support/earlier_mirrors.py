"""Mirrors as earlier code has written them, kept as bytes, and the index that they are of.

The archive was made by ``python -m tests.support.earlier_mirrors``, run at the commit that added it. It is not made anew
when the code changes: that is its point. Links of the index are relative, so that its pages and their entity tags are the
same on any port; of the mirrors, only the fingerprint names the index, and that name is replaced when one is unpacked.
"""

import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from msgspec.structs import replace

from bandersnatch.storage.layout import StoredPath
from tests.support.fakepypi import FakePyPI, Stall
from tests.support.fakepypi.site import Site
from tests.support.killed_runs import Point, acting_storage, arrived_bytes, kill_run, run_until_killed
from tests.support.rig import HURRIED, Rig

ARCHIVE = Path(__file__).parents[1] / "data" / "earlier-mirrors.tar.xz"
ALL_OPTIONS = {"hash-index": "true", "json": "true", "keep_index_versions": "2", "digest_name": "sha256"}
FILTERS = """\
[plugins]
enabled =
    blocklist_project
    exclude_platform
    prerelease_release
[blocklist]
packages = unwanted
platforms = windows
"""
WHOLE = {"defaults": ({}, ""), "options": (ALL_OPTIONS, FILTERS)}
"""The mirrors that are up to date: their options, and their filters."""
UNFINISHED = "unfinished"
"""The mirror that was killed when of eight changed projects some were done, and one had half of a large file."""
LARGE = "large-one"
_LARGE_BYTES, _SENT_BYTES = 3_000_000, 1_500_000
DONE = ("news-0", "news-1", "news-2", "news-3", "news-4")
BEHIND = ("news-5", "news-6")
"""The projects that the killed run has brought, and those that it has not, beside the large one."""


class EarlierIndex(FakePyPI):
    """The index, with all that the mirrors have."""

    def __init__(self) -> None:
        super().__init__()
        self._site = Site(self, "", 50_000)
        self.add_file("Foo.Bar", "1.0", requires_python=">=3.8")
        self.add_file("Foo.Bar", "2.0", kind="sdist", content=b"not compressed, so the same with any zlib")
        self.add_file("Zeta_Tools", "1.0")
        self.yank("Zeta_Tools", "1.0", "broken & <bad>")
        self.add_file("unwanted", "1.0")
        self.add_file("compiled", "1.0", python_tag="cp311", platform_tag="win_amd64")
        self.add_file(
            "compiled", "1.0", python_tag="cp311", platform_tag="manylinux_2_17_x86_64", metadata_in_wheel=False
        )
        old = "packages/source/o/old-timer/old-timer-0.9.tar.gz"
        self.add_file("old-timer", "0.9", kind="sdist", filename="old-timer-0.9.tar.gz", path=old, content=b"old")
        self.add_file("withdrawn", "1.0")
        self.add_file("suspect", "1.0")
        self.create_project("empty")
        self.add_file("archived", "1.0")
        self.archive("archived")

    def tell_second_run(self) -> None:
        """Tell what the second run of each mirror has brought."""
        self.add_file("Foo.Bar", "2.1rc1")
        self.remove_project("withdrawn")
        self.quarantine_project("suspect")

    def tell_unfinished_run(self) -> None:
        """Tell what the killed run was about to bring."""
        for name in DONE + BEHIND:
            self.add_file(name, "1.0")
        self.add_file(LARGE, "1.0", kind="sdist", content=b"large" * (_LARGE_BYTES // 5))


def unpack(name: str, rig: Rig) -> None:
    """Put a mirror in the place of the rig's, as one of the rig's index, with the options and filters that it had."""
    with tarfile.open(ARCHIVE) as archive:
        members = [member for member in archive if member.name.partition("/")[0] == name]
        archive.extractall(rig.folder, members, filter="tar")
    (rig.folder / name).rename(rig.directory)
    options, rig.filters = WHOLE.get(name, WHOLE["defaults"])
    # All of its projects would be due, since the mirror is older than the period of `refresh`.
    rig.options |= {**options, "refresh": "0"}
    _rename_index(rig)


def write_archive(folder: Path, path: Path) -> None:
    """Write all mirrors, with the code as it is now, and pack them."""
    for name, (options, filters) in WHOLE.items():
        with EarlierIndex() as pypi:
            rig = Rig(pypi, folder / name)
            rig.folder.mkdir()
            rig.options |= options
            rig.filters = filters
            for is_second in (False, True):
                if is_second:
                    pypi.tell_second_run()
                result = rig.call("mirror", max_removals="100%")
                assert result.returncode == 0, result.stderr
    shutil.copytree(folder / "defaults", folder / UNFINISHED, symlinks=True)
    with EarlierIndex() as pypi:
        _break_off(pypi, Rig(pypi, folder / UNFINISHED))
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for name in (*WHOLE, UNFINISHED):
            archive.add(folder / name / "mirror", name, filter=_of_nobody)


def _break_off(index: EarlierIndex, rig: Rig) -> None:
    """Go on with a mirror, until the run is killed amid a large file, and when most projects are done."""
    _rename_index(rig)
    index.tell_second_run()
    index.tell_unfinished_run()
    (large,) = index.files(LARGE)
    index.fault(large.url_path, Stall(after_bytes=_SENT_BYTES))
    for name in BEHIND:
        index.fault(f"/simple/{name}/", Stall())
    saves_each_time = replace(HURRIED, checkpoint_share=1e9)

    def kill_when_half_done(point: Point, _path: StoredPath) -> None:
        if point in (Point.ARRIVED, Point.PUBLISHED) and _is_half_done(rig):
            kill_run()

    storage = acting_storage(kill_when_half_done)
    run_until_killed(rig, storage, lambda: rig.run(tuning=saves_each_time, timeout="60", workers="3"))


def _rename_index(rig: Rig) -> None:
    fingerprint = rig.directory / "fingerprint"
    fingerprint.write_text(" ".join([rig.pypi.url, *fingerprint.read_text().split(" ")[1:]]))


def _is_half_done(rig: Rig) -> bool:
    todo = rig.directory / "todo"
    projects = len(todo.read_text().splitlines()) - 1 if todo.exists() else 0
    return arrived_bytes(rig) >= 1_048_576 and projects == 1 + len(BEHIND)


def _of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if member.name.endswith("/.lock"):  # it tells of the machine
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_STATE_HOME"] = name
        write_archive(Path(name), Path(sys.argv[1]) if sys.argv[1:] else ARCHIVE)
