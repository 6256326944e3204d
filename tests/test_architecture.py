"""The layers of the package, as docs/architecture.md tells them; this table is what the code is held to."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "bandersnatch"

# Layer and module, in an order in which each imports only from those above it.
TABLE: tuple[tuple[int, str], ...] = (
    (0, "__init__"),
    (0, "refusals"),
    (0, "errors"),
    (0, "options"),
    (0, "changes"),
    (0, "exit_status"),
    (0, "suggestions"),
    (0, "masking"),
    (0, "stop"),
    (0, "amounts"),
    (0, "entity_tags"),
    (0, "progress"),
    (0, "tables"),
    (0, "html_links"),
    (0, "project_list"),
    (0, "wheel_metadata"),
    (0, "memory"),
    (1, "ini"),
    (1, "option_readers"),
    (1, "option_tables"),
    (1, "mirror_section"),
    (1, "wire"),
    (1, "model"),
    (1, "filters.__init__"),
    (1, "filters.verdict"),
    (1, "filters.fingerprint"),
    (1, "filters.facts"),
    (1, "filters.release_of"),
    (1, "filters.settings"),
    (1, "filters.names"),
    (1, "filters.releases"),
    (1, "filters.requirement_files"),
    (1, "filters.requirements"),
    (1, "filters.platforms"),
    (1, "filters.metadata"),
    (1, "filters.upload_time"),
    (1, "filters.filters"),
    (1, "filters.selection"),
    (1, "filters.registry"),
    (1, "config_file"),
    (1, "fingerprint"),
    (1, "config"),
    (1, "example"),
    (1, "layout"),
    (1, "forecast"),
    (1, "effective"),
    (1, "findings"),
    (1, "report"),
    (1, "selection_changes"),
    (1, "todo"),
    (1, "simple"),
    (1, "file_plan"),
    (1, "file_sources"),
    (1, "page_rules"),
    (1, "retention"),
    (1, "brake"),
    (1, "deadline"),
    (2, "logs"),
    (2, "connections"),
    (2, "retries"),
    (2, "routes"),
    (2, "body"),
    (2, "turns"),
    (2, "lane"),
    (2, "plain_body"),
    (2, "bulk"),
    (2, "fetch"),
    (2, "changelog"),
    (2, "journal_end"),
    (2, "upstream"),
    (2, "legacy_json"),
    (2, "access"),
    (2, "lock_holder"),
    (2, "claims"),
    (2, "set_aside"),
    (2, "stored_tree"),
    (2, "mirror_folder"),
    (2, "run_lock"),
    (2, "shortcomings"),
    (2, "sink"),
    (2, "folders"),
    (2, "private_folder"),
    (2, "parts"),
    (2, "room"),
    (2, "storage"),
    (2, "state"),
    (2, "inventory_rows"),
    (2, "strangers"),
    (2, "unconfirmed"),
    (2, "quarantines"),
    (2, "awaited"),
    (2, "database_errors"),
    (2, "index_record"),
    (2, "closing_mark"),
    (2, "inventory_schema"),
    (2, "inventory_database"),
    (2, "inventory"),
    (2, "held_page"),
    (2, "rebuild"),
    (2, "page_store"),
    (2, "adoption"),
    (2, "disk_options"),
    (2, "root_patch"),
    (2, "root_index"),
    (2, "dry"),
    (2, "holdings"),
    (2, "equipment"),
    (2, "own_projects"),
    (3, "core_metadata"),
    (3, "file_sync"),
    (3, "publisher"),
    (3, "held_files"),
    (3, "wanted_page"),
    (3, "workshop"),
    (3, "order"),
    (3, "shrinking"),
    (3, "soundness"),
    (3, "preparation"),
    (3, "completion"),
    (3, "package"),
    (3, "project_batch"),
    (3, "helper_process"),
    (3, "helpers"),
    (3, "dispatch"),
    (3, "explain"),
    (3, "schedule"),
    (3, "crew"),
    (3, "named_projects"),
    (3, "allowlisted"),
    (3, "index_plan"),
    (3, "run_plan"),
    (3, "explanations"),
    (3, "refresh"),
    (3, "removal_work"),
    (3, "outcome_log"),
    (3, "work"),
    (3, "mirror"),
    (3, "dry_run"),
    (3, "sync"),
    (3, "deletion"),
    (3, "account"),
    (3, "root_inspection"),
    (3, "unlisted"),
    (3, "unlisted_deletion"),
    (3, "inspection"),
    (3, "verification"),
    (4, "signals"),
    (4, "invocation"),
    (4, "about"),
    (4, "commands.__init__"),
    (4, "commands.names"),
    (4, "commands.not_needed"),
    (4, "commands.mirror"),
    (4, "commands.sync"),
    (4, "commands.delete"),
    (4, "commands.verify"),
    (4, "commands.config"),
    (4, "commands.completion"),
    (4, "main"),
    (4, "__main__"),
)

# Which modules may import what is not ours, but for what everyone may.
FOR_EVERYONE = {"msgspec", "packaging"}
OUTSIDERS = {
    "filelock": {"run_lock"},
    "requests": {"bulk", "fetch", "routes"},
    "rich": {"invocation", "logs", "main", "progress", "tables"},
    "six": {"changelog"},
    "urllib3": {"body", "bulk", "connections", "fetch", "lane", "retries", "routes"},
}
OPTIONAL = {"option_readers": {"socks"}, "commands.completion": {"shtab"}}

MODULES = [name for _, name in TABLE]


def path_of(module: str) -> Path:
    """Return a module's file; a folder's own module is ``folder.__init__``."""
    return PACKAGE / f"{module.replace('.', '/')}.py"


def imports_of(module: str) -> set[str]:
    """Return the full names of the modules that a module imports anywhere in it, also for types only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path_of(module).read_text("utf-8"))):
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


def our_imports_of(module: str) -> set[str]:
    ours = (name for name in imports_of(module) if name.partition(".")[0] == "bandersnatch")
    names = (name.partition(".")[2] for name in ours)
    return {name if path_of(name).is_file() else f"{name}.__init__".lstrip(".") for name in names}


def outsiders_of(module: str) -> set[str]:
    names = {name.partition(".")[0] for name in imports_of(module)}
    return names - sys.stdlib_module_names - {"bandersnatch"}


def test_table_names_every_module_once() -> None:
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    assert sorted(MODULES) == sorted(".".join(path.parts) for path in paths)


def test_layers_stand_in_their_order() -> None:
    layers = [layer for layer, _ in TABLE]
    assert layers == sorted(layers)


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_from_rows_above(module: str) -> None:
    assert our_imports_of(module) <= set(MODULES[: MODULES.index(module)])


@pytest.mark.parametrize("module", MODULES)
def test_outsiders_have_few_doors(module: str) -> None:
    allowed = {name for name, doors in OUTSIDERS.items() if module in doors}
    assert outsiders_of(module) <= allowed | FOR_EVERYONE | OPTIONAL.get(module, set())


def test_every_runtime_dependency_is_used_and_declared() -> None:
    declared = re.findall(r"^([A-Za-z0-9_-]+)", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE)
    used = set.union(*map(outsiders_of, MODULES)).difference(*OPTIONAL.values())
    assert used == set(declared)
    assert set(OUTSIDERS) | FOR_EVERYONE == used


@pytest.mark.parametrize("module", MODULES)
def test_module_says_what_it_is_for(module: str) -> None:
    tree = ast.parse(path_of(module).read_text("utf-8"))
    docstring = ast.get_docstring(tree)
    assert docstring is not None
    assert len(docstring.splitlines()[0]) > 20


def test_architecture_page_has_the_same_table() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d) \| `([\w/]+)\.py` \| [^|]+ \|$", page, re.MULTILINE)
    assert [(int(layer), path.replace("/", ".")) for layer, path in rows] == list(TABLE)


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
"""Imports modules, each in a process of its own, and sees whether it sets up logging or signals, starts threads, writes
files or opens sockets."""


def test_importing_a_module_has_no_effect() -> None:
    names = [f"bandersnatch.{module}".removesuffix(".__init__") for module in MODULES]
    command = [sys.executable, "-B", "-W", "error", "-c", WITHOUT_EFFECT, *names]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
