"""The entries of the lists of filters: names, patterns, tags, requirement files, and comments beside them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.filters.filters import NO_FILTERS
from tests.support.builders import named, unhurried
from tests.support.filter_sections import keeps, load, problems_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


def test_several_projects_on_one_line_are_an_error(path: Path) -> None:
    assert problems_of(path, "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = foo, bar\n") == [
        "line 6: [allowlist] packages: foo, bar: expected the name of a project, or one with versions such as foo>=1.0; "
        "write one project per line, without commas"
    ]


def test_a_bad_pattern_names_its_line(path: Path) -> None:
    text = "[plugins]\nenabled = regex_project\n[filter_regex]\npackages =\n    .*-nightly\n    (foo\n"
    assert problems_of(path, text) == [
        "line 8: [filter_regex] packages: (foo: expected a regular expression: "
        "missing ), unterminated subpattern at position 0"
    ]


def test_a_doubled_percent_sign_is_one(path: Path) -> None:
    for percent in ("%", "%%"):
        config = load(path, f"[plugins]\nenabled = regex_project\n[filter_regex]\npackages = a{percent}b\n")
        assert not keeps(config, "a%b")


def test_a_number_sign_belongs_to_a_pattern(path: Path) -> None:
    config = load(path, "[plugins]\nenabled = regex_project\n[filter_regex]\npackages = a[ #]b\n")
    assert not keeps(config, "a#b")


names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
specifiers = st.sampled_from(["", "==1.0", ">=1.0,<2", "[extra]", "; python_version < '3'", "  # why"])
enabled = st.sets(st.sampled_from(["allowlist_project", "blocklist_project"]), min_size=1)


@unhurried
@given(
    allowed=st.lists(st.tuples(names, specifiers), min_size=1, max_size=5),
    blocked=st.lists(st.tuples(names, specifiers), min_size=1, max_size=5),
    enabled=enabled.flatmap(lambda each: st.permutations(sorted(each))),
    other=names,
)
def test_names_are_kept_as_the_lists_say(
    tmp_path_factory: pytest.TempPathFactory,
    allowed: list[tuple[str, str]],
    blocked: list[tuple[str, str]],
    enabled: list[str],
    other: str,
) -> None:
    def text(plugins: list[str], allowed: list[tuple[str, str]], blocked: list[tuple[str, str]]) -> str:
        lines = ["[plugins]", "enabled =", *(f"    {each}" for each in plugins)]
        lines += ["[allowlist]", "packages =", *(f"    {''.join(each)}" for each in allowed)]
        lines += ["[blocklist]", "packages =", *(f"    {''.join(each)}" for each in blocked)]
        return "\n".join(lines) + "\n"

    path = tmp_path_factory.getbasetemp() / "property.conf"
    config = load(path, text(enabled, allowed, blocked))
    for name in [other, *(name for name, _ in allowed + blocked)]:
        is_kept = True
        if "allowlist_project" in enabled:
            is_kept = any(named(each) == named(name) for each, _ in allowed)
        if "blocklist_project" in enabled:
            is_kept = is_kept and not any(
                named(each) == named(name) and rest in ("", "  # why") for each, rest in blocked
            )
        assert keeps(config, name) == is_kept
        verdict = config.filters.project(named(name), name)
        assert (verdict.keeps, verdict.filter_name in enabled) == (is_kept, not is_kept)
    reordered = load(path, text(enabled[::-1], allowed[::-1], blocked[::-1]))
    assert reordered.fingerprint == config.fingerprint
    assert (reordered.fingerprint == load(path, "").fingerprint) == (config.filters == NO_FILTERS)


@pytest.mark.parametrize("section", ["regex_release_file_metadata", "version_range_release_file_metadata"])
def test_tags_may_be_written_in_any_case(path: Path, section: str) -> None:
    text = f"[plugins]\nenabled = {section}\n[{section}]\n%srelease_file.requires_python = 3.9\n"
    written, plain = (load(path, text % tags).filters for tags in ("ANY:Not-Null: ", "any:not-null:"))
    assert [rule.path for each in written.files for rule in each.rules] == [  # type: ignore[attr-defined]
        rule.path
        for each in plain.files
        for rule in each.rules  # type: ignore[attr-defined]
    ]


def test_a_comment_may_follow_a_name_at_once(path: Path) -> None:
    assert keeps(load(path, "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = six#why\n"), "six")


def test_requirement_files_are_found_below_their_path(path: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("foo\n")
    (tmp_path / "two.txt").write_text("bar==1\n")
    text = "[plugins]\nenabled = project_requirements\n[allowlist]\n"
    config = load(path, f"{text}requirements_path = {tmp_path}\nrequirements =\n  *.txt  # all\n")
    assert (keeps(config, "Foo"), keeps(config, "bar"), keeps(config, "baz")) == (True, True, False)
    (tmp_path / "two.txt").write_text("baz\n")
    changed = load(path, f"{text}requirements =\n  {tmp_path}/one.txt\n  {tmp_path}/two.txt\n")
    assert changed.fingerprint != config.fingerprint
    assert (keeps(changed, "bar"), keeps(changed, "baz")) == (False, True)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("requirements_path = ~nobody-at-all\nrequirements = a.txt\n", "requirements_path: ~nobody-at-all: expected"),
        ("requirements_path = ~\0\nrequirements = a.txt\n", "requirements_path: ~\\x00: expected the path of a folder"),
        ("requirements = a\0.txt\n", "a\\x00.txt: can't be read"),
    ],
    ids=["nobody", "NUL in the folder", "NUL in the file"],
)
def test_path_that_is_none_is_a_problem(path: Path, options: str, problem: str) -> None:
    problems = problems_of(path, f"[plugins]\nenabled = project_requirements\n[allowlist]\n{options}")
    assert problem in problems[0]


def test_a_file_may_have_a_name_that_looks_like_a_pattern(path: Path, tmp_path: Path) -> None:
    (tmp_path / "some[extra].txt").write_text("six\n")
    text = f"[allowlist]\nrequirements_path = {tmp_path}\nrequirements = some[extra].txt\n"
    assert keeps(load(path, f"[plugins]\nenabled = project_requirements\n{text}"), "six")


def test_requirement_files_behind_a_url_are_a_warning_with_file_and_line(path: Path, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("foo\n-c https://host.example/limits.txt\n")
    text = "[plugins]\nenabled =\n    project_requirements\n    project_requirements_pinned\n[allowlist]\n"
    config = load(path, f"{text}requirements = {requirements}\n")
    assert config.warnings == (
        f"{path}: line 8: [allowlist] requirements: {requirements}: line 2: https://host.example/limits.txt: not read: "
        "only files on this machine are",
    )
    assert (keeps(config, "foo"), keeps(config, "bar")) == (True, False)


@pytest.mark.parametrize(
    ("section", "option", "told"),
    [
        (
            "version_range_release_file_metadata",
            "release_file.requires-python",
            'release_file.requires-python (did you mean "requires_python"?): what has no such field passes',
        ),
        (
            "version_range_release_file_metadata",
            "not-null:release_file.python",
            'release_file.python (did you mean "python_version"?): what has no such field is dropped',
        ),
        ("regex_project_metadata", "info.colour.name", "info.colour: what has no such field passes"),
    ],
)
def test_a_path_to_a_field_that_pypi_does_not_have_is_a_warning(
    path: Path, section: str, option: str, told: str
) -> None:
    config = load(path, f"[plugins]\nenabled = {section}\n[{section}]\n{option} = 3\n")
    assert config.warnings == (f"{path}: line 6: [{section}] {option}: PyPI's metadata has no {told}",)
