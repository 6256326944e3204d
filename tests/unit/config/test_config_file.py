"""The configuration file as a whole: what is no file, no text or no INI; all mistakes at once."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.config.config import Config
from bandersnatch.config.option_table import MIRROR_OPTIONS
from bandersnatch.errors import ConfigError, ConfigMissingError
from tests.support.builders import unhurried
from tests.support.config_text import load, problem_with, problems_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bandersnatch.conf"


def test_all_problems_are_told_at_once(path: Path) -> None:
    text = "[mirror]\nworkers = ten\nwokers = 3\ntimeout = 0\nmaster = http://x.example\n[allowlist]\npackage = a\n"
    problems = problems_of(path, text)
    assert len(problems) == 6
    for words in (
        "[allowlist]",
        "wokers = 3",
        "directory: must be given",
        "workers = ten",
        "timeout = 0",
        "master = http",
    ):
        assert sum(words in problem for problem in problems) == 1


def test_a_file_that_is_not_there_is_missing(path: Path) -> None:
    with pytest.raises(ConfigMissingError, match="there is no such file"):
        Config.load(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path}: can't be read: Is a directory$"):
        Config.load(tmp_path)


def test_a_file_below_a_file_can_not_be_read(path: Path) -> None:
    path.write_text("")
    with pytest.raises(ConfigError, match="can't be read: Not a directory"):
        Config.load(path / "x")


def test_an_empty_file_has_no_section(path: Path) -> None:
    assert problems_of(path, "") == ["there is no section [mirror]"]


def test_a_directory_must_be_given(path: Path) -> None:
    assert problems_of(path, "[mirror]\n") == [
        "line 1: [mirror] directory: must be given: where the mirror lies; web/ below it is for the web server"
    ]


def test_text_that_is_no_utf8_is_told_with_its_place(path: Path) -> None:
    path.write_bytes(b"[mirror]\ndirectory = /srv/\xff\n")
    with pytest.raises(ConfigError, match=f"^{path}: is not UTF-8 text: invalid start byte at byte 26$"):
        Config.load(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("directory = /x\n", "line 1: expected a section such as [mirror] first, not 'directory = /x'"),
        ("[mirror]\nnonsense\ndirectory = /x\n", "line 2: expected name = value, not 'nonsense'"),
        ("[mirror]\ndirectory: /x\n", "line 2: expected name = value, not 'directory: /x'"),
        ("[mirror]\n= x\ndirectory = /x\n", "line 2: expected name = value, not '= x'"),
        (
            "[mirror]\nproxy: http://u:pa@ss@host\ndirectory = /x\n",
            "line 2: expected name = value, not 'proxy: http://***@host'",
        ),
        ("[mirror]\npassword: abc\ndirectory = /x\n", "line 2: expected name = value, not 'password ***'"),
        ("[mirror]\npassword = abc\ndirectory = /x\n", "line 2: [mirror] password = ***: unknown option"),
        ("proxy = u:p@host\n", "line 1: expected a section such as [mirror] first, not '***@host'"),
    ],
)
def test_a_file_that_is_no_ini_is_told_with_the_line(path: Path, text: str, problem: str) -> None:
    assert problems_of(path, text) == [problem]


def test_all_problems_of_a_file_come_at_once_and_in_the_order_of_its_lines(path: Path) -> None:
    text = """[plugins]
enabled =
    alowlist_project
    allowlist_project
[mirror]
workers 10
  5
timeout = %(timeout)s
wokers = 3
directory = srv
json = 1
json = 0
[allowlist]
packages: six
    numpy
[latest_releases]
reserve
[mirror]
reserve = 20GBs
"""
    problems = problems_of(path, text)
    assert [(problem.partition(": ")[0], problem.rpartition(": ")[2][:26]) for problem in problems] == [
        ("line 3", "expected the name of a fil"),
        ("line 6", "expected name = value, not"[:26]),
        ("line 8", "timeout -> timeout"),
        ("line 9", "unknown option (did you me"),
        ("line 10", "expected an absolute path,"),
        ("line 12", "[mirror] json is there twice"[:26]),
        ("line 14", "six'"),
        ("line 16", "unknown section (did you m"),
        ("line 17", "expected name = value, not"[:26]),
        ("line 18", "the section [mirror] is there"[:26]),
        ("line 19", "expected a size such as 50"),
    ]


def test_a_byte_order_mark_does_no_harm(path: Path) -> None:
    assert load(path, "\ufeff[mirror]\ndirectory = /srv/pypi\n").directory == Path("/srv/pypi")


def test_comments_have_a_line_of_their_own(path: Path) -> None:
    text = "; one\n[mirror]\n# two\ndirectory = /srv/a;b#c\n"
    assert load(path, text).directory == Path("/srv/a;b#c")


@pytest.mark.parametrize("comment", [" ; c", " # c"])
def test_a_comment_behind_a_value_is_an_error(path: Path, comment: str) -> None:
    assert problem_with(path, "directory", f"/srv/a{comment}").endswith(": a comment must be on its own line")
    assert problem_with(path, "stop-on-error", f"TRUE{comment}").endswith(": a comment must be on its own line")
    assert problem_with(path, "keep-index-versions", f"3{comment}").endswith(": a comment must be on its own line")


def test_names_of_options_are_case_sensitive(path: Path) -> None:
    assert problem_with(path, "JSON", "true") == '[mirror] JSON = true: unknown option (did you mean "json"?)'


names = st.sampled_from([option.name for option in MIRROR_OPTIONS]) | st.text(max_size=8)
pieces = st.sampled_from(
    [
        "http://",
        "https://",
        "socks5://",
        "@",
        ":",
        "/",
        "[",
        "]",
        "~",
        "~x",
        "%",
        "9",
        "\0",
        "\n ",
        "\n",
        " ",
        "#",
        "a",
        "ü",
    ]
)
values = st.text(max_size=12) | st.lists(pieces, max_size=6).map("".join)


@unhurried
@given(st.lists(st.tuples(names, values), max_size=5))
@example([("proxy", "http://[@x")])
@example([("workers", "9" * 5000)])
@example([("directory", "~x")])
@example([("directory", "~\0")])
def test_any_values_are_a_configuration_or_an_error(options: list[tuple[str, str]]) -> None:
    assert_loads_or_is_refused("[mirror]\n" + "".join(f"{name} = {value}\n" for name, value in options))


@unhurried
@given(st.text() | st.lists(st.sampled_from(["[", "]", "mirror", "=", "\n", " ", "directory", "/", ";"])).map("".join))
def test_any_text_is_a_configuration_or_an_error(text: str) -> None:
    assert_loads_or_is_refused(text)


@unhurried
@given(st.binary())
def test_any_bytes_are_a_configuration_or_an_error(data: bytes) -> None:
    assert_loads_or_is_refused(data)


def assert_loads_or_is_refused(content: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bandersnatch.conf"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            config = Config.load(path)
        except ConfigError as error:
            problems = error.problems
        else:
            problems = [] if config.directory.is_absolute() else ["the directory is relative"]
            assert problems == []
            return
    assert problems
