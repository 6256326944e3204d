"""What values refer to: other options by ``%(name)s`` and ``{{section_option}}``, and what [DEFAULT] gives to sections."""

from pathlib import Path

import pytest

from bandersnatch.config import config_file
from bandersnatch.config.config import Config
from bandersnatch.config.show import effective_lines
from tests.support.builders import named
from tests.support.config_text import load, load_option, problems_of

ALLOW = "[plugins]\nenabled = allowlist_project\n[allowlist]\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


def kept(config: Config, *names: str) -> list[str]:
    return [name for name in names if config.filters.keeps_project(named(name), name)]


# %(name)s


def test_an_option_of_the_section_is_put_in(path: Path) -> None:
    config = load_option(path, "diff-file", "%(directory)s/changed")
    assert config.disk.diff_file == Path("/srv/pypi/changed")


def test_an_option_for_other_options_only_is_not_unknown(path: Path) -> None:
    config = load(path, "[mirror]\nbase = /srv\ndirectory = %(base)s/pypi\ndiff-file = {{mirror_base}}/changed\n")
    assert (config.directory, config.disk.diff_file) == (Path("/srv/pypi"), Path("/srv/changed"))


@pytest.mark.parametrize("name", ["release", "not-null:release", "info"])
def test_an_option_that_is_one_stays_one_when_others_refer_to_it(path: Path, name: str) -> None:
    rules = f"[regex_release_file_metadata]\n{name} = 1\nbase = x\nrelease_file.url = %({name})s%(base)s\n"
    config = load(path, f"[mirror]\ndirectory = /srv\n[plugins]\nenabled = regex_release_file_metadata\n{rules}")
    assert len(config.filters.files[0].rules) == 2  # type: ignore[attr-defined]


def test_references_lead_to_references(path: Path) -> None:
    config = load(path, "[mirror]\na = /srv\nb = %(a)s/x\nc = %(b)s/%(b)s\ndirectory = %(c)s\n")
    assert config.directory == Path("/srv/x//srv/x")


def test_names_in_references_are_case_sensitive(path: Path) -> None:
    assert load_option(path, "diff-file", "/x/%(Directory)s").disk.diff_file == Path("/x/%(Directory)s")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("%(no_such)s/%41", "%(no_such)s/%41"),
        ("50%%41", "50%41"),
        ("50%41", "50%41"),
        ("100%", "100%"),
        ("%%(directory)s", "%(directory)s"),
        ("%%%(directory)s", "%/srv/pypi"),
        ("%(directory)", "%(directory)"),
        ("%()s", "%()s"),
        ("%d%s", "%d%s"),
    ],
)
def test_every_other_percent_sign_is_only_that(path: Path, written: str, read: str) -> None:
    assert load_option(path, "root_uri", f"https://h.example/{written}").pages.root_uri == f"https://h.example/{read}"


def test_all_lines_of_an_option_are_put_in(path: Path) -> None:
    text = f"[mirror]\ndirectory = /srv\n{ALLOW}common =\n  six\n  idna\npackages =\n  %(common)s\n  wheel\n"
    assert kept(load(path, text), "six", "idna", "wheel", "other") == ["six", "idna", "wheel"]


def test_what_is_wrong_with_a_reference_is_told_of_the_line_that_refers(path: Path) -> None:
    text = f"[mirror]\ndirectory = /srv\n{ALLOW}common =\n  six\n  a b\npackages =\n  wheel\n  %(common)s\n  c d\n"
    assert [problem.partition(": expected")[0] for problem in problems_of(path, text)] == [
        "line 11: [allowlist] packages: a b",
        "line 12: [allowlist] packages: c d",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "directory = %(directory)s/x\n",
            "line 2: [mirror] directory: the reference never ends: directory -> directory",
        ),
        ("a = %(b)s\nb = %(a)s\ndirectory = /x\n", "line 2: [mirror] a: the reference never ends: a -> b -> a"),
        ("directory =\n  /srv\n  %(directory)s\n", "line 4: [mirror] directory: the reference never ends"),
    ],
)
def test_a_reference_that_never_ends_is_an_error(path: Path, text: str, problem: str) -> None:
    assert problems_of(path, f"[mirror]\n{text}")[0].startswith(problem)


def test_references_that_grow_without_end_are_an_error(path: Path) -> None:
    lines = ["[mirror]", "directory = /srv/pypi", f"a0 = {'x' * 2000}"]
    lines += [f"a{number} = {f'%(a{number - 1})s' * 10}" for number in range(1, 4)]
    problems = problems_of(path, "\n".join([*lines, "root_uri = https://%(a3)s", ""]))
    assert problems == [
        "line 6: [mirror] a3: expected no more than 1,000,000 characters in a value, references included"
    ]


@pytest.mark.parametrize("first", ["", "x"])
def test_references_that_double_again_and_again_are_one_problem(path: Path, first: str) -> None:
    lines = ["[mirror]", "directory = /srv/pypi", f"a0 = {first}"]
    lines += [f"a{number} = {f'%(a{number - 1})s' * 8}" for number in range(1, 10)]
    problems = problems_of(path, "\n".join([*lines, "root_uri = https://%(a9)s", ""]))
    assert problems == [
        "line 8: [mirror] a5: expected at most 10,000 references in a value, nested ones included",
    ]


def test_a_value_may_have_as_many_references_as_that(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_file, "MOST_REFERENCES", 6)
    text = "[mirror]\na = /srv\nb = %(a)s\ndirectory = {}\n"
    assert load(path, text.format("%(b)s" * 3)).directory == Path("/srv/srv/srv")
    assert problems_of(path, text.format("%(b)s" * 3 + "%(a)s")) == [
        "line 4: [mirror] directory: expected at most 6 references in a value, nested ones included"
    ]


def test_references_in_braces_have_the_same_limits(path: Path) -> None:
    lines = ["[mirror]", "directory = /srv/pypi", f"a = {'x' * 2000}", f"diff-file = {'{{mirror_a}}' * 501}"]
    [problem] = problems_of(path, "\n".join([*lines, ""]))
    assert problem.startswith("line 4: [mirror] diff-file = ")
    assert problem.endswith(": expected no more than 1,000,000 characters in a value, references included")


def test_references_may_be_nested_so_deep_and_no_deeper(path: Path) -> None:
    chain = "".join(f"n{number} = %(n{number + 1})s\n" for number in range(1, 10))
    assert load(path, f"[mirror]\n{chain}n10 = /srv\ndirectory = %(n1)s\n").directory == Path("/srv")
    (problem,) = problems_of(path, f"[mirror]\n{chain}n10 = %(n11)s\nn11 = /srv\ndirectory = %(n1)s\n")
    assert problem == ("line 13: [mirror] directory: expected at most 10 references, each of which leads to the next")


# [DEFAULT]


def test_what_all_sections_share_is_beneath_each_of_them(path: Path) -> None:
    text = f"[DEFAULT]\nworkers = 3\npackages = six\n[mirror]\ndirectory = /srv\nworkers = 4\n{ALLOW}"
    config = load(path, text)
    assert (config.workers, config.warnings, config.remarks) == (4, (), ())
    assert kept(config, "six", "other") == ["six"]
    assert load(path, text.replace("workers = 4\n", "")).workers == 3


def test_a_shared_option_for_other_options_only_is_not_unknown(path: Path) -> None:
    text = "[DEFAULT]\nbase = /srv\nroot = %(base)s/%(name)s\n[mirror]\nname = x\ndirectory = %(root)s\n"
    assert load(path, text).directory == Path("/srv/x")


def test_a_shared_option_may_be_what_diff_file_alone_asks_for(path: Path) -> None:
    text = "[DEFAULT]\nbase = /srv\n[mirror]\ndirectory = /srv\ndiff-file = {{%s_base}}/changed\n"
    for section in ("DEFAULT", "mirror"):
        assert load(path, text % section).disk.diff_file == Path("/srv/changed")


def test_a_shared_option_that_no_section_has_is_an_error(path: Path) -> None:
    assert problems_of(path, "[DEFAULT]\npakages = six\nx = 1\n[mirror]\ndirectory = /srv\n") == [
        'line 2: [DEFAULT] pakages: no section has such an option (did you mean "packages"?)',
        "line 3: [DEFAULT] x: no section has such an option",
    ]


def test_a_shared_option_is_none_of_sections_that_do_not_have_it(path: Path) -> None:
    rule = "[plugins]\nenabled = regex_project_metadata\n[regex_project_metadata]\ninfo.name = a\n"
    text = f"[DEFAULT]\ninfo.summary = b\njson = true\n[mirror]\ndirectory = /srv\n{rule}[elsewhere]\n"
    config = load(path, text)
    assert config.pages.legacy_json
    assert len(config.filters.metadata[0].rules) == 2  # type: ignore[attr-defined]


def test_what_is_wrong_with_a_shared_option_is_told_with_its_line(path: Path) -> None:
    assert problems_of(path, "[DEFAULT]\nworkers = many\n[mirror]\ndirectory = /srv\n") == [
        "line 2: [mirror] workers = many: expected a whole number from 1 up"
    ]


def test_the_section_may_stand_there_twice_its_options_not(path: Path) -> None:
    text = "[DEFAULT]\njson = 1\n[mirror]\ndirectory = /srv\n[DEFAULT]\n"
    assert load(path, f"{text}workers = 2\n").workers == 2
    assert problems_of(path, f"{text}json = 0\n") == ["line 6: [DEFAULT] json is there twice"]


# {{section_option}}


def test_braces_stand_for_defaults_too(path: Path) -> None:
    config = load_option(path, "diff-file", "{{mirror_directory}}/{{mirror_workers}}-{{mirror_simple-format}}")
    assert config.disk.diff_file == Path("/srv/pypi/10-ALL")


def test_braces_stand_for_the_default_of_an_option_that_is_empty(path: Path) -> None:
    assert load_option(path, "diff-file", "/x/{{mirror_workers}}", "workers =").disk.diff_file == Path("/x/10")


def test_braces_may_name_an_option_that_is_there_for_them_only(path: Path) -> None:
    text = f"[mirror]\ndirectory = /srv\ndiff-file = {{{{allowlist_base}}}}/x\n{ALLOW}packages = six\nbase = /srv/y\n"
    assert load(path, text).disk.diff_file == Path("/srv/y/x")
    assert problems_of(path, text.replace("diff-file = ", "; ")) == [
        "line 8: [allowlist] base: unknown option; expected packages or requirements or requirements_path"
    ]


def test_braces_stand_for_an_option_under_its_other_spelling(path: Path) -> None:
    config = load_option(path, "diff-file", "/x/{{mirror_keep_index_versions}}", "keep-index-versions = 7")
    assert config.disk.diff_file == Path("/x/7")


def test_braces_stand_for_options_of_other_sections(path: Path) -> None:
    config = load_option(path, "diff-file", "{{paths_base}}/x", "[paths]", "base = /srv/%(sub)s", "sub = y")
    assert config.disk.diff_file == Path("/srv/y/x")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("{{mirror_directry}}", '[mirror] has no option directry for {{mirror_directry}} (did you mean "directory"?)'),
        ("{{miror_directory}}", 'there is no section [miror] for {{miror_directory}} (did you mean "mirror"?)'),
        ("{{plugins_enable}}", '[plugins] has no option enable for {{plugins_enable}} (did you mean "enabled"?)'),
        ("{{directory}}", "expected {{section_option}} between the braces, such as {{mirror_directory}}"),
        ("{{mirror_diff-file}}", "expected {{section_option}} between the braces, such as {{mirror_directory}}"),
    ],
)
def test_braces_that_lead_nowhere_are_an_error_with_the_nearest_name(path: Path, value: str, reason: str) -> None:
    text = f"[mirror]\ndirectory = /srv\ndiff-file = {value}\n[plugins]\nenabled =\n"
    assert problems_of(path, text) == [f"line 3: [mirror] diff-file = {value}: {reason}"]


# What is in force


def test_what_is_in_force_has_no_references_and_can_be_read_again(path: Path) -> None:
    text = (
        "[DEFAULT]\nbase = /srv\nworkers = 3\n[mirror]\ndirectory = %(base)s/pypi\n"
        "root_uri = https://h.example/%%(base)s/100%%%%\ndiff-file = {{mirror_directory}}/x\n"
        f"{ALLOW}mine = six\npackages =\n  %(mine)s\n  wheel\n"
    )
    config = load(path, text)
    again = path.with_suffix(".again")
    again.write_text("\n".join(effective_lines(path)))
    assert Config.load(again) == config
    assert "mine" not in again.read_text()
    assert "DEFAULT" not in again.read_text()
