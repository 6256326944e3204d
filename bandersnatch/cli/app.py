"""The command line: parses arguments, sets up logging, and turns errors into exit statuses."""

import argparse
import logging
import re
import signal
import sys
from collections.abc import Collection, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bandersnatch.cli.exit_codes import BAD_USAGE, DONE, EXIT_STATUS, LOCK_HELD, SIGNAL_BASE, SOME_FAILED, STOPPED
from bandersnatch.cli.invocation import Invocation, how_to_begin
from bandersnatch.config.config import DEFAULT_PATH
from bandersnatch.errors import (
    ConfigError,
    ConfigMissingError,
    InterruptedRunError,
    LockHeldError,
    MirrorError,
    MissingDirectoryError,
    UsageError,
)
from bandersnatch.inifile.suggestions import suggestion
from bandersnatch.logs import set_up_logging
from bandersnatch.memory import BEGIN_BYTES, require_memory, scarcity

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  bandersnatch mirror                         # bring the copy up to date
  bandersnatch -c pypi.conf mirror --dry-run  # say what that would do
  bandersnatch sync requests                  # one project, now
  bandersnatch verify --budget 2h             # compare, and repair
  bandersnatch serve                          # to installers of this machine
  bandersnatch config check --show            # mistakes, and what is in force
  bandersnatch config explain numpy           # which filter keeps or drops it

Each command has its own --help, with more of them.
"""

_DAY_SECONDS = 86_400
_COMMANDS = {
    "mirror": "bring the mirror up to date; run it from cron",
    "sync": "bring some projects up to date now, by their names",
    "verify": "compare the whole mirror with upstream, and repair it",
    "delete": "delete projects from the mirror, by their names",
    "serve": "serve the mirror to installers, with a small web server",
    "config": "check the configuration, or explain what its filters do",
    "completion": "print a script for completion in bash or zsh",
}
"""Each is a module of this package, which is imported only for its command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; the only place where errors become one."""
    words = sys.argv[1:] if argv is None else argv
    parser = build_parser(words)
    # Someone who tries the bare command wants to see the help, and not argparse's error.
    if not words:
        parser.print_help()
        return DONE
    arguments = _parse(parser, words)
    level = logging.DEBUG if arguments.debug else logging.WARNING if arguments.quiet else logging.INFO
    invocation = Invocation(level, _console() if sys.stderr.isatty() else None)
    set_up_logging(level, invocation.console, None)
    # Actions run while arguments are parsed, before there is a log.
    for line in getattr(arguments, "not_needed", ()):
        logger.info("%s", line)
    try:
        return _run(arguments, invocation)
    except ConfigMissingError as error:
        if arguments.command == "mirror" and not arguments.dry_run:
            return _offer_example(error.path)
        logger.error("%s; bandersnatch mirror writes an example there", error)
        return BAD_USAGE
    except ConfigError as error:
        for problem in error.problems:
            logger.error("%s", problem)
        return BAD_USAGE
    except UsageError as error:
        logger.error("%s", error)
        return BAD_USAGE
    except LockHeldError as error:
        # A run started by cron every few minutes often meets a long one; a run of more than a day may hang.
        logger.log(logging.ERROR if error.held_seconds > _DAY_SECONDS else logging.INFO, "%s", error)
        return LOCK_HELD
    except BrokenPipeError:
        return SIGNAL_BASE + signal.SIGPIPE  # the reader of our output, such as head, has seen enough
    except InterruptedRunError:
        return invocation.tell_stopped()
    except MirrorError as error:
        logger.error("the run has ended: %s", error, exc_info=arguments.debug)
        return STOPPED


def _run(arguments: argparse.Namespace, invocation: Invocation) -> int:
    require_memory(0, BEGIN_BYTES)
    try:
        status: int = arguments.run(arguments, invocation)
    except MissingDirectoryError as error:
        raise error.with_advice(how_to_begin(arguments.config)) from error
    except (MemoryError, RuntimeError) as error:
        scarce = scarcity(error)
        if scarce is None:
            raise  # a bug of ours
        raise scarce from error
    return status


def _parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    arguments = parser.parse_args(words)
    if arguments.debug and arguments.quiet:  # one before the command and one after it
        parser.error("argument --quiet: not allowed with argument --debug")
    return arguments


class _Version(argparse.Action):
    """Prints the versions and exits; they are looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from bandersnatch.cli.about import about  # 10 ms of imports

        print(about())  # noqa: T201 - it was asked for
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """A parser that suggests a known word for one that it does not know."""

    def error(self, message: str) -> NoReturn:
        """Exit with the usage and the error, and a suggestion if there is one."""
        found = re.match(r".*invalid choice: '(.*)' \(choose from (.*)\)$|unrecognized arguments: (-\S+)", message)
        if found and found[3]:
            message += suggestion(found[3].partition("=")[0], sorted(_option_strings(build_parser())))
        elif found:
            message += suggestion(found[1], re.findall(r"[\w-]+", found[2]))
        super().error(message)


def _option_strings(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a parser and of its commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way
        if action.help != argparse.SUPPRESS:
            yield from action.option_strings
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                yield from _option_strings(command)


def _absolute(path: str) -> Path:
    """Return an absolute path, which means the same to whoever reads it in a log."""
    return Path(path).absolute()


class _CommandParser(_Parser):
    """The parser of one command; it also takes the general options, so that users may put them anywhere.

    An option that is not given after the command keeps the value given before it. The parser of a command that is not
    named parses nothing, and only stands in the help of all, so it needs no options.
    """

    def __init__(self, *, is_named: bool = True, **settings: Any) -> None:
        super().__init__(add_help=is_named, **settings)
        if is_named:
            _add_options_of_all_commands(self, config=argparse.SUPPRESS, flag=argparse.SUPPRESS)


def _add_options_of_all_commands(parser: argparse.ArgumentParser, config: Path | str, flag: bool | str) -> None:
    help_text = f"configuration file (default: {DEFAULT_PATH})"
    option = parser.add_argument("-c", "--config", metavar="FILE", type=_absolute, default=config, help=help_text)
    option.complete = {"bash": "_shtab_compgen_files", "zsh": "_files"}  # type: ignore[attr-defined]  # for shtab
    others = ("--conf", "--config-file")  # its names in other versions
    parser.add_argument(*others, dest="config", type=_absolute, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument(
        "--debug", action="store_true", default=flag, help="log each request, and where errors come from"
    )
    volume.add_argument("--quiet", action="store_true", default=flag, help="log only warnings and errors")


def build_parser(words: Collection[str] = _COMMANDS.keys()) -> argparse.ArgumentParser:
    """Return the parser of the whole command line; it has the arguments of those commands that are among the words."""
    parser = _Parser(
        prog="bandersnatch",
        description="Mirror the Python Package Index, or one that speaks like it, into a folder for any web server.",
        epilog=f"{EXAMPLES}\n{EXIT_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show the versions of bandersnatch, Python and its libraries"
    )
    _add_options_of_all_commands(parser, config=DEFAULT_PATH, flag=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_CommandParser)
    for command, summary in _COMMANDS.items():
        is_named = command in words
        command_parser = commands.add_parser(
            command, is_named=is_named, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if is_named:
            import_module(f"bandersnatch.cli.{command}").add_arguments(command_parser)
    return parser


def _console() -> "Console":
    from rich.console import Console  # only needed on a terminal

    return Console(stderr=True)


def _offer_example(path: Path) -> int:
    """Write the commented example if there is no configuration, and say what to do next."""
    from bandersnatch.config.example import write_example

    try:
        write_example(path)
    except OSError as error:
        logger.error(
            "%s: there is no configuration file, and the example can't be written there: %s", path, error.strerror
        )
        logger.error("choose another place for it: bandersnatch -c FILE mirror")
        return SOME_FAILED
    logger.warning("%s: there was no configuration file, so an example was written there", path)
    logger.warning("review it, adapt it to your needs, and run bandersnatch mirror again")
    return SOME_FAILED
