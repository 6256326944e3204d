"""The layers of the package, as docs/architecture.md tells them; this table is what the code is held to."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "bandersnatch"

# Layer, module, and which of our modules it imports. A module imports only from rows above its own: no cycles are possible.
TABLE: tuple[tuple[int, str, str], ...] = (
    (0, "__init__", ""),
    (0, "errors", ""),
    (0, "options", ""),
    (0, "changes", ""),
    (0, "exit_status", ""),
    (0, "suggestions", ""),
    (0, "stop", ""),
    (0, "progress", ""),
    (0, "tables", ""),
    (0, "html_links", ""),
    (0, "project_list", ""),
    (0, "wheel_metadata", ""),
    (1, "ini", "errors"),
    (1, "option_readers", "options"),
    (1, "option_tables", "option_readers options"),
    (1, "mirror_section", "errors ini option_tables options suggestions"),
    (1, "model", "errors"),
    (1, "filters.__init__", ""),
    (1, "filters.verdict", ""),
    (1, "filters.fingerprint", ""),
    (1, "filters.facts", "model"),
    (1, "filters.release_of", "filters.facts model"),
    (1, "filters.settings", "errors ini suggestions"),
    (1, "filters.names", "errors filters.settings"),
    (1, "filters.releases", "errors filters.facts filters.names filters.settings"),
    (1, "filters.requirement_files", "errors"),
    (1, "filters.requirements", "errors filters.names filters.releases filters.requirement_files filters.settings"),
    (1, "filters.platforms", "filters.facts filters.release_of filters.settings suggestions"),
    (1, "filters.metadata", "errors filters.facts filters.names filters.settings option_readers options"),
    (1, "filters.upload_time", "filters.facts filters.settings"),
    (1, "filters.filters", "filters.facts filters.fingerprint filters.releases filters.verdict"),
    (1, "filters.selection", "filters.facts filters.filters filters.release_of filters.releases filters.verdict model"),
    (
        1,
        "filters.registry",
        "filters.filters filters.metadata filters.names filters.platforms filters.releases"
        " filters.requirements filters.settings filters.upload_time suggestions",
    ),
    (1, "config_file", "errors filters.settings ini option_tables suggestions"),
    (
        1,
        "config",
        "config_file errors filters.filters filters.registry filters.settings ini mirror_section"
        " option_tables options suggestions",
    ),
    (1, "layout", "errors model"),
    (1, "forecast", ""),
    (1, "effective", "config_file errors ini option_tables"),
    (1, "findings", "errors layout"),
    (1, "report", "errors filters.verdict layout"),
    (1, "todo", "changes errors model"),
    (1, "simple", "config layout model options"),
    (1, "file_plan", "layout model"),
    (1, "file_sources", "config"),
    (1, "page_rules", "changes errors model"),
    (1, "retention", "model"),
    (1, "brake", "filters.verdict layout options"),
    (1, "deadline", "stop"),
    (2, "logs", "errors"),
    (2, "retries", ""),
    (2, "routes", "config option_readers"),
    (2, "body", "config errors"),
    (2, "turns", ""),
    (2, "lane", "body errors routes"),
    (2, "plain_body", "body config errors lane"),
    (2, "bulk", "body config errors lane plain_body retries routes turns"),
    (2, "fetch", "__init__ body bulk config errors lane plain_body retries routes turns"),
    (2, "changelog", "changes errors fetch model project_list"),
    (2, "upstream", "body changelog changes errors fetch lane model plain_body turns"),
    (2, "legacy_json", "errors upstream"),
    (2, "run_lock", "errors layout"),
    (2, "sink", "errors layout"),
    (2, "folders", "layout"),
    (2, "stored_tree", "errors layout model"),
    (2, "storage", "errors folders layout sink stored_tree"),
    (2, "state", "layout model storage todo"),
    (2, "inventory", "errors layout"),
    (2, "held_page", "errors html_links layout model storage"),
    (2, "rebuild", "errors held_page inventory layout model storage"),
    (2, "page_store", "layout storage"),
    (2, "adoption", "layout model page_store storage"),
    (2, "disk_options", "config errors layout storage"),
    (2, "root_index", "config errors layout simple sink storage"),
    (2, "dry", "errors inventory layout model sink storage"),
    (2, "holdings", "adoption errors inventory layout rebuild root_index simple stop storage"),
    (2, "equipment", "progress stop storage upstream"),
    (2, "order", "layout todo"),
    (3, "core_metadata", "errors file_plan file_sources layout storage upstream wheel_metadata"),
    (
        3,
        "file_sync",
        "body core_metadata errors file_plan file_sources inventory lane layout progress sink storage upstream",
    ),
    (3, "publisher", "config held_page inventory layout legacy_json model page_store simple storage upstream"),
    (3, "held_files", "filters.selection held_page layout model storage"),
    (
        3,
        "wanted_page",
        "filters.facts filters.filters filters.selection filters.verdict held_files held_page layout"
        " legacy_json model options retention storage upstream",
    ),
    (
        3,
        "workshop",
        "config equipment file_plan file_sources file_sync held_page inventory layout options publisher"
        " report storage upstream wanted_page",
    ),
    (3, "soundness", "held_page inventory layout order workshop"),
    (
        3,
        "preparation",
        "changes errors file_plan filters.verdict held_page inventory layout model order page_rules report soundness"
        " upstream workshop",
    ),
    (3, "completion", "file_plan file_sync layout options publisher report workshop"),
    (3, "package", "changes completion errors file_plan file_sync order preparation report workshop"),
    (
        3,
        "project_batch",
        "body completion errors file_plan file_sync inventory lane layout order preparation report upstream workshop",
    ),
    (3, "helper_process", "config errors fetch layout logs progress project_batch retries storage upstream workshop"),
    (3, "helpers", "config errors file_plan file_sync helper_process layout logs project_batch workshop"),
    (3, "dispatch", "changes config errors helpers order package project_batch report workshop"),
    (3, "explain", "errors filters.facts filters.filters filters.selection filters.verdict legacy_json model upstream"),
    (3, "schedule", "changes order todo"),
    (3, "crew", "errors order"),
    (3, "run_plan", "changes errors filters.filters inventory layout model options state todo upstream"),
    (
        3,
        "work",
        "brake changes config crew dispatch equipment errors inventory layout options package publisher report run_plan"
        " schedule todo workshop",
    ),
    (
        3,
        "mirror",
        "adoption config disk_options equipment holdings inventory layout report root_index run_lock run_plan"
        " state todo work",
    ),
    (
        3,
        "dry_run",
        "brake changes config crew dry equipment errors file_plan forecast held_page inventory layout mirror"
        " options order package publisher report run_plan schedule state storage workshop",
    ),
    (
        3,
        "sync",
        "changes config disk_options equipment errors filters.filters holdings inventory layout options"
        " report root_index run_lock run_plan state todo work",
    ),
    (
        3,
        "deletion",
        "config disk_options dry equipment errors holdings inventory layout publisher root_index run_lock"
        " state storage",
    ),
    (3, "account", "errors findings layout report storage"),
    (3, "root_inspection", "account errors findings holdings"),
    (3, "unlisted", "errors held_page inventory layout rebuild storage"),
    (3, "unlisted_deletion", "account brake errors findings inventory layout options storage unlisted"),
    (
        3,
        "inspection",
        "changes errors file_plan findings inventory layout order package publisher report todo workshop",
    ),
    (
        3,
        "verification",
        "account brake config crew disk_options dry equipment errors filters.filters findings holdings"
        " inspection inventory layout order publisher report root_index root_inspection run_lock run_plan"
        " state unlisted_deletion workshop",
    ),
    (4, "invocation", "config deadline equipment exit_status fetch logs progress report stop storage upstream"),
    (4, "commands.__init__", ""),
    (4, "commands.names", "errors model"),
    (4, "commands.not_needed", ""),
    (4, "commands.mirror", "config dry_run errors exit_status forecast invocation mirror tables"),
    (4, "commands.sync", "commands.names exit_status invocation sync"),
    (4, "commands.delete", "commands.names commands.not_needed deletion errors exit_status invocation tables"),
    (
        4,
        "commands.verify",
        "commands.not_needed config errors exit_status findings invocation options tables verification",
    ),
    (4, "commands.config", "effective errors exit_status explain invocation tables"),
    (4, "commands.completion", "errors exit_status invocation tables"),
    (
        4,
        "main",
        "__init__ commands.completion commands.config commands.delete commands.mirror commands.sync"
        " commands.verify config errors exit_status invocation logs",
    ),
    (4, "__main__", "main"),
)

# Which modules may import what is not ours, but for what everyone may.
FOR_EVERYONE = {"msgspec", "packaging"}
OUTSIDERS = {
    "filelock": {"run_lock"},
    "requests": {"bulk", "fetch", "routes"},
    "rich": {"invocation", "logs", "main", "progress", "tables"},
    "six": {"changelog"},
    "urllib3": {"body", "bulk", "fetch", "lane", "retries", "routes"},
}
OPTIONAL = {"option_readers": {"socks"}, "commands.completion": {"shtab"}}

MODULES = [name for _, name, _ in TABLE]


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
    layers = [layer for layer, _, _ in TABLE]
    assert layers == sorted(layers)


@pytest.mark.parametrize(("module", "allowed"), [(module, allowed) for _, module, allowed in TABLE])
def test_module_imports_what_the_table_says(module: str, allowed: str) -> None:
    assert our_imports_of(module) == set(allowed.split())


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
    rows = re.findall(r"^\| (\d) \| `([\w/]+)\.py` \| [^|]+ \| ([^|]*)\|$", page, re.MULTILINE)
    told = [(int(layer), path.replace("/", "."), set(re.findall(r"[\w.]+", imports))) for layer, path, imports in rows]
    assert told == [(layer, module, set(allowed.split())) for layer, module, allowed in TABLE]


def test_architecture_page_argues_for_every_dependency() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    argued = re.findall(r"^- `([a-z0-9]+)`: ", page, re.MULTILINE)
    assert sorted(argued) == sorted({*OUTSIDERS, *FOR_EVERYONE})


WITHOUT_EFFECT = """
import importlib, logging, signal, sys, threading

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

for library in sys.argv[2:]:  # what they do when they are imported is not ours
    importlib.import_module(library)
before = settings()
sys.addaudithook(watch)
importlib.import_module(sys.argv[1])
assert settings() == before, (before, settings())
assert not seen, seen
"""
"""Imports a module and sees whether it sets up logging or signals, starts threads, writes files or opens sockets."""


@pytest.mark.parametrize("module", MODULES)
def test_importing_a_module_has_no_effect(module: str) -> None:
    name = f"bandersnatch.{module}".removesuffix(".__init__")
    libraries = ["filelock", "msgspec", "requests", "six.moves.xmlrpc_client", "sqlite3"]
    command = [sys.executable, "-B", "-W", "error", "-c", WITHOUT_EFFECT, name, *libraries]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
