"""The command line: arguments, logging, wiring, and errors to exit status; nothing else."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from bandersnatch import __version__
from bandersnatch.config import DEFAULT_PATH, Config, write_example
from bandersnatch.deadline import StopDeadline
from bandersnatch.errors import ConfigError, ConfigMissingError, InterruptedRunError, LockHeldError, MirrorError
from bandersnatch.fetch import Fetcher
from bandersnatch.logs import set_up_logging
from bandersnatch.mirror import Mirror
from bandersnatch.progress import LogProgress, Progress, SilentProgress, TerminalProgress
from bandersnatch.stop import StopFlag
from bandersnatch.storage import FilesystemStorage
from bandersnatch.upstream import Upstream
from bandersnatch.work import Equipment

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger(__name__)

DONE, SOME_FAILED, BAD_USAGE, LOCK_HELD, STOPPED, REMOVALS_WITHHELD = range(6)
SIGNAL_BASE = 128
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

EXIT_STATUS = """\
exit status:
  0    done
  1    done, but some projects failed and are tried again by the next run;
       or there was no configuration file (an example is written in its place)
  2    the command line or the configuration is wrong
  3    another run holds the lock of the directory
  4    upstream or the disk stopped the run
  5    all done but the removals, which are more than max-removals allows
  130  interrupted (Ctrl-C); 143: terminated. The next run goes on from there.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; the only place where errors become one."""
    arguments = _parser().parse_args(argv)
    console = _console() if sys.stderr.isatty() else None
    level = logging.DEBUG if arguments.debug else logging.WARNING if arguments.quiet else logging.INFO
    set_up_logging(level, console, None)
    caught: list[int] = []
    try:
        return _mirror(arguments, level, console, caught)
    except ConfigMissingError as error:
        return _offer_example(error.path)
    except ConfigError as error:
        for problem in error.problems:
            logger.error("%s", problem)
        return BAD_USAGE
    except LockHeldError as error:
        logger.error("%s", error)
        return LOCK_HELD
    except InterruptedRunError:
        return _tell_stopped(caught)
    except MirrorError as error:
        logger.error("the run has ended: %s", error, exc_info=arguments.debug)
        return STOPPED


def console() -> None:
    """Run the command and end the process, also where a thread still waits for a silent upstream."""
    status = main()
    if status in (STOPPED, *(SIGNAL_BASE + number for number in STOP_SIGNALS)):
        _end_process(status)
    sys.exit(status)


def _end_process(status: int) -> NoReturn:
    """End the process at once; by itself the interpreter would wait for all threads first."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _tell_stopped(caught: list[int]) -> int:
    number = caught[0] if caught else signal.SIGINT
    logger.warning("stopped by %s; the next run goes on from here", signal.Signals(number).name)
    return SIGNAL_BASE + number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bandersnatch",
        description="Mirror the Python Package Index, or one that speaks like it, into a folder for any web server.",
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bandersnatch {__version__}")
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        default=DEFAULT_PATH,
        help="configuration file (default: %(default)s)",
    )
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("--debug", action="store_true", help="log each request, and where errors come from")
    volume.add_argument("--quiet", action="store_true", help="log only warnings and errors")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    mirror = commands.add_parser(
        "mirror",
        help="bring the mirror up to date; run it from cron",
        description="Bring the mirror up to date: everything on the first run, what has changed on later ones.",
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mirror.add_argument(
        "--allow-removals",
        action="store_true",
        help="remove what upstream removed, also where that is more than max-removals",
    )
    return parser


def _mirror(arguments: argparse.Namespace, level: int, console: "Console | None", caught: list[int]) -> int:
    """Wire the parts together and run; ``caught`` gets the number of the signal that ended the run."""
    config = Config.load(arguments.config)
    if config.log_config is not None:
        set_up_logging(level, console, config.log_config)
    for warning in config.warnings:
        logger.warning("%s", warning)
    for remark in config.remarks:
        logger.info("%s", remark)
    stop = StopFlag()
    progress = _progress(level, console)
    executor = ThreadPoolExecutor(config.threads, thread_name_prefix="worker")
    storage = FilesystemStorage(config.directory)
    with closing(Fetcher(config.http)) as fetcher, _stopped_by_signals(stop, caught, storage):
        upstream = Upstream(fetcher, config.http.upstream_url, stop.wait)
        equipment = Equipment(upstream, storage, executor, progress, stop)
        report = Mirror(config, equipment, allow_removals=arguments.allow_removals).run()
        executor.shutdown()
    if report.withheld is not None:
        logger.error("%s", report.withheld)
    if report.outage is not None:
        logger.error("the run has ended: %s", report.outage)
    is_good = not report.failures and report.outage is None and report.withheld is None
    logger.log(logging.INFO if is_good else logging.WARNING, "%s", report.summary())
    if report.outage is not None:
        return STOPPED
    if report.withheld is not None:
        return REMOVALS_WITHHELD
    return SOME_FAILED if report.failures else DONE


@contextmanager
def _stopped_by_signals(stop: StopFlag, caught: list[int], storage: FilesystemStorage) -> Iterator[None]:
    """Let SIGINT and SIGTERM ask the run to stop, within two seconds; the second one ends the process at once."""

    def handle(number: int, _frame: FrameType | None) -> None:
        if caught:
            os._exit(SIGNAL_BASE + number)
        caught.append(number)
        stop.set()

    def end() -> None:
        if not caught:
            return  # the run stops itself, and will tell why
        storage.abandon()
        _end_process(_tell_stopped(caught))

    deadline = StopDeadline(stop, end)
    before = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        deadline.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _progress(level: int, console: "Console | None") -> Progress:
    if level > logging.INFO:
        return SilentProgress()
    return LogProgress() if console is None else TerminalProgress(console)


def _console() -> "Console":
    from rich.console import Console  # noqa: PLC0415 - only needed on a terminal

    return Console(stderr=True)


def _offer_example(path: Path) -> int:
    """Write the commented example where there is no configuration, and say what to do next."""
    try:
        write_example(path)
    except OSError as error:
        logger.error(
            "%s: there is no configuration file, and the example can't be written there: %s", path, error.strerror
        )
        logger.error("choose another place for it: bandersnatch -c FILE mirror")
        return SOME_FAILED
    logger.error("%s: there was no configuration file, so an example was written there", path)
    logger.error("review it, adapt it to your needs, and run bandersnatch mirror again")
    return SOME_FAILED
