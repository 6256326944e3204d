"""Requirement files, read as pip reads them; pip itself is the oracle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from bandersnatch.filters.requirement_files import RequirementFileError, RequirementFiles, logical_lines
from tests.support.builders import unhurried

PIP = """
import sys
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements
for path in sys.argv[1:]:
    for each in parse_requirements(path, PipSession()):
        print("c" if each.constraint else "r", each.requirement)
"""


def read(path: Path) -> RequirementFiles:
    files = RequirementFiles()
    files.add(path)
    return files


def told(path: Path) -> list[str]:
    files = read(path)
    return [f"r {each}" for each in files.requirements] + [f"c {each}" for each in files.constraints]


@pytest.mark.parametrize(
    "text",
    [
        "foo\nbar==1.0\n",
        "# comment\nfoo  # why\n  bar>=1,<2\n#baz\n",
        "foo==1.0 \\\n    --hash=sha256:aaaa \\\n    --hash=sha256:bbbb\nbar==2 --hash=sha256:cccc\n",
        "foo \\\n>=1\\\n,<2\n\nbar\n",
        "foo; python_version < '3'\nbar[extra,other]>=1 ; sys_platform == 'win32'\n",
        "-r more.txt\nfoo\n",
        "--requirement=more.txt\n-c limits.txt\n",
        "--requirement more.txt\n--constraint limits.txt\n-rmore.txt\n",
        "-i https://index.example/simple\n--extra-index-url https://x.example\n--no-binary :all:\n--pre\nfoo\n",
        "foo \\\n# a comment in between\nbar\n",
        "foo #bar\n",
        "-r folder/nested.txt\n",
        "--index-url https://index.example/simple -r more.txt\n",
        "-i https://index.example/simple --pre -rmore.txt\nfoo\n",
        "--pre --requirement=more.txt --no-binary :all:\n",
        "-c limits.txt -r more.txt\n",
        "-r more.txt -r folder/nested.txt\n",
        "foo -r more.txt\n",
        "-r 'with space.txt'\n",
        '--requirement="with space.txt"\n',
        "\n\n   \nfoo\n\\\n",
        "foo==1.0\\",
    ],
)
def test_files_are_read_as_pip_reads_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "requirements.txt").write_text(text)
    (tmp_path / "more.txt").write_text("more>=1\n-c limits.txt\n")
    (tmp_path / "with space.txt").write_text("spaced\n")
    (tmp_path / "limits.txt").write_text("foo<9\nlimited==1\n")
    (tmp_path / "folder/nested.txt").write_text("nested\n-r deeper.txt\n-r ../more.txt\n")
    (tmp_path / "folder/deeper.txt").write_text("deeper==1\n")
    command = [sys.executable, "-W", "ignore", "-c", PIP, str(tmp_path / "requirements.txt")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    def spelt(line: str) -> str:
        kind, _, requirement = line.partition(" ")
        return f"{kind} {Requirement(requirement)}"

    assert {spelt(line) for line in told(tmp_path / "requirements.txt")} == {spelt(line) for line in lines}


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ("\ufefffoo\n".encode(), ["foo"]),
        ("foo\n".encode("utf-16"), ["foo"]),
        ("foo\n".encode("utf-32"), ["foo"]),
        ("# -*- coding: latin-1 -*-\nfoo # é\n".encode("latin-1"), ["foo"]),
        ("foo # é\n".encode(), ["foo"]),
        (b"foo\r\nbar\r\n", ["foo", "bar"]),
    ],
)
def test_encodings_are_told_by_the_file(tmp_path: Path, data: bytes, names: list[str]) -> None:
    (tmp_path / "requirements.txt").write_bytes(data)
    assert [each.name for each in read(tmp_path / "requirements.txt").requirements] == names


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "-e git+https://host.example/x#egg=foo",
        "-e git+https://host.example/x#egg=foo -r more.txt",
        "./foo",
        "../foo[extra]",
        "/srv/foo.whl",
        "foo-1.0-py3-none-any.whl",
        "https://host.example/foo-1.0.tar.gz",
        "git+https://host.example/foo",
    ],
)
def test_what_is_not_from_an_index_is_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"{line}\nbar\n")
    assert told(tmp_path / "requirements.txt") == ["r bar"]


def test_a_requirement_with_a_url_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("foo @ https://host.example/foo-1.0.tar.gz\n")
    assert [each.name for each in read(tmp_path / "requirements.txt").requirements] == ["foo"]


@pytest.mark.parametrize("option", ["-r ", "-c ", "--constraint=", "--pre -r"])
def test_files_behind_a_url_are_passed_over_and_told_of(tmp_path: Path, option: str) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(f"foo\n{option}https://me:secret@host.example/r.txt\nbar\n")
    assert told(path) == ["r foo", "r bar"]
    assert read(path).passed_over == [
        f"{path}: line 2: https://host.example/r.txt: not read: only files on this machine are"
    ]


@pytest.mark.parametrize("url", ["file:more.txt", "file://{folder}/more.txt", "file://localhost{folder}/more.txt"])
def test_a_url_may_name_a_file_on_this_machine(tmp_path: Path, url: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"-r {url.replace('{folder}', str(tmp_path))}\n")
    (tmp_path / "more.txt").write_text("foo\n")
    assert told(tmp_path / "requirements.txt") == ["r foo"]


def test_variables_of_the_environment_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIREMENTS_OF_TEST", "more.txt")
    (tmp_path / "requirements.txt").write_text("-r ${REQUIREMENTS_OF_TEST}\n")
    (tmp_path / "more.txt").write_text("foo\n")
    assert told(tmp_path / "requirements.txt") == ["r foo"]


def test_files_that_name_each_other_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("-r two.txt\nfoo\n")
    (tmp_path / "two.txt").write_text("-r one.txt\nbar\n")
    assert told(tmp_path / "one.txt") == ["r bar", "r foo"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo\n\nfoo bar\n", "requirements.txt: line 3: foo bar: expected a requirement: "),
        ("-r missing.txt\n", "missing.txt: can't be read: No such file or directory"),
        ("foo \\\n  ==x y\n", "requirements.txt: line 1: foo   ==x y: expected a requirement: "),
        ("# coding: nonsense\nfoo\n", "requirements.txt: is not text: unknown encoding: nonsense"),
    ],
)
def test_what_is_wrong_names_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "requirements.txt").write_text(text)
    with pytest.raises(RequirementFileError) as caught:
        read(tmp_path / "requirements.txt")
    assert message in str(caught.value)


@unhurried
@given(st.text("ab#\\ \n=-", max_size=30))
def test_any_text_has_its_lines(text: str) -> None:
    for number, line in logical_lines(text):
        assert 1 <= number <= text.count("\n") + 1
        assert line == line.strip() != ""


def test_a_url_that_is_none_is_passed_over_too(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("-r https://u:secret@[::1/r.txt\none\n")
    files = read(path)
    assert [requirement.name for requirement in files.requirements] == ["one"]
    assert "secret" not in files.passed_over[0]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "requirements.txt")
    with pytest.raises(RequirementFileError, match="it is a pipe, and nobody may ever write to it"):
        read(tmp_path / "requirements.txt")
