"""Configuration files for tests, and what loading them says."""

import re
from pathlib import Path

import pytest

from bandersnatch.config.config import Config
from bandersnatch.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "bandersnatch.conf.example"
PUBLIC = "https://pypi.org"
DIGESTS = "md5, sha256, sha384, sha512"


def load(path: Path, text: str) -> Config:
    path.write_text(text, encoding="utf-8")
    return Config.load(path)


def load_option(path: Path, name: str, value: str, *more: str) -> Config:
    return load(path, _one_option(name, value, *more))


def problems_of(path: Path, text: str) -> list[str]:
    """Return the problems of a file, without its path, which each of them must begin with."""
    with pytest.raises(ConfigError) as caught:
        load(path, text)
    assert str(caught.value) == "\n".join(caught.value.problems)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def problem_with(path: Path, name: str, value: str, *more: str) -> str:
    """Return the one problem of a file without its line, which must be that of the option."""
    text = _one_option(name, value, *more)
    (problem,) = problems_of(path, text)
    number, _, rest = problem.removeprefix("line ").partition(": ")
    assert re.match(rf"{re.escape(name)}\s*=", text.split("\n")[int(number) - 1])
    return rest


def _one_option(name: str, value: str, *more: str) -> str:
    directory = [] if name == "directory" else ["directory = /srv/pypi"]
    return "\n".join(["[mirror]", *directory, f"{name} = {value}", *more]) + "\n"
