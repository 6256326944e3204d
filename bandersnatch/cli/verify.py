"""``bandersnatch verify``: compare the whole mirror with upstream, and repair it."""

import argparse
import logging
import re
from typing import IO, TYPE_CHECKING

from bandersnatch.cli.exit_codes import (
    BAD_USAGE,
    DONE,
    LOCK_HELD,
    REMOVALS_WITHHELD,
    REPAIRED,
    SOME_FAILED,
    STOPPED,
    exit_statuses,
)
from bandersnatch.cli.invocation import Invocation
from bandersnatch.cli.not_needed import NotNeeded
from bandersnatch.cli.parts import add_upstream, chosen_parts, each_part, require_one
from bandersnatch.config.upstream_sections import RESERVED as MIRROR
from bandersnatch.errors import UsageError

if TYPE_CHECKING:
    from bandersnatch.config.config import Config
    from bandersnatch.verify.findings import Finding, Remedy, VerifyReport

logger = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  bandersnatch verify                       all files by their content, all pages
  bandersnatch verify --quick               all files by their sizes, all pages
  bandersnatch verify --budget 2h           as much as fits into two hours; starts
                                            with what was verified longest ago
  bandersnatch verify --delete --dry-run    what no page lists, without deleting it
  bandersnatch verify --json | jq .left     the result for a program

A page that cannot be read, or a project that upstream does not answer for,
never leads to a deletion.

how long it takes:
  Each project's page is requested: for PyPI, about 20,000 requests per TB. With
  --quick that is nearly all the time: 4 minutes per TB at 100 answers a second.
  Reading and hashing 1 TB takes as long as the disk needs for it: 1.4 hours at
  200 MB/s, half an hour at 550 MB/s. A faster disk waits for the processor:
  13 minutes of one core per TB, if that has instructions for SHA-256.

"""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SOME_FAILED_MEANS = "problems remain, or it was a --dry-run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = (
        "Compare every project that the mirror holds with upstream. Files that are\n"
        "missing or wrong are fetched again; pages that differ, and the root index, are\n"
        "rewritten. It starts with what was verified longest ago. Files in the mirror that\n"
        "filters would drop are verified and kept: only mirror applies filters."
    )
    parser.epilog = EXAMPLES + exit_statuses(
        DONE, BAD_USAGE, LOCK_HELD, STOPPED, REMOVALS_WITHHELD, REPAIRED, some_failed=SOME_FAILED_MEANS
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="compare the sizes of files, without reading them")
    extent.add_argument(
        "--hash", action="store_true", help="read all files, and compare their SHA-256; this is the default"
    )
    parser.add_argument("--delete", action="store_true", help="delete the files under web/packages that no page lists")
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what is wrong; takes no lock, and writes nothing"
    )
    parser.add_argument("--json", action="store_true", help="print what was found as one JSON document")
    parser.add_argument("--json-update", action=NotNeeded, reason="the JSON is always compared, if json = true")
    parser.add_argument(
        "--budget", type=read_duration, metavar="TIME", help="stop after that time, such as 90s, 30m, 2h or 1h30m"
    )
    parser.add_argument(
        "--workers", type=int, metavar="NUMBER", help="files or requests at a time (default: the option verifiers)"
    )
    parser.add_argument(
        "--allow-removals", action="store_true", help="remove and delete even more than max-removals allows"
    )
    add_upstream(parser, "all, one after another")
    parser.set_defaults(run=run)


def read_duration(text: str) -> float:
    """Read a time such as ``90s``, ``30m``, ``2h``, ``1d`` or ``1h30m``; a plain number is in seconds.

    Raises:
        argparse.ArgumentTypeError: it is not a time.
    """
    parts = re.findall(r"(\d{1,9})([smhd]?)", text)
    # A number without a unit after another one, as in 1h30, could be minutes or seconds.
    if not parts or "".join(number + unit for number, unit in parts) != text or (len(parts) > 1 and not parts[-1][1]):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a time such as 90s, 30m, 2h or 1h30m")
    seconds = float(sum(int(number) * _UNITS[unit or "s"] for number, unit in parts))
    if seconds == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a time above zero")
    return seconds


def run(arguments: argparse.Namespace, invocation: Invocation) -> int:
    """Verify the mirror and return the exit status."""
    if arguments.workers is not None and arguments.workers < 1:
        raise UsageError("--workers: expected a whole number from 1 up")
    config = invocation.load_config(arguments.config)
    _check_together(arguments, config)
    _check_chosen(arguments, config)
    if arguments.json:
        require_one(config, arguments.upstream)
    return each_part(config, arguments.upstream, lambda part: _verify(arguments, invocation, part))


def _verify(arguments: argparse.Namespace, invocation: Invocation, config: "Config") -> int:
    import json
    import tempfile

    from bandersnatch.verify.findings import VerifySettings
    from bandersnatch.verify.verification import Verification

    config = config.with_workers(arguments.workers or config.verifiers)
    settings = VerifySettings(
        check_digests=not arguments.quick,
        delete_unlisted=arguments.delete,
        dry_run=arguments.dry_run,
        allow_removals=arguments.allow_removals,
        budget_seconds=arguments.budget,
    )
    # Findings go to a file: there may be more of them than fit into memory, and the document begins with their numbers.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogateescape") as kept:

        def keep(finding: "Finding", remedy: "Remedy") -> None:
            if arguments.json:
                kept.write(json.dumps(finding.to_json(remedy)) + "\n")

        with invocation.resources(config) as resources:
            report = Verification(config, resources, settings, keep).run()
        if arguments.json:
            _print_json(report, kept)
    status = _status(report)
    _tell(report, is_json=arguments.json, is_good=status == DONE)
    return status


def _check_together(arguments: argparse.Namespace, config: "Config") -> None:
    from bandersnatch.inifile.option import DeletedPolicy

    deleted = config.removals.deleted
    if arguments.delete and deleted is not DeletedPolicy.REMOVE:
        raise UsageError(
            f"{arguments.config}: [mirror] deleted = {deleted.value}: with it, files that no page lists are kept on "
            "purpose; --delete needs deleted = remove"
        )


def _check_chosen(arguments: argparse.Namespace, config: "Config") -> None:
    if arguments.upstream is None:
        return
    part = chosen_parts(config, arguments.upstream)[0]
    if part.name is None:
        return
    if arguments.delete and part.config.tree is not None:
        raise UsageError(
            f"--delete with --upstream {part.name}: it looks for the files that no page of any index lists, which is done "
            f"with {MIRROR}'s part; run verify --delete --upstream {MIRROR}, or without --upstream"
        )
    if not part.config.directory.is_dir():
        raise UsageError(f"{part.section}: nothing is mirrored of it yet; bandersnatch mirror does that")


def _status(report: "VerifyReport") -> int:
    if report.outage is not None:
        return STOPPED
    if report.withheld is not None:
        return REMOVALS_WITHHELD
    if report.left or report.failed or report.unlisted_error is not None:
        return SOME_FAILED
    return REPAIRED if report.found else DONE


def _tell(report: "VerifyReport", *, is_json: bool, is_good: bool) -> None:
    from bandersnatch.cli.output import print_table

    if report.withheld is not None:
        logger.error("%s; to go on: bandersnatch verify --allow-removals, with the same other options", report.withheld)
    if not is_json and report.found:
        repaired, deleted = report.repaired, report.deleted
        rows = [
            [each.value, found, repaired[each], deleted[each], found - repaired[each] - deleted[each]]
            for each, found in report.found.items()
        ]
        print_table(["problem", "found", "repaired", "deleted", "left"], rows)
    if not report.is_complete:
        logger.info("not all projects were verified; the next verification goes on with the others")
    if report.unlisted_sought is False and report.unlisted_error is None:
        logger.info("the search for unlisted files is incomplete; the next --delete with a --budget continues it")
    logger.log(logging.INFO if is_good else logging.WARNING, "%s", report.summary())


def _print_json(report: "VerifyReport", kept: IO[str]) -> None:
    """Print the numbers and all findings as one document, without loading the findings into memory."""
    import json

    from bandersnatch.cli.output import print_pieces

    # Without the closing brace, because the findings follow.
    head = json.dumps(report.to_json(), indent=1)[:-2]
    kept.seek(0)
    pieces = (f"{',' if number else ''}\n  {line.rstrip()}" for number, line in enumerate(kept))
    print_pieces([head, ',\n "findings": ['], pieces, ["\n ]\n}\n"])
