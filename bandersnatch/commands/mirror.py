"""``bandersnatch mirror``: bring the mirror up to date."""

import argparse
import logging
from typing import TYPE_CHECKING

from bandersnatch.exit_status import DONE, EXIT_STATUS, REMOVALS_WITHHELD, SOME_FAILED, STOPPED
from bandersnatch.invocation import Invocation

if TYPE_CHECKING:
    from bandersnatch.report import Report

logger = logging.getLogger(__name__)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Say what the command's arguments are."""
    parser = commands.add_parser(
        "mirror",
        help="bring the mirror up to date; run it from cron",
        description="Bring the mirror up to date: everything on the first run, what has changed on later ones.",
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--allow-removals",
        action="store_true",
        help="remove what upstream removed, also where that is more than max-removals",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, invocation: Invocation) -> int:
    """Run the mirror once and return the exit status."""
    from bandersnatch.mirror import Mirror

    config = invocation.load_config(arguments.config)
    with invocation.equipment(config) as equipment:
        report = Mirror(config, equipment, allow_removals=arguments.allow_removals).run()
    return _tell(report)


def _tell(report: "Report") -> int:
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
