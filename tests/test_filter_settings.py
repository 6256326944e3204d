"""The sections of filters in a configuration: what is read, and what is wrong with it, line by line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.config import Config
from bandersnatch.errors import ConfigError
from bandersnatch.filters.filters import NO_FILTERS
from tests.builders import named, unhurried

MIRROR = "[mirror]\ndirectory = /srv/pypi\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


def load(path: Path, text: str) -> Config:
    path.write_text(MIRROR + text)
    return Config.load(path)


def problems_of(path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, text)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def keeps(config: Config, display_name: str) -> bool:
    return config.filters.keeps_project(named(display_name), display_name)


def test_without_plugins_there_are_no_filters(path: Path) -> None:
    assert load(path, "").filters == NO_FILTERS
    assert load(path, "").warnings == ()
    assert load(path, "[plugins]\nenabled =\n").filters == NO_FILTERS


def test_lists_without_a_filter_that_reads_them_are_a_warning(path: Path) -> None:
    config = load(path, "[allowlist]\npackages = foo\n[blacklist]\n")
    assert config.filters == NO_FILTERS
    assert config.warnings == (
        f"{path}: line 4: [allowlist] packages: without effect, since no filter that reads it is enabled; "
        "to apply it, write allowlist_project to [plugins] enabled",
    )


def test_an_unknown_filter_is_an_error_with_the_nearest_name_and_its_line(path: Path) -> None:
    text = "[plugins]\nenabled =\n    # of projects\n\n    alowlist_project\n    no_such\n"
    near, far = problems_of(path, text)
    assert near == (
        'line 7: [plugins] enabled: alowlist_project: expected the name of a filter (did you mean "allowlist_project"?)'
    )
    assert far.startswith("line 8: [plugins] enabled: no_such: expected the name of a filter (all, allowlist_project, ")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("allowlist_project, blocklist_project", "expected one filter on each line, without commas"),
        ("allowlist_project blocklist_project", "expected one filter on each line"),
        (
            "allowlist_project # mine",
            "expected the name of a filter alone; a comment must have a line of its own",
        ),
    ],
)
def test_more_than_one_filter_on_a_line_is_an_error(path: Path, entry: str, reason: str) -> None:
    assert problems_of(path, f"[plugins]\nenabled = {entry}\n") == [f"line 4: [plugins] enabled: {entry}: {reason}"]


def test_several_projects_on_one_line_are_an_error(path: Path) -> None:
    assert problems_of(path, "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = foo, bar\n") == [
        "line 6: [allowlist] packages: foo, bar: expected the name of a project, or one with versions such as foo>=1.0; "
        "one project stands on each line, without commas"
    ]


@pytest.mark.parametrize(
    "lists", ["", "[allowlist]\n", "[allowlist]\npackages =\n", "[allowlist]\npackages =\n  # foo\n"]
)
def test_an_empty_allowlist_is_an_error(path: Path, lists: str) -> None:
    assert problems_of(path, f"[plugins]\nenabled = allowlist_project\n{lists}") == [
        "line 4: [plugins] enabled: allowlist_project: [allowlist] packages is empty: "
        "the mirror would have nothing, or everything"
    ]


def test_an_allowlist_whose_entries_are_all_wrong_is_not_called_empty(path: Path) -> None:
    (problem,) = problems_of(path, "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = foo bar\n")
    assert problem.startswith("line 6: [allowlist] packages: foo bar: expected the name of a project")


def test_an_empty_blocklist_is_a_warning(path: Path) -> None:
    config = load(path, "[plugins]\nenabled = blocklist_project\n")
    assert config.filters == NO_FILTERS
    assert config.warnings == (
        f"{path}: line 4: [plugins] enabled: blocklist_project: drops nothing, since there is no [blocklist] packages",
    )


def test_all_enables_what_is_configured(path: Path) -> None:
    config = load(path, "[plugins]\nenabled = all\n[blocklist]\npackages = foo\n")
    assert [each.filter_name for each in config.filters.projects] == ["blocklist_project"]
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("text", "names", "option"),
    [
        ("[allowlist]\npackages =\n", ("allowlist_project", "allowlist_release"), "packages"),
        ("[allowlist]\npackages =\n    # six\n", ("allowlist_project", "allowlist_release"), "packages"),
        (
            "[allowlist]\nrequirements =\n[blocklist]\npackages = foo\n",
            ("project_requirements", "project_requirements_pinned"),
            "requirements",
        ),
    ],
    ids=["empty", "comments only", "requirements"],
)
def test_with_all_a_list_that_stands_there_empty_is_an_error(
    path: Path, text: str, names: tuple[str, ...], option: str
) -> None:
    assert sorted(problems_of(path, f"[plugins]\nenabled = all\n{text}")) == [
        f"line 4: [plugins] enabled: {name}: [allowlist] {option} is empty: the mirror would have nothing, or everything"
        for name in names
    ]


def test_with_all_what_drops_nothing_is_a_warning(path: Path) -> None:
    config = load(path, "[plugins]\nenabled = all\n[blocklist]\nplatforms =\n")
    assert config.warnings == (
        f"{path}: line 4: [plugins] enabled: exclude_platform: drops nothing, since there is no [blocklist] platforms",
    )


def test_old_names_are_understood_with_a_remark(path: Path) -> None:
    text = "[plugins]\nenabled =\n    whitelist_project\n    blacklist_project\n[whitelist]\npackages = foo\n"
    config = load(path, text + "[blacklist]\npackages = bar\n")
    assert [each.filter_name for each in config.filters.projects] == ["allowlist_project", "blocklist_project"]
    assert config.remarks == (
        f"{path}: line 7: [whitelist]: its name is [allowlist] today",
        f"{path}: line 9: [blacklist]: its name is [blocklist] today",
        f"{path}: line 5: [plugins] enabled: whitelist_project: its name is allowlist_project today",
        f"{path}: line 6: [plugins] enabled: blacklist_project: its name is blocklist_project today",
    )
    assert (keeps(config, "foo"), keeps(config, "bar")) == (True, False)


def test_a_section_under_both_names_must_say_the_same(path: Path) -> None:
    text = "[plugins]\nenabled = allowlist_project\n[whitelist]\npackages = foo\n[allowlist]\npackages = "
    assert problems_of(path, f"{text}bar\n") == [
        "line 6: [whitelist] packages: [allowlist] packages says something else; "
        "versions up to 4 read this one, newer ones that: write all that counts to [allowlist]"
    ]
    config = load(path, f"{text}foo\n")
    assert config.warnings == (f"{path}: line 5: [whitelist]: not needed, since there is [allowlist] too",)
    assert (keeps(config, "foo"), keeps(config, "bar")) == (True, False)


def test_an_old_section_is_called_by_its_own_name_in_messages(path: Path) -> None:
    (problem,) = problems_of(path, "[plugins]\nenabled = allowlist_project\n[whitelist]\npackages = foo bar\n")
    assert problem.startswith("line 6: [whitelist] packages: foo bar: ")


@pytest.mark.parametrize("section", ["blacklist", "blocklist"])
def test_filters_that_the_blocklist_enables_are_enabled_with_a_warning(path: Path, section: str) -> None:
    config = load(path, f"[{section}]\nplugins =\n    blacklist_project\n    prerelease_release\npackages = foo\n")
    assert (keeps(config, "foo"), keeps(config, "bar")) == (False, True)
    assert [each.filter_name for each in config.filters.releases] == ["prerelease_release"]
    assert config.warnings == (
        f"{path}: line 4: [{section}] plugins: applied as versions up to 4 did; write it as "
        '[plugins] "enabled = blocklist_project, prerelease_release", one name on each line',
    )


def test_an_unknown_filter_in_the_blocklist_is_an_error_there(path: Path) -> None:
    (problem,) = problems_of(path, "[blacklist]\nplugins =\n    safety_db_release\n")
    assert problem.startswith("line 5: [blacklist] plugins: safety_db_release: expected the name of a filter")


def test_filters_that_are_enabled_twice_must_be_the_same(path: Path) -> None:
    config = load(path, "[plugins]\nenabled = all\n[blocklist]\nplugins = all\npackages = foo\n")
    assert config.remarks == (
        f"{path}: line 6: [blocklist] plugins: not needed, since [plugins] enabled says the same",
    )
    text = "[blacklist]\nplugins = blacklist_project\npackages = foo\n"
    for enabled in ("enabled = prerelease_release", "enabled ="):
        assert problems_of(path, f"[plugins]\n{enabled}\n{text}") == [
            "line 6: [blacklist] plugins: [plugins] enabled says something else; versions 3.3 and 4 read this one, "
            "newer ones that: write all filters that count to [plugins] enabled, and take this one out"
        ]


@pytest.mark.parametrize(
    ("text", "place", "todays"),
    [
        ("[blacklist]\npackages = foo\n", "[blacklist] packages", "blocklist_project and blocklist_release"),
        ("[whitelist]\npackages = foo\n", "[whitelist] packages", "allowlist_project"),
        ("[filter_regex]\npackages = foo\n", "[filter_regex] packages", "regex_project"),
        ("[regex]\nreleases = .+rc.$\n", "[regex] releases", "regex_release"),
    ],
)
def test_a_list_that_acted_by_itself_in_old_versions_must_be_enabled_or_not(
    path: Path, text: str, place: str, todays: str
) -> None:
    assert problems_of(path, text) == [
        f"line 4: {place}: versions 2.1 to 3.1 applied it, newer ones only what [plugins] enables: "
        f"to apply it, write {todays} to [plugins] enabled; "
        'to mirror without it, take it out, or write "enabled =" there'
    ]
    config = load(path, f"{text}[plugins]\nenabled =\n")
    assert config.filters == NO_FILTERS
    assert "without effect, since no filter that reads it is enabled" in config.warnings[0]


def test_a_section_that_no_enabled_filter_reads_is_a_warning(path: Path) -> None:
    lists = "[latest_release]\nkeep = 1\nsort_by = time\n[blocklist]\nplatforms = windows\n"
    config = load(path, f"[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = foo\n{lists}")
    assert config.warnings == tuple(
        f"{path}: {place}: without effect, since no filter that reads it is enabled; "
        f"to apply it, write {name} to [plugins] enabled"
        for place, name in (
            ("line 8: [latest_release] keep", "latest_release"),
            ("line 11: [blocklist] platforms", "exclude_platform"),
        )
    )


def test_what_an_enabled_filter_reads_is_no_warning(path: Path) -> None:
    lists = "[allowlist]\npackages = foo\n[size_project_metadata]\nmax_package_size = 1G\n"
    assert load(path, f"[plugins]\nenabled = size_project_metadata\n{lists}").warnings == ()
    assert load(path, "[plugins]\nenabled = prerelease_release\n[filter_prerelease]\npackages = a\n").warnings == ()


def test_an_unknown_option_of_a_filter_is_an_error(path: Path) -> None:
    text = "[plugins]\nenable = all\n[allowlist]\npacages = foo\n[latest_release]\nnumber = 3\n"
    assert problems_of(path, text) == [
        'line 4: [plugins] enable: unknown option (did you mean "enabled"?)',
        'line 6: [allowlist] pacages: unknown option (did you mean "packages"?)',
        "line 8: [latest_release] number: unknown option; expected keep or sort_by",
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


# Values of the other filters


@pytest.mark.parametrize(
    ("plugin", "sections", "problem"),
    [
        (
            "latest_release",
            "[latest_release]\nkeep = many\n",
            "line 6: [latest_release] keep: many: expected a whole number",
        ),
        (
            "latest_release",
            "[latest_release]\nkeep = 1\nsort_by = size\n",
            "line 7: [latest_release] sort_by: size: expected version or time",
        ),
        (
            "latest_release",
            "[latest_release]\nkeep =\n  1\n  2\n",
            "line 8: [latest_release] keep: 2: expected one value",
        ),
        (
            "exclude_newer",
            "[exclude_newer]\ndate = soon\n",
            "line 6: [exclude_newer] date: soon: expected a date, such as 2026-01-31",
        ),
        (
            "exclude_platform",
            "[blocklist]\nplatforms = windos\n",
            'line 6: [blocklist] platforms: windos: "windos" is no platform: expected windows, ',
        ),
        (
            "exclude_platform",
            "[blocklist]\nplatforms =\n  py2\n  x\n",
            'line 8: [blocklist] platforms: x: "x" is no platform',
        ),
        (
            "size_project_metadata",
            "[size_project_metadata]\nmax_package_size = big\n",
            "line 6: [size_project_metadata] max_package_size: big: expected a size",
        ),
        (
            "versions_count_project_metadata",
            "[versions_count_project_metadata]\nmin_versions = 5\nmax_versions = 3\n",
            "line 6: [versions_count_project_metadata] min_versions: 5: expected no more than max_versions, which is 3",
        ),
        (
            "regex_release",
            "[filter_regex]\nreleases = *\n",
            "line 6: [filter_regex] releases: *: expected a regular expression",
        ),
        (
            "regex_project_metadata",
            "[regex_project_metadata]\nsome:info.name = x\n",
            'line 6: [regex_project_metadata] some:info.name: "some" is no tag: expected all, any, ',
        ),
        (
            "version_range_project_metadata",
            "[version_range_project_metadata]\nall:info.requires_python = 3\n",
            'line 6: [version_range_project_metadata] all:info.requires_python: "all" is no tag: expected any, match-null, ',
        ),
        (
            "regex_project_metadata",
            "[regex_project_metadata]\nifno.name = x\n",
            "line 6: [regex_project_metadata] ifno.name: expected a path that begins with info, ",
        ),
        (
            "regex_project_metadata",
            "[regex_project_metadata]\nany:info..name = x\n",
            "line 6: [regex_project_metadata] any:info..name: expected a name between any two dots of the path",
        ),
        (
            "version_range_release_file_metadata",
            "[version_range_release_file_metadata]\nrelease_file. = 3\n",
            "line 6: [version_range_release_file_metadata] release_file.: expected a name between any two dots",
        ),
        (
            "regex_project_metadata",
            "[regex_project_metadata]\ninfo.name =\n",
            "line 6: [regex_project_metadata] info.name: expected at least one pattern",
        ),
        (
            "regex_project_metadata",
            "[regex_project_metadata]\ninfo.name = (\n",
            "line 6: [regex_project_metadata] info.name: (: expected a regular expression",
        ),
        (
            "version_range_project_metadata",
            "[version_range_project_metadata]\ninfo.requires_python = >=3\n",
            "line 6: [version_range_project_metadata] info.requires_python: >=3: expected a version",
        ),
        (
            "project_requirements",
            "[allowlist]\nrequirements = /no/such.txt\n",
            "line 6: [allowlist] requirements: /no/such.txt: /no/such.txt: can't be read: No such file",
        ),
        (
            "project_requirements",
            "[allowlist]\nrequirements = /no/such*.txt\n",
            "line 6: [allowlist] requirements: /no/such*.txt: no file matches /no/such*.txt",
        ),
        (
            "project_requirements",
            "",
            "line 4: [plugins] enabled: project_requirements: [allowlist] requirements is empty",
        ),
        (
            "allowlist_release",
            "[allowlist]\n",
            "line 4: [plugins] enabled: allowlist_release: [allowlist] packages is empty",
        ),
        (
            "blocklist_release",
            "[blocklist]\npackages = foo=>1\n",
            "line 6: [blocklist] packages: foo=>1: expected the name of a project, or one with versions",
        ),
    ],
)
def test_a_value_that_is_wrong_names_its_line_and_what_is_allowed(
    path: Path, plugin: str, sections: str, problem: str
) -> None:
    problems = problems_of(path, f"[plugins]\nenabled = {plugin}\n{sections}")
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_a_wrong_entry_that_two_filters_read_is_told_once(path: Path) -> None:
    text = "[plugins]\nenabled =\n  allowlist_project\n  allowlist_release\n[allowlist]\npackages = a b\n"
    assert len(problems_of(path, text)) == 1


@pytest.mark.parametrize("text", ["[latest_release]\nkeep = 0\n", "[latest_release]\nkeep =\n", ""])
def test_no_number_of_latest_releases_keeps_them_all(path: Path, text: str) -> None:
    assert load(path, f"[plugins]\nenabled = latest_release\n{text}").filters == NO_FILTERS


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
