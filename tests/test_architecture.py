"""The rooms of the house, as docs/architecture.toml lists them: each uses only the rooms below it."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "bandersnatch"
TABLE = tomllib.loads((REPOSITORY / "docs" / "architecture.toml").read_text("utf-8"))
GROUND, DOORS = "", "doors"
FLOORS = [GROUND, *TABLE["packages"], DOORS]
"""From the ground up. The ground has no name of its own: its modules are those of ``bandersnatch/`` itself."""

# Which modules may import what is not ours, but for what everyone may.
FOR_EVERYONE = {"msgspec"}
OUTSIDERS = {
    "filelock": {"storage.lock"},
    "packaging": {
        "filters.facts",
        "filters.metadata",
        "filters.name_options",
        "filters.platforms",
        "filters.release_of",
        "filters.releases",
        "filters.requirement_files",
        "names",
        "operations.explain",
        "plan.kept_files",
    },
    "pycurl": {"http.curl_errors", "http.curl_handle", "http.curl_loop", "http.curl_settings", "http.transfer"},
    "requests": {"http.curl_settings", "http.routes"},
    "rich": {"cli.app", "cli.invocation", "cli.output", "logs", "progress"},
    "six": {"upstream.changelog"},
    "urllib3": {
        "http.bounded_connection",
        "http.conversation",
        "http.curl_settings",
        "http.reasons",
        "http.routes",
    },
}
OPTIONAL = {
    "inifile.readers": {"socks"},
    "cli.completion": {"shtab"},
    "http.decompression": {"brotli", "backports", "compression"},
    "serving.channel": {"waitress"},
    "serving.loop": {"waitress"},
    "serving.server": {"waitress"},
}

MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))


def room_of(module: str) -> str:
    """Return the package of a module, or where at the top it stands."""
    package, _, name = module.rpartition(".")
    return package or (DOORS if name in TABLE["doors"] else GROUND)


def path_of(module: str) -> Path:
    """Return a module's file; a folder's own module is ``folder.__init__``."""
    return PACKAGE / f"{module.replace('.', '/')}.py"


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(path_of(module).read_text("utf-8"))


@cache
def imports_of(module: str) -> set[str]:
    """Return the full names of the modules that a module imports anywhere in it, also for types only."""
    names: set[str] = set()
    for node in ast.walk(tree_of(module)):
        match node:
            case ast.Import():
                names.update(alias.name for alias in node.names)
            case ast.ImportFrom(module=str(source), level=0, names=aliases):
                within = {f"{source}.{alias.name}" for alias in aliases}
                modules = {name for name in within if path_of(name.removeprefix("bandersnatch.")).is_file()}
                names |= modules if modules == within else {source, *modules}
            case ast.ImportFrom():
                pytest.fail(f"{module}: a relative import; write out where it comes from")
            case _:
                pass
    return names


@cache
def our_imports_of(module: str) -> set[str]:
    ours = (name for name in imports_of(module) if name.partition(".")[0] == "bandersnatch")
    names = (name.partition(".")[2] for name in ours)
    return {name if path_of(name).is_file() else f"{name}.__init__".lstrip(".") for name in names}


def outsiders_of(module: str) -> set[str]:
    names = {name.partition(".")[0] for name in imports_of(module)}
    return names - sys.stdlib_module_names - {"bandersnatch"}


def test_table_names_every_room() -> None:
    assert {room_of(module) for module in MODULES} == set(FLOORS)
    assert sorted(TABLE["ground"]) == [module for module in MODULES if room_of(module) == GROUND]
    assert sorted(TABLE["doors"]) == [module for module in MODULES if room_of(module) == DOORS]


@pytest.mark.parametrize("module", MODULES)
def test_module_uses_only_its_own_room_and_those_below(module: str) -> None:
    floor = FLOORS.index(room_of(module))
    assert {room_of(name) for name in our_imports_of(module)} <= set(FLOORS[: floor + 1])


def test_no_module_uses_itself_by_way_of_others() -> None:
    TopologicalSorter({module: our_imports_of(module) - {"__init__"} for module in MODULES}).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_outsiders_have_few_doors(module: str) -> None:
    allowed = {name for name, doors in OUTSIDERS.items() if module in doors}
    assert outsiders_of(module) <= allowed | FOR_EVERYONE | OPTIONAL.get(module, set())


@pytest.mark.parametrize(
    ("module", "door"),
    [
        ("storage.lock", "operations.session"),
        ("operations.disk_options", "operations.session"),
        ("operations.dry_storage", "operations.session"),
        ("plan.removal_brake", "plan.removals"),
    ],
)
def test_module_has_one_door(module: str, door: str) -> None:
    assert [each for each in MODULES if module in our_imports_of(each)] == [door]


def test_every_runtime_dependency_is_used_and_declared() -> None:
    declared = re.findall(r"^([A-Za-z0-9_-]+)", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE)
    used = set.union(*map(outsiders_of, MODULES)).difference(*OPTIONAL.values())
    assert used == set(declared)
    assert set(OUTSIDERS) | FOR_EVERYONE == used


@pytest.mark.parametrize("module", MODULES)
def test_module_says_what_it_is_for(module: str) -> None:
    docstring = ast.get_docstring(tree_of(module))
    assert docstring is not None
    assert len(docstring.splitlines()[0]) > 20


def test_picture_of_the_rooms_is_current() -> None:
    command = [sys.executable, "docs/draw_architecture.py", "--check"]
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True).stderr == ""


def test_architecture_page_tells_of_every_room() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)/` \|", page, re.MULTILINE) == list(TABLE["packages"])


def test_architecture_page_fits_on_three_screens() -> None:
    assert len((REPOSITORY / "docs" / "architecture.md").read_text("utf-8").splitlines()) <= 3 * 45


def test_table_names_only_classes_that_are_there() -> None:
    words = " ".join([*TABLE["packages"].values(), *(step for way in TABLE["ways"] for step in way["steps"])])
    nodes = (node for module in MODULES for node in ast.walk(tree_of(module)))
    classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    named = set(re.findall(r"\b[A-Z]\w*[a-z]\w*", words))
    assert "ChangelogEntry" in named
    assert named - classes == set()


@pytest.mark.parametrize("page", sorted(path.name for path in (REPOSITORY / "docs").glob("*.md")))
def test_page_names_only_modules_that_are_there(page: str) -> None:
    text = (REPOSITORY / "docs" / page).read_text("utf-8")
    named = re.findall(r"`((?:\w+/)+\w+\.py)`", text)
    assert [name for name in named if not (PACKAGE / name).is_file() and not (REPOSITORY / name).is_file()] == []


def test_architecture_page_argues_for_every_dependency() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    argued = re.findall(r"^- `([a-z0-9]+)`: ", page, re.MULTILINE)
    assert sorted(argued) == sorted({*OUTSIDERS, *FOR_EVERYONE})


WITHOUT_EFFECT = """
import importlib, logging, os, signal, sys, threading, traceback

seen = []
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(("socket.", "subprocess.", "os.mkdir", "os.putenv", "os.remove", "os.rename", "shutil.")):
        seen.append((event, arguments))

def settings():
    loggers = [logging.getLogger(), logging.getLogger("bandersnatch")]
    return (
        [(logger.level, list(logger.handlers)) for logger in loggers],
        [signal.getsignal(number) for number in signal.valid_signals()],
        threading.active_count(), sys.excepthook, sys.stdout, sys.stderr,
    )

def look(module):
    before = settings()
    sys.addaudithook(watch)
    importlib.import_module(module)
    assert settings() == before, (module, before, settings())
    assert not seen, (module, seen)

for library in ("filelock", "msgspec", "requests", "six.moves.xmlrpc_client", "sqlite3"):
    importlib.import_module(library)  # what they do when they are imported is not ours
"""
"""Imports a module, and sees whether it sets up logging or signals, starts threads, writes files or opens sockets."""

APART = """
for module in sys.argv[1:]:
    if not (child := os.fork()):
        status = 1
        try:
            look(module)
            status = 0
        except BaseException:
            print(module, traceback.format_exc(), file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"{module}: ended with {status}")
"""
"""Looks at each module in a process of its own."""


def import_all(program: str) -> tuple[int, str, str]:
    names = [f"bandersnatch.{module}".removesuffix(".__init__") for module in MODULES]
    command = [sys.executable, "-B", "-W", "error", "-c", program, *names]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    return finished.returncode, finished.stdout, finished.stderr


def test_importing_a_module_has_no_effect() -> None:
    assert import_all(WITHOUT_EFFECT + "for module in sys.argv[1:]: look(module)") == (0, "", "")


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.timeout(900)  # a process for each module, on a machine that may be busy
def test_each_module_may_be_the_first_that_is_imported() -> None:
    assert import_all(WITHOUT_EFFECT + APART) == (0, "", "")
