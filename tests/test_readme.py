"""README and the example configuration say what the code does."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.version import Version

from bandersnatch import __version__
from bandersnatch.cli.exit_codes import EXIT_STATUS
from bandersnatch.config.config import Config
from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.config.option_table import MIRROR_OPTIONS
from bandersnatch.filters.settings import ANY_PATH, FILTER_OPTIONS, FILTER_READS
from bandersnatch.inifile.option import PUBLIC_PYPI

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text("utf-8")
CONFIGURATION = (REPOSITORY / "docs" / "configuration.md").read_text("utf-8")
EXAMPLE = (REPOSITORY / "bandersnatch.conf.example").read_text("utf-8")
DIRECTORY = "/srv/pypi"


def rows_below(header: str, page: str = README) -> list[list[str]]:
    """Return the cells of the table in a page that has this header."""
    _, _, rest = page.partition(f"\n{header}\n")
    assert rest, f"there is no table {header}"
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_configuration_page_has_every_option_with_its_default_and_since_when_it_is_there() -> None:
    rows = rows_below("| option | default | since | meaning |", CONFIGURATION)
    told = [(name, default, since) for name, default, since, _ in rows]
    words = {None: "required", "": "empty"}
    assert told == [
        (f"`{option.name}`", words.get(option.default, f"`{option.default}`"), option.since)
        for option in MIRROR_OPTIONS
    ]
    assert all(meaning.endswith((".", ").")) for *_, meaning in rows)


def test_configuration_page_has_every_option_of_filters() -> None:
    rows = rows_below("| section | option | since | meaning |", CONFIGURATION)
    known = [
        (f"`[{section}]`", option if option == ANY_PATH else f"`{option}`", since)
        for section, options in FILTER_OPTIONS.items()
        for option, since in options.items()
    ]
    assert [(section, option, since) for section, option, since, _ in rows] == known
    assert all(meaning.endswith(".") for *_, meaning in rows)


def test_readme_has_every_exit_status_with_its_meaning() -> None:
    told = dict(rows_below("| exit status | meaning |"))
    text = " ".join(EXIT_STATUS.split()).removeprefix("exit status: ")
    documented = dict(re.findall(r"(?:^| )(\d+):? (\S.*?)(?=;? \d+:? |$)", text))
    assert set(told) == set(documented)
    for status in told.keys() - {"130", "143"}:
        assert told[status] == documented[status]


def test_configuration_page_and_example_name_the_same_public_index() -> None:
    assert f"`{PUBLIC_PYPI}`" in CONFIGURATION
    assert f"\nmaster = {PUBLIC_PYPI}\n" in EXAMPLE


def test_example_is_the_one_in_the_package() -> None:
    assert (REPOSITORY / "bandersnatch" / "bandersnatch.conf.example").read_text("utf-8") == EXAMPLE


def test_example_has_every_option_at_its_default() -> None:
    of_mirror = EXAMPLE.partition("\n; Filters: ")[0]
    uncommented = re.sub(r"^; (\S+ =)", r"\1", of_mirror, flags=re.MULTILINE)
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign, assignment]  # names are case-sensitive
    parser.read_string(uncommented)
    assert parser.sections() == ["mirror"]
    assert dict(parser["mirror"]) == {option.name: option.default or "" for option in MIRROR_OPTIONS} | {
        "directory": DIRECTORY
    }


def test_example_loads_and_is_the_default_configuration(tmp_path: Path) -> None:
    config = tmp_path / "bandersnatch.conf"
    config.write_text(EXAMPLE, "utf-8")
    assert Config.load(config) == Config(directory=Path(DIRECTORY), http=HttpConfig(PUBLIC_PYPI))


@pytest.mark.parametrize("name", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_links_of_readme_lead_somewhere(name: str) -> None:
    assert (REPOSITORY / name).is_file()


@pytest.mark.parametrize("page", ["commands.md", "configuration.md", "filters.md", "moving-in.md", "serving.md"])
def test_links_of_other_pages_lead_somewhere(page: str) -> None:
    text = (REPOSITORY / "docs" / page).read_text("utf-8")
    for name, anchor in re.findall(r"\]\((?!http)([^)#]+)(?:#([^)]+))?\)", text):
        target = REPOSITORY / "docs" / name
        assert target.is_file(), name
        assert not anchor or anchor in anchors_of(target.read_text("utf-8")), anchor


@pytest.mark.parametrize("anchor", sorted(set(re.findall(r"\]\(#([^)]+)\)", README))))
def test_anchors_of_readme_are_there(anchor: str) -> None:
    assert anchor in anchors_of(README)


def anchors_of(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


MOVING_IN = (REPOSITORY / "docs" / "moving-in.md").read_text("utf-8")


@pytest.mark.parametrize("option", [option.name for option in MIRROR_OPTIONS if option.since != "new"])
def test_moving_in_has_every_option_that_older_versions_have(option: str) -> None:
    named = re.findall(r"`([^`]+)`", MOVING_IN)
    assert any(each == option or each.startswith((f"{option} ", f"{option}:")) for each in named)


@pytest.mark.parametrize("name", sorted(FILTER_READS))
def test_moving_in_has_every_filter(name: str) -> None:
    family = re.sub(r"^(regex|version_range)_.*(_metadata)$", r"\1_…", name)  # one row for both of a kind
    assert f"`{name}`" in MOVING_IN or f"`{family}" in MOVING_IN


RELIABILITY = rows_below(
    "| # | what goes wrong | what is promised | what was tried | outcome |",
    (REPOSITORY / "docs" / "reliability.md").read_text("utf-8"),
)


@pytest.mark.parametrize("row", RELIABILITY, ids=lambda row: f"row {row[0]}")
def test_each_row_of_reliability_names_its_tests(row: list[str]) -> None:
    named = re.findall(r"`(tests/[^` ]+)`", row[3])
    assert named
    assert [each for each in named if not list(REPOSITORY.glob(each))] == []


def test_all_tests_of_faults_are_in_reliability() -> None:
    named = {name for row in RELIABILITY for name in re.findall(r"`tests/faults/([^` ]+)`", row[3])}
    assert named >= {path.name for path in (REPOSITORY / "tests" / "faults").glob("test_[0-9]*.py")}


@pytest.mark.parametrize("environment", ["py", "demo"])
def test_set_up_commands_are_one_line_each(environment: str) -> None:
    lines = [line for line in README.splitlines() if line.endswith(f"tox -q -e {environment}")]
    assert len(lines) == 1
    assert lines[0].startswith("python3 -m venv .venv && ")


def test_pre_commit_takes_the_bounds_of_the_other_checks() -> None:
    hooks = (REPOSITORY / ".pre-commit-config.yaml").read_text("utf-8")
    told = re.findall(r'additional_dependencies: \["(.+)"\]', hooks)
    assert told
    assert set(told) <= set((REPOSITORY / "requirements-dev.txt").read_text("utf-8").splitlines())


def test_readme_says_where_to_get_a_version_that_pip_prefers_to_the_older_program() -> None:
    assert Version(__version__) > Version("8.9")
    install = README.partition("\n## Install\n")[2].partition("\n## ")[0]
    assert "\ngit clone https://github.com/pypa/bandersnatch\n" in install
    assert "`pip wheel --no-deps .`" in install
    assert f"This is version {Version(__version__).major}:" in install


def test_readme_says_how_large_it_gets_before_the_first_steps() -> None:
    assert README.index("\n## Sizing\n") < README.index("\n## Quickstart\n")


def test_filters_of_the_example_work(tmp_path: Path) -> None:
    config = tmp_path / "bandersnatch.conf"
    filters = EXAMPLE.partition("\n; [plugins]")[2]
    config.write_text("[mirror]\ndirectory = /srv/pypi\n[plugins]" + re.sub("^; ", "", filters, flags=re.MULTILINE))
    loaded = Config.load(config)
    assert loaded.warnings == ()
    assert [each.filter_name for each in loaded.filters.projects] == ["allowlist_project"]


def test_readme_explains_messages_in_the_words_of_the_program() -> None:
    sources = [path.read_text("utf-8") for path in (REPOSITORY / "bandersnatch").rglob("*.py")]
    program = " ".join("".join(sources).split()).replace('" f"', "").replace('" "', "")
    rows = rows_below("| the message contains | what it means, and what to do |")
    assert len(rows) > 5
    assert [words for words, _ in rows if words.strip("`") not in program] == []
