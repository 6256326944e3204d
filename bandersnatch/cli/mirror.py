"""``bandersnatch mirror``: bring the mirror up to date."""

import argparse
import logging
from typing import TYPE_CHECKING

from bandersnatch.amounts import count_of, size_of
from bandersnatch.cli.exit_codes import (
    BAD_USAGE,
    DONE,
    LOCK_HELD,
    REMOVALS_WITHHELD,
    SOME_FAILED,
    STOPPED,
    exit_statuses,
)
from bandersnatch.cli.invocation import Invocation, tell_report
from bandersnatch.cli.parts import add_upstream, each_part, require_one, tell_abandoned
from bandersnatch.config.example import refuse_untouched, warning_of_size
from bandersnatch.errors import UsageError

if TYPE_CHECKING:
    from bandersnatch.config.config import Config
    from bandersnatch.plan.forecast import Forecast

EXAMPLES = """\
examples:
  bandersnatch mirror --init                 the first run: it makes the directory
  bandersnatch mirror                        a run; from cron every few minutes
  bandersnatch --quiet mirror                the same, silent when all is well
  bandersnatch mirror --dry-run              what a run would do now, from the
                                             changelog alone
  bandersnatch mirror --dry-run --full       with all files and bytes; it fetches
                                             the pages in question
  bandersnatch mirror --force-check          check every project and file
  bandersnatch mirror --allow-removals       after a run that withheld removals

"""

logger = logging.getLogger(__name__)
SOME_FAILED_MEANS = (
    "done, but some projects failed, and are tried again by the next run;\n"
    "       or there was no configuration file (an example is written there)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = "Bring the mirror up to date: everything on the first run, what has changed on later ones."
    parser.epilog = EXAMPLES + exit_statuses(
        DONE, BAD_USAGE, LOCK_HELD, STOPPED, REMOVALS_WITHHELD, some_failed=SOME_FAILED_MEANS
    )
    parser.add_argument(
        "--allow-removals",
        action="store_true",
        help="remove what upstream removed, even if it exceeds max-removals",
    )
    parser.add_argument(
        "--init",
        action="store_true",
        help="start a new mirror: make the directory, or accept that the mirror in it is gone; not for cron",
    )
    parser.add_argument(
        "--force-check",
        action="store_true",
        help="check every project and every file, as after rm state todo; what is right is not downloaded again",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="only say what a run would do now; takes no lock, and writes nothing",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="with --dry-run: fetch the pages of all projects in question, to count files and bytes",
    )
    parser.add_argument("--json", action="store_true", help="with --dry-run: print the plan as one JSON document")
    add_upstream(parser, "all, one after another")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, invocation: Invocation) -> int:
    """Run the mirror once, or plan a run, and return the exit status."""
    _check(arguments)
    from bandersnatch.storage.mirror_folder import begin_directory, require_directory

    config = invocation.load_config(arguments.config)
    refuse_untouched(arguments.config)
    if arguments.dry_run:
        if arguments.json:
            require_one(config, arguments.upstream)

        def plan_part(part: "Config") -> int:
            is_new = part.directory != config.directory and not part.directory.is_dir()
            if is_new and not arguments.init:
                require_directory(config.directory)
            return _plan(arguments, invocation, part, may_be_new=is_new or arguments.init)

        return each_part(config, arguments.upstream, plan_part, skips_new=False)
    if arguments.init:
        begin_directory(config.directory)
    if (warning := warning_of_size(config)) is not None:
        logger.warning("%s", warning)

    def run_part(part: "Config") -> int:
        if arguments.init:
            begin_directory(part.directory)
        return _run(arguments, invocation, part)

    status = each_part(config, arguments.upstream, run_part, makes_folders=True)
    tell_abandoned(config)
    return status


def _run(arguments: argparse.Namespace, invocation: Invocation, config: "Config") -> int:
    from bandersnatch.operations.mirror import Mirror
    from bandersnatch.plan.removals import RemovalPolicy

    policy = RemovalPolicy.of(config.removals, allows_all=arguments.allow_removals)
    with invocation.resources(config) as resources:
        report = Mirror(config, resources, policy, must_check_all=arguments.force_check).run()
    return tell_report(report, report.summary(), "bandersnatch mirror --allow-removals")


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that are valid alone but not together."""
    if arguments.dry_run and arguments.allow_removals:
        raise UsageError("--allow-removals and --dry-run exclude each other")
    for name in ("full", "json"):
        if getattr(arguments, name) and not arguments.dry_run:
            raise UsageError(f"--{name} needs --dry-run")


def _plan(arguments: argparse.Namespace, invocation: Invocation, config: "Config", *, may_be_new: bool) -> int:
    from bandersnatch.cli.output import print_json
    from bandersnatch.operations.dry_run import DryRun

    with invocation.resources(config) as resources:
        dry_run = DryRun(config, resources, must_check_all=arguments.force_check)
        forecast = dry_run.run(fetch_pages=arguments.full, may_be_new=may_be_new)
    for project, reason in forecast.failures.items():
        logger.error("%s: it is not known what to do: %s", project, reason)
    if arguments.json:
        print_json(forecast.to_json())
    else:
        _print_forecast(forecast)
    return SOME_FAILED if forecast.failures else DONE


def _print_forecast(forecast: "Forecast") -> None:
    from bandersnatch.cli.output import print_line, print_table
    from bandersnatch.plan.forecast import FileCount

    def counts(*both: FileCount | None) -> list[int | None]:
        return [number for count in both for number in ((count.files, count.size_bytes) if count else (None, None))]

    rows: list[list[object]] = []
    for update in forecast.updates:
        kind = "new" if update.held_serial is None else "update"
        rows.append([update.project, kind, update.serial, *counts(update.download, update.remove)])
    rows += [[each.project, "remove", "", *counts(FileCount(), each.remove)] for each in forecast.removals]
    header = ["project", "to do", "serial", "files to download", "bytes", "files to remove", "bytes"]
    print_table(header, rows)
    begin = "the beginning" if forecast.from_serial is None else f"serial {forecast.from_serial}"
    print_line(
        f"from {begin} to serial {forecast.serial}: {count_of(len(forecast.updates), 'project')} to update, "
        f"{len(forecast.removals)} to remove, {forecast.unchanged} to look at without a change"
    )
    for what, count in (("download", forecast.download), ("remove", forecast.remove)):
        if count is not None:
            print_line(f"to {what}: {count_of(count.files, 'file')}, {size_of(count.size_bytes)}")
    for unknown in forecast.unknown:
        print_line(f"not known: {unknown}")
    if forecast.selection is not None:
        print_line(forecast.selection)
    if forecast.withheld is not None:
        print_line(f"a run would remove nothing, since {forecast.withheld} are more than max-removals allows")
