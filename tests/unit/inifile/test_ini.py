"""INI files are read as ``configparser`` reads them, and the lines are those of the file."""

import configparser
import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.errors import ConfigError
from bandersnatch.inifile.ini import DEFAULT_SECTION, IniFile, read_ini
from tests.support.builders import unhurried

lines = st.tuples(
    st.sampled_from(["", "", " ", "  ", "\t", "\x1f", "\u00a0"]),
    st.sampled_from(["", "[a]", "[b] c", "[DEFAULT]", "[]", "[a", "z", "# c", "; c", "\r"])
    | st.sampled_from(["x=1", "y = ", "X =a=b", "=1", "x#=1"]),
    st.sampled_from(["", " ", "\r"]),
).map("".join)  # fmt: skip


def read(text: str) -> IniFile | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.ini"
        path.write_bytes(text.encode())
        problems: list[str] = []
        try:
            ini = read_ini(path, problems)
        except ConfigError:
            return None
        return None if any(": expected " in problem for problem in problems) else ini


def oracle(text: str) -> dict[str, dict[str, str]] | None:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, default_section="", strict=False)
    parser.optionxform = str  # type: ignore[method-assign, assignment]  # names are case-sensitive
    try:
        parser.read_string(text.replace("\r\n", "\n").replace("\r", "\n"))
    except configparser.Error:
        return None
    return {name: dict(parser[name]) for name in parser.sections()}


@unhurried
@given(st.lists(lines, max_size=10).map("\n".join))
@example("[a]\nx = 1\n  y\n\n\n  # c\n  z\n\nw = 2")
@example("[a]\n  x = 1\n  y = 2\n   [b]\n[b]\n   x = 3")
def test_sections_and_values_are_those_of_configparser(text: str) -> None:
    ini = read(text)
    sections = ini and {name: {o: v.text for o, v in ini.options(name).items()} for name in ini.sections}
    assert sections == oracle(text)


@unhurried
@given(st.lists(lines, max_size=10).map("\n".join))
def test_every_line_of_a_value_is_the_line_of_the_file(text: str) -> None:
    ini = read(text)
    in_file = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for section in ini.sections.values() if ini else ():
        for name, option in section.options.items():
            assert in_file[option.number - 1].strip().startswith(name)
            assert all(line.text in in_file[line.number - 1] for line in option.lines)
            assert [line.text for line in option.lines[1:] if line.text] == [
                in_file[line.number - 1].strip() for line in option.lines[1:] if line.text
            ]


def test_a_place_names_what_is_known_of_it(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("[a]\n\nb = 1\n  2\n")
    ini = read_ini(tmp_path / "x", [])
    assert ini.place("a") == f"{tmp_path / 'x'}: line 1: [a]"
    assert ini.place("a", "b") == f"{tmp_path / 'x'}: line 3: [a] b"
    assert ini.place("a", "b", 4) == f"{tmp_path / 'x'}: line 4: [a] b"
    assert ini.place("c", "d") == f"{tmp_path / 'x'}: [c] d"
    assert ini.options(DEFAULT_SECTION) == {}


def test_indented_duplicates(tmp_path: Path) -> None:
    path, problems = tmp_path / "bandersnatch.conf", list[str]()
    path.write_text("[mirror]\n  workers = 4\n  json = true\n  workers = 9\n")
    read_ini(path, problems)
    assert problems == [f"{path}: line 4: [mirror] workers is there twice"]
