"""The commented example configuration: written if there is no file, and recognized while nobody has edited it."""

import shutil
from importlib import resources
from pathlib import Path

from bandersnatch.config.config import Config
from bandersnatch.errors import ConfigError
from bandersnatch.inifile.ini import IniFile, read_ini
from bandersnatch.inifile.option import is_public_pypi

ALL_OF_PYPI = "over 700,000 projects and about 35 TB"
"""As of 2026."""


def write_example(path: Path) -> None:
    """Write the commented example to ``path``, which must not exist yet.

    Raises:
        OSError: it can't be written.
    """
    example = resources.files("bandersnatch").joinpath("bandersnatch.conf.example")
    with resources.as_file(example) as source, path.open("xb") as target, source.open("rb") as text:
        shutil.copyfileobj(text, target)


def refuse_untouched(path: Path) -> None:
    """Refuse a file whose settings are exactly those of the example.

    A script that replaces options of the generated file and runs again has made a choice, and is let through.

    Raises:
        ConfigError: the file says the same as the example.
    """
    if not path.is_file():
        return  # a pipe can't be read twice, and nobody sends the untouched example through one
    with resources.as_file(resources.files("bandersnatch").joinpath("bandersnatch.conf.example")) as example:
        is_untouched = _values(read_ini(path, [])) == _values(read_ini(example, []))
    if is_untouched:
        raise ConfigError(
            [
                f"{path.absolute()}: this is the example as it was written, which would mirror all of PyPI, "
                f"{ALL_OF_PYPI}; choose what the mirror should have, as its first lines say"
            ]
        )


def warning_of_size(config: Config) -> str | None:
    """Return a warning for a first run that will fetch all of PyPI only because nothing says otherwise, or None."""
    is_all = is_public_pypi(config.http.upstream_url) and config.pages.release_files
    if not is_all or config.says_what_is_enabled or (config.directory / "web").exists():
        return None
    return (
        f"nothing in the configuration says what to mirror, so this run begins with all of PyPI, {ALL_OF_PYPI}; "
        'an empty "enabled =" below [plugins] says that this is intended'
    )


def _values(ini: IniFile) -> dict[str, dict[str, str]]:
    return {name: {option: value.text for option, value in ini.options(name).items()} for name in ini.sections}
