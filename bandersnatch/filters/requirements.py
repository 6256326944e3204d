"""The filters that take their lists from requirement files."""

from pathlib import Path

from bandersnatch.filters.names import OnlyListed
from bandersnatch.filters.releases import OnlyReleases, grouped
from bandersnatch.filters.requirement_files import RequirementFileError, RequirementFiles
from bandersnatch.filters.settings import Entry, Settings
from bandersnatch.names import canonicalize_name
from bandersnatch.shown_text import shown


def read_project_requirements(settings: Settings) -> OnlyListed | None:
    """Read the filter that keeps the projects named in the files; constraints name none."""
    files = _read_files(settings)
    names = frozenset(canonicalize_name(each.name) for each in files.requirements)
    return OnlyListed("project_requirements", names, "[allowlist] requirements") if names else None


def read_project_requirements_pinned(settings: Settings) -> OnlyReleases | None:
    """Read the filter that keeps the releases that the files ask for."""
    files = _read_files(settings)
    specifiers = grouped(files.requirements, files.constraints)
    return OnlyReleases("project_requirements_pinned", specifiers, "[allowlist] requirements") if specifiers else None


def _read_files(settings: Settings) -> RequirementFiles:
    """Read all files that the configuration names; each problem is reported once, however many filters read them."""
    files = RequirementFiles()
    for entry in settings.entries("allowlist", "requirements"):
        for path in _paths(settings, entry.without_comment()):
            try:
                files.add(path)
            except RequirementFileError as error:
                settings.add_problem(entry, str(error))
    place = settings.place("allowlist", "requirements")
    for line in files.passed_over:
        settings.add_warning(f"{place}: {line}")
    return files


def _paths(settings: Settings, entry: Entry) -> list[Path]:
    """Return the files that an entry names, directly or by a pattern, below ``requirements_path``."""
    folder_entry = settings.value("allowlist", "requirements_path")
    folder = Path()
    if folder_entry is not None:
        try:
            folder = Path(folder_entry.text).expanduser()
        except (RuntimeError, ValueError):  # ~nobody, or a NUL behind the ~
            settings.add_problem(folder_entry, "expected the path of a folder")
            return []
    if not entry.text:
        return []
    path = (folder / entry.text).absolute()
    if not set(entry.text) & set("*?[") or path.is_file():  # "foo[extra].txt" may be a file name
        return [path]
    try:
        found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    except (ValueError, NotImplementedError) as error:
        settings.add_problem(entry, f"expected a file, or a pattern such as *.txt: {error}")
        return []
    if not found:
        settings.add_problem(entry, f"no file matches {shown(str(path))}")
    return [each for each in found if each.is_file()]
