"""Which files ``exclude_platform`` drops, against an oracle: what of all Pythons and platforms could install them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag

from bandersnatch.config.config import Config
from bandersnatch.filters.facts import ProjectDocument
from bandersnatch.filters.selection import Selection
from tests.support.builders import make_file, make_page, unhurried
from tests.support.filtering import enabled, filters_of

PYTHONS = [(2, minor) for minor in range(8)] + [(3, minor) for minor in range(16)]
PLATFORMS = (
    "any", "win32", "win_amd64", "win_arm64", "macosx_11_0_arm64", "manylinux2014_x86_64", "manylinux_2_17_aarch64",
    "linux_armv7l", "linux_aarch64", "musllinux_1_1_x86_64", "freebsd_13_amd64", "plan9_mips",
)  # fmt: skip
SYSTEMS: dict[str, tuple[str, ...]] = {
    "windows": ("win",), "win": ("win",), "macos": ("macosx",), "freebsd": ("freebsd",),
    "linux": ("linux", "manylinux", "musllinux"),
}  # fmt: skip
PYTHON_WORDS = ("py2", "py3", "py2.6", "py2.7", "py3.6", "py3.8", "py3.12")
SINGLE = {
    "-win32": "win32", "win-amd64": "win_amd64", "manylinux2014_x86_64": "manylinux2014_x86_64",
    "-manylinux_": "manylinux_2_17_aarch64", "linux_aarch64": "linux_aarch64", "musllinux": "musllinux_1_1_x86_64",
}  # fmt: skip
tags = st.builds(
    "-".join,
    st.tuples(
        st.lists(
            st.sampled_from(["py2", "py3", "py27", "py38", "cp27", "cp36", "cp38", "cp312"]),
            min_size=1,
            max_size=2,
            unique=True,
        ).map(".".join),
        st.sampled_from(["none", "abi3", "cp38", "cp36m", "cp312", "none.abi3"]),
        st.lists(st.sampled_from(PLATFORMS), min_size=1, max_size=2, unique=True).map(".".join),
    ),
)


@unhurried
@given(tags, st.lists(st.sampled_from([*SYSTEMS, *PYTHON_WORDS, *SINGLE]), min_size=1, max_size=4))
@example("py2.py3-none-any", ["py2"])
@example("py3-none-any", ["py3.6", "py3.8"])
@example("cp38-abi3-win_amd64", ["py3.8"])
def test_a_wheel_is_dropped_where_only_what_is_excluded_can_use_it(tag: str, words: list[str]) -> None:
    wheel, source = make_file(f"sample-1.0-{tag}.whl"), make_file("sample-1.0.tar.gz")
    kept = Selection(
        filters_of(enabled("exclude_platform") + f"[blocklist]\nplatforms = {' '.join(words)}\n"),
        make_page(wheel, source),
    ).page
    assert source in kept.files
    assert (wheel in kept.files) == _is_usable(tag, words)


def _is_usable(tag: str, words: list[str]) -> bool:
    """Whether any Python that is left, on any platform that is left, supports the wheel, or none of all does."""
    starts = tuple(start for word in words if word in SYSTEMS for start in SYSTEMS[word])
    singles = {SINGLE[word] for word in words if word in SINGLE}
    platforms = [p for p in PLATFORMS[1:] if not p.startswith(starts or ("\0",)) and p not in singles]
    gone = {word.removeprefix("py") for word in words if word in PYTHON_WORDS}
    left = [(x, y) for x, y in PYTHONS if f"{x}.{y}" not in gone and str(x) not in gone]
    supported = parse_tag(tag) & _supported(PYTHONS, PLATFORMS[1:])
    if parse_tag(tag) - supported:  # what no Python of these supports is not told to be excluded, but for its platform
        unsupported = parse_tag(tag) - supported
        if any(
            t.platform not in singles
            and not t.platform.startswith(starts or ("\0",))
            and not _names(t.interpreter, gone, t.abi)
            for t in unsupported
        ):
            return True
    return bool(parse_tag(tag) & _supported(left, platforms))


def _names(interpreter: str, gone: set[str], abi: str) -> bool:
    """Whether a tag that no Python supports is of an excluded version all the same."""
    major, minor = interpreter[2], interpreter[3:]
    if major in gone:
        return True
    if not minor:
        return False
    if interpreter.startswith("py") or abi == "abi3":
        return major == "2" and all(f"2.{y}" in gone for y in range(int(minor), 8))
    return f"{major}.{minor}" in gone


@cache
def _supported_by(version: tuple[int, int], platforms: tuple[str, ...]) -> frozenset[Tag]:
    name = f"cp{version[0]}{version[1]}"
    own = cpython_tags(version, abis=[name, f"{name}m"], platforms=platforms)
    return frozenset(own) | frozenset(compatible_tags(version, name, platforms))


def _supported(pythons: list[tuple[int, int]], platforms: Sequence[str]) -> frozenset[Tag]:
    return frozenset[Tag]().union(*(_supported_by(version, tuple(platforms)) for version in pythons))


@pytest.mark.parametrize(
    ("filename", "words", "is_kept"),
    [
        ("sample-1.0.win32.exe", "windows", False),
        ("sample-1.0.win-amd64-py2.7.exe", "linux", True),
        ("sample-1.0.win-amd64-py2.7.exe", "py2.7", False),
        ("sample-1.0.win-amd64-py2.7.msi", "win", False),
        ("sample-1.0.exe", "windows", False),
        ("sample-1.0-py2.7.egg", "py2.7", False),
        ("sample-1.0-py2.7.egg", "py2", False),
        ("sample-1.0-py3.6.egg", "py2 windows", True),
        ("sample-1.0-py3.6-win32.egg", "windows", False),
        ("sample-1.0-py3.6-macosx-10.9-x86_64.egg", "macos", False),
        ("sample-1.0-1.noarch.rpm", "linux", False),
        ("sample-1.0.dmg", "macosx", False),
        ("sample-1.0.linux-x86_64.tar.gz", "linux", False),
        ("sample-1.0.linux-x86_64.tar.gz", "linux-x86_64", False),
        ("sample-1.0.macosx-10.9-x86_64.tar.gz", "linux", True),
        ("sample-1.0.freebsd-13-amd64.tar.gz", "freebsd", False),
        ("sample-1.0.win32.zip", ".win32", False),
        ("sample-1.0.tar.gz", "windows macos linux freebsd py2 py3", True),
        ("sample-1.0.zip", "windows macos linux freebsd py2 py3", True),
        ("acme-linux-sample-1.0.tar.gz", "linux", True),
        ("sample-1.0-linux.tar.gz", "linux", True),
        ("sample-1.0-linux-x86_64.tar.gz", "linux", True),
        ("sample-1.0-win32.zip", "windows", True),
        ("sample-1.0-py2.7.tar.gz", "py2", True),
        ("sample-1.0-macosx-tools.tar.bz2", "macos", True),
        ("sample.linux-1.0.tar.gz", "linux", True),
        ("sample-1.0.win-amd64.zip", "windows", False),
        ("sample-1.0.freebsd-13.1-RELEASE-amd64.tar.gz", "freebsd", False),
        ("sample-1.0.linux-x86_64-py3.8.tar.gz", "py3.8", False),
        ("sample-nonsense.whl", "windows macos linux freebsd py2 py3", True),
        ("sample-1.0-pp39-pypy39_pp73-win_amd64.whl", "py3.9", False),
        ("sample-1.0-1_legacy-cp27-none-win32.whl", "windows", False),
        ("sample-1.0-cp313-cp313-ios_13_0_arm64_iphoneos.whl", "ios", False),
        ("sample-1.0-cp313-cp313-pyodide_2024_0_wasm32.whl", "pyodide", False),
        ("sample-1.0-cp39-cp39-manylinux2014_riscv64.whl", "linux", False),
    ],
)
def test_files_that_are_no_wheels_tell_what_they_are_for_by_their_names(
    filename: str, words: str, is_kept: bool
) -> None:
    filters = filters_of(enabled("exclude_platform") + f"[blocklist]\nplatforms = {words}\n")
    assert bool(Selection(filters, make_page(make_file(filename))).page.files) == is_kept


@pytest.mark.parametrize("word", ["freebsd", ".freebsd", "-freebsd"])
def test_a_system_may_be_named_as_its_files_spell_it(word: str) -> None:
    filters = filters_of(enabled("exclude_platform") + f"[blocklist]\nplatforms = {word}\n")
    page = make_page(make_file("sample-1.0-cp39-cp39-freebsd_13_amd64.whl"), make_file("sample-1.0.tar.gz"))
    assert [file.filename for file in Selection(filters, page).page.files] == ["sample-1.0.tar.gz"]


def test_the_legacy_json_where_it_is_there_changes_nothing() -> None:
    filters = filters_of(enabled("exclude_platform") + "[blocklist]\nplatforms = linux\n")
    page = make_page(*(make_file(f"sample-1.0.linux-{machine}.tar.gz") for machine in ("x86_64", "i686")))
    kinds = {"x86_64": "sdist", "i686": "bdist_dumb"}
    entries = [
        {"filename": f"sample-1.0.linux-{machine}.tar.gz", "packagetype": kind} for machine, kind in kinds.items()
    ]
    kept = Selection(filters, page, ProjectDocument({"releases": {"1.0": entries}})).page
    assert kept.files == ()


def kept_of(words: str, *tags: str) -> list[str]:
    """Return the tags of the wheels that stay."""
    filters = filters_of(enabled("exclude_platform") + f"[blocklist]\nplatforms = {words}\n")
    page = Selection(filters, make_page(*(make_file(f"sample-1.0-{tag}.whl") for tag in tags))).page
    return [file.filename.removeprefix("sample-1.0-").removesuffix(".whl") for file in page.files]


MACHINES = ["aarch64", "x86_64", "ppc64le", "s390x", "armv7l", "i686", "riscv64"]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_machine_is_excluded_on_every_system(machine: str) -> None:
    tags = [
        f"cp312-cp312-{system}_{each}"
        for each in MACHINES
        for system in ("linux", "manylinux_2_17", "manylinux2014", "musllinux_1_2")
    ]
    others = ["py3-none-any", f"cp312-cp312-manylinux2014_{machine}.linux_mips", f"cp312-cp312-linux_x{machine}"]
    assert kept_of(machine, *tags, *others) == [*(tag for tag in tags if not tag.endswith(f"_{machine}")), *others]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("pypy", ["cp39-cp39-any", "cp310-cp310-any", "cp310-abi3-any", "py3-none-any", "graalpy311-native-any"]),
        ("cpython", ["pp39-pypy39_pp73-any", "py3-none-any", "graalpy311-native-any", "cp39.pp39-none-any"]),
        (
            "graalpy",
            [
                "cp39-cp39-any",
                "cp310-cp310-any",
                "cp310-abi3-any",
                "pp39-pypy39_pp73-any",
                "py3-none-any",
                "cp39.pp39-none-any",
            ],
        ),
        (
            "pp39",
            [
                "cp39-cp39-any",
                "cp310-cp310-any",
                "cp310-abi3-any",
                "py3-none-any",
                "graalpy311-native-any",
                "cp39.pp39-none-any",
            ],
        ),
        (
            "cp310",
            [
                "cp39-cp39-any",
                "cp310-abi3-any",
                "pp39-pypy39_pp73-any",
                "py3-none-any",
                "graalpy311-native-any",
                "cp39.pp39-none-any",
            ],
        ),
    ],
)
def test_an_implementation_of_python_is_excluded(words: str, kept: list[str]) -> None:
    tags = [
        "cp39-cp39-any", "cp310-cp310-any", "cp310-abi3-any", "pp39-pypy39_pp73-any", "py3-none-any",
        "graalpy311-native-any", "cp39.pp39-none-any",
    ]  # fmt: skip
    wanted = set(kept) | ({"cp39.pp39-none-any"} if words == "pypy" else set())
    assert set(kept_of(words, *tags)) == wanted


@pytest.mark.parametrize("word", ["win_amd", "win_x64", "linux_x86", "macosx_arm64", "freebsd_amd64"])
def test_a_platform_that_matches_nothing_is_warned_of(path: Path, word: str) -> None:
    path.write_text(
        f"[mirror]\ndirectory = /srv/pypi\n{enabled('exclude_platform')}[blocklist]\nplatforms =\n    {word}\n"
    )
    (warning,) = [each for each in Config.load(path).warnings if word in each]
    assert warning.endswith(f": {word}: matches no file: no platform of a wheel is spelt like that")


MEANT = (
    "win32 -win-amd64 win_arm64 manylinux_ manylinux2014 manylinux_2_17 musllinux_1_2_x86_64 macosx_11_0 linux-i686 "
    "linux_armv7l freebsd_13 aarch64 pp39"
)


@pytest.mark.parametrize("word", MEANT.split())
def test_a_platform_that_may_match_something_is_not_warned_of(path: Path, word: str) -> None:
    path.write_text(f"[mirror]\ndirectory = /srv/pypi\n{enabled('exclude_platform')}[blocklist]\nplatforms = {word}\n")
    assert not [each for each in Config.load(path).warnings if word in each]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"
