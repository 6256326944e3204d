"""The scripts for completion, as far as they can be asked without a keyboard, and help; tests/e2e types."""

import subprocess
import sys
from pathlib import Path

import pytest

from bandersnatch.cli.app import build_parser

COMPLETE = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
_shtab_bandersnatch bandersnatch "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str) -> str:
    command = [sys.executable, "-m", "bandersnatch", "completion", shell]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "bandersnatch.bash"
    path.write_text(script("bash"))
    return path


def completed(bash_script: Path, *words: str) -> set[str]:
    """Return what bash offers for the last word."""
    command = ["bash", "-c", COMPLETE, "bash", str(bash_script), "bandersnatch", *words]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=bash_script.parent)
    return {word.strip() for word in finished.stdout.splitlines() if word.strip()}


def test_bash_completes_commands(bash_script: Path) -> None:
    assert completed(bash_script, "") >= {"mirror", "sync", "verify", "delete", "serve", "config", "completion"}
    assert completed(bash_script, "ver") == {"verify"}


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (("mirror", "--dr"), {"--dry-run"}),
        (("mirror", "--"), {"--allow-removals", "--force-check", "--dry-run", "--full", "--json", "--help"}),
        (("sync", "--sk"), {"--skip-simple-root"}),
        (("verify", "--b"), {"--budget"}),
        (("delete", "--y"), {"--yes"}),
        (("serve", "--"), {"--bind", "--port", "--help"}),
        (("config", "ch"), {"check"}),
        (("config", "ex"), {"explain"}),
        (("config", "check", "--s"), {"--show"}),
        (("completion", ""), {"bash", "zsh"}),
        (("--deb",), {"--debug"}),
    ],
)
def test_bash_completes_options(bash_script: Path, words: tuple[str, ...], offers: set[str]) -> None:
    assert completed(bash_script, *words) >= offers


def test_bash_completes_the_configuration_file(bash_script: Path) -> None:
    (bash_script.parent / "pypi.conf").touch()
    assert completed(bash_script, "-c", "py") == {"pypi.conf"}


def test_zsh_script_is_one_for_zsh() -> None:
    text = script("zsh")
    assert text.startswith("#compdef bandersnatch\n")
    for word in (
        "mirror",
        "sync",
        "verify",
        "delete",
        "--dry-run",
        "--skip-simple-root",
        "--budget",
        "--yes",
        "_files",
    ):
        assert word in text


def test_missing_package_is_named() -> None:
    code = (
        "import sys; sys.modules['shtab'] = None\n"
        "from bandersnatch.cli.app import main; sys.exit(main(['completion', 'bash']))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 2
    assert "pip install 'bandersnatch[completion]'" in finished.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["mirror"],
        ["sync"],
        ["verify"],
        ["delete"],
        ["serve"],
        ["config"],
        ["config", "check"],
        ["config", "explain"],
        ["completion"],
    ],
    ids=" ".join,
)
def test_every_command_has_help_with_examples(command: list[str]) -> None:
    assert f"  bandersnatch {' '.join(command)}" in help_of(command).partition("examples:")[2]


def test_help_of_the_whole_has_examples_that_can_be_typed() -> None:
    examples = help_of([]).partition("examples:\n")[2].partition("\n\n")[0].splitlines()
    assert len(examples) >= 4
    for example in examples:
        prompt, *words = example.partition("  #")[0].split()
        assert prompt == "bandersnatch"
        build_parser().parse_args(words)


def help_of(command: list[str]) -> str:
    arguments = [sys.executable, "-m", "bandersnatch", *command, "--help"]
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
