"""``exclude_platform``: drops files that only excluded platforms or excluded versions of Python can use.

A wheel is dropped only if every one of its tags is excluded. A tag counts for all Python versions that it can be
installed on: ``py3`` for all of Python 3, ``py27`` for 2.7, ``cp38-abi3`` for 3.8 and later. Source distributions are
never dropped. Eggs, installers and built archives have their platform and version in their names; an archive counts as
a source distribution unless its name ends as setuptools names built ones, ``.linux-x86_64.tar.gz``. Machines and
implementations of Python can be excluded too: ``aarch64``, ``pypy``, ``cp310``.
"""

import re

from msgspec import Struct
from packaging.tags import Tag, parse_tag

from bandersnatch.filters.facts import FileFacts
from bandersnatch.filters.release_of import rest_of
from bandersnatch.filters.settings import Entry, Settings
from bandersnatch.inifile.suggestions import suggestion

_SYSTEMS = {
    "windows": ("win",),
    "macos": ("macosx",),
    "freebsd": ("freebsd",),
    "linux": ("linux", "manylinux", "musllinux"),
    "ios": ("ios",),
    "android": ("android",),
    "pyodide": ("pyodide", "emscripten", "wasi"),
}
"""Words for whole systems, and the prefixes of their platform tags."""
_OTHER_WORDS = {"win": "windows", "macosx": "macos"}
_PLATFORM = re.compile(
    r"win32|(win|macosx|linux|freebsd|ios|android|pyodide|emscripten|wasi)_\w*|manylinux(1|2010|2014)?(_\w*)?|musllinux(_\w*)?"
)
_MACHINES = frozenset(
    {"aarch64", "amd64", "arm64", "armv6l", "armv7l", "i386", "i686", "loongarch64", "ppc64", "ppc64le", "riscv64"}
    | {"s390x", "x86_64"}
)
"""The suffixes of platform tags."""
_KNOWN_PLATFORM = re.compile(
    rf"win32|win_(?:amd64|arm32|arm64|ia64)|(?:linux|manylinux1|manylinux2010|manylinux2014)(?:_(?:{'|'.join(_MACHINES)}))?"
    rf"|(?:manylinux|musllinux)(?:_\d+(?:_\d+(?:_(?:{'|'.join(_MACHINES)}))?)?)?"
    r"|macosx(?:_\d+(?:_\d+(?:_\w+)?)?)?|(?:freebsd|ios|android|pyodide|emscripten)(?:_\d+\w*)?|wasi(?:_\w+)?"
)
"""All real platform tags, possibly cut off after a whole word; to warn of excluded platforms that match nothing."""
_IMPLEMENTATIONS = {"cpython": "cp", "pypy": "pp", "graalpy": "graalpy", "ironpython": "ip", "jython": "jy"}
_INTERPRETER_WORD = re.compile(r"(?:cp|pp|ip|jy|graalpy)\d{1,4}")
_INSTALLERS = {".exe": "windows", ".msi": "windows", ".dmg": "macos", ".rpm": "linux"}
_PYTHON_WORD = re.compile(r"py(\d)(?:\.(\d{1,2}))?")
_INTERPRETER = re.compile(r"(py|cp|pp|ip|jy)(\d)(\d{1,2})?")
_BUILT = re.compile(
    r"(?:[.-](?P<platform>(?:win32|win[-_]|linux[-_]|macosx[-_]|freebsd[-_]).*?))?(?:-py(?P<python>\d\.\d{1,2}))?"
    r"(?:-(?P<egg_platform>(?:win|linux|macosx|freebsd).*))?$"
)
_ARCHIVE = re.compile(r"\.(?:zip|tgz|tbz|tar(?:\.\w+)?)$", re.IGNORECASE)
_BUILT_ARCHIVE = re.compile(
    r"\.(?P<platform>win32|(?:win|linux)-\w+|macosx-[\d.]+-\w+|freebsd-[\w.-]+?)(?:-py(?P<python>\d\.\d{1,2}))?$"
)
_LAST_MINOR = {2: 7}
"""Python series that have ended, with their last minor version; any other may get a newer one."""


class ExcludePlatform(Struct, frozen=True):
    """Drops files by what they are built for: systems, machines and single platforms, implementations and versions."""

    filter_name: str
    systems: frozenset[str]
    platforms: frozenset[str]
    pythons: frozenset[tuple[int, int | None]]
    """Major and minor version; None means the whole series."""
    interpreters: frozenset[str]
    """Prefixes of tags for a whole implementation (``pp``), or whole tags for one version (``cp310``)."""
    machines: frozenset[str]
    needs_json: bool = False

    def keeps(self, facts: FileFacts) -> bool:
        """Whether anything that is not excluded can use the file."""
        tags = _tags_of(facts)
        return not tags or not all(self._excludes(tag) for tag in tags)

    def reason(self, facts: FileFacts) -> str:
        """Return what the file is built for."""
        tags = sorted(map(str, _tags_of(facts)))
        if not tags:
            return f"{facts.file.filename} is built for no platform"
        verb = "is not" if self.keeps(facts) else "is"
        return f"all that {facts.file.filename} is built for ({', '.join(tags[:5])}) {verb} excluded"

    def _excludes(self, tag: Tag) -> bool:
        return self._excludes_platform(tag.platform) or self._excludes_python(tag)

    def _excludes_platform(self, platform: str) -> bool:
        if any(platform.startswith(_SYSTEMS[system]) for system in self.systems):
            return True
        if any(platform.endswith(f"_{machine}") for machine in self.machines):
            return True
        return any(platform == each or platform.startswith(f"{each.rstrip('_')}_") for each in self.platforms)

    def _excludes_python(self, tag: Tag) -> bool:
        if tag.interpreter.rstrip("0123456789") in self.interpreters:
            return True
        # abi3 wheels also work on later versions, so excluding this one version is no reason to drop them.
        if tag.interpreter in self.interpreters and tag.abi != "abi3":
            return True
        interpreter = _INTERPRETER.fullmatch(tag.interpreter)
        if interpreter is None:
            return False
        major = int(interpreter[2])
        if (major, None) in self.pythons:
            return True
        if interpreter[3] is None:
            return False  # a py3 wheel serves versions that are not excluded
        minor = int(interpreter[3])
        is_for_later_ones = interpreter[1] == "py" or tag.abi == "abi3"
        if not is_for_later_ones:
            return (major, minor) in self.pythons
        # As long as newer versions may appear, something that is not excluded can use the file.
        last = _LAST_MINOR.get(major)
        return last is not None and all((major, each) in self.pythons for each in range(minor, last + 1))


def read_exclude_platform(settings: Settings) -> ExcludePlatform | None:
    """Read the filter; its words may be on one line or several."""
    systems: set[str] = set()
    platforms: set[str] = set()
    pythons: set[tuple[int, int | None]] = set()
    interpreters: set[str] = set()
    machines: set[str] = set()
    for entry in settings.entries("blocklist", "platforms"):
        for written in entry.without_comment().text.split():
            # Files for other versions may have the parts of names that those compare, such as -win32.
            bare = written.lower().lstrip(".-")
            word = _OTHER_WORDS.get(bare, bare)
            if word in _SYSTEMS:
                systems.add(word)
            elif python := _PYTHON_WORD.fullmatch(word):
                pythons.add((int(python[1]), int(python[2]) if python[2] else None))
            elif word in _IMPLEMENTATIONS or _INTERPRETER_WORD.fullmatch(word):
                interpreters.add(_IMPLEMENTATIONS.get(word, word))
            elif (machine := _as_tag(word)) in _MACHINES:
                machines.add(machine)
            elif platform := _platform_of(word):
                platforms.add(platform)
                if not _KNOWN_PLATFORM.fullmatch(platform.rstrip("_")):
                    place = settings.place(entry.section, entry.option, entry.line)
                    settings.add_warning(
                        f"{place}: {written}: matches no file: no platform of a wheel is spelt like that"
                    )
            else:
                _tell_unknown(settings, entry, written)
    if not (systems | platforms | interpreters | machines or pythons):
        return None
    return ExcludePlatform(
        "exclude_platform",
        frozenset(systems),
        frozenset(platforms),
        frozenset(pythons),
        frozenset(interpreters),
        frozenset(machines),
    )


def _platform_of(word: str) -> str | None:
    """Return a word in the spelling of wheel tags, or None; ``-win32``, ``linux-i686`` and ``manylinux_`` count too."""
    platform = re.sub(r"[-.]", "_", word)
    return platform if _PLATFORM.fullmatch(platform) else None


def _tell_unknown(settings: Settings, entry: Entry, word: str) -> None:
    known = [*_SYSTEMS, *_OTHER_WORDS, *_IMPLEMENTATIONS, *sorted(_MACHINES)]
    known += ["py2.7", "py3.8", "win_amd64", "manylinux2014_aarch64"]
    allowed = f"{', '.join(_SYSTEMS)}, pyX.Y, cpXY, an implementation such as pypy, a machine such as aarch64"
    allowed += " or the platform of a wheel"
    settings.add_problem(entry, f'"{word}" is not a platform: expected {allowed}{suggestion(word, known)}')


def _tags_of(facts: FileFacts) -> frozenset[Tag]:
    """Return what a file is built for; nothing for a source distribution, or if its name does not say."""
    filename = facts.file.filename
    if filename.endswith(".whl"):
        # name-version[-build]-python-abi-platform: the last three parts are the tags.
        parts = filename.removesuffix(".whl").split("-")
        return _parsed("-".join(parts[-3:])) if len(parts) >= 5 and all(parts[-3:]) else frozenset()
    is_archive = _ARCHIVE.search(filename) is not None
    built = (_BUILT_ARCHIVE if is_archive else _BUILT).search(rest_of(filename, facts.project))
    platform, python = "any", "none"
    if built is not None:
        platform = built["platform"] or (not is_archive and built["egg_platform"]) or "any"
        python = f"cp{built['python'].replace('.', '')}" if built["python"] else "none"
    for extension, system in _INSTALLERS.items():
        if filename.endswith(extension):
            platform = _SYSTEMS[system][0]
    return frozenset() if (platform, python) == ("any", "none") else _parsed(f"{python}-none-{_as_tag(platform)}")


def _parsed(tag: str) -> frozenset[Tag]:
    try:
        return frozenset(parse_tag(tag))
    except ValueError:
        return frozenset()


def _as_tag(platform: str) -> str:
    return re.sub(r"[-.]", "_", platform)
