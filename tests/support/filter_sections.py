"""Configurations of filters for tests: what loading them says, and which projects they keep."""

from pathlib import Path

import pytest

from bandersnatch.config.config import Config
from bandersnatch.errors import ConfigError
from tests.support.builders import named

MIRROR = "[mirror]\ndirectory = /srv/pypi\n"


def load(path: Path, text: str) -> Config:
    path.write_text(MIRROR + text)
    return Config.load(path)


def problems_of(path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, text)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def keeps(config: Config, display_name: str) -> bool:
    return config.filters.keeps_project(named(display_name), display_name)
