"""``bandersnatch delete NAME...``: remove projects from the mirror."""

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from bandersnatch.amounts import count_of, size_of
from bandersnatch.cli.arguments import add_names, read_names
from bandersnatch.cli.exit_codes import BAD_USAGE, DONE, LOCK_HELD, SOME_FAILED, STOPPED, exit_statuses
from bandersnatch.cli.invocation import Invocation
from bandersnatch.cli.not_needed import NotNeeded
from bandersnatch.cli.parts import add_upstream, parts_of_names
from bandersnatch.errors import InterruptedRunError, UsageError

if TYPE_CHECKING:
    from bandersnatch.config.config import Config
    from bandersnatch.names import NormalizedName
    from bandersnatch.operations.delete import DoomedProject
    from bandersnatch.project.report import Failure

logger = logging.getLogger(__name__)

COMES_BACK = (
    "A deleted project comes back when it changes upstream, or with a full resync, unless a filter excludes it."
)
EXAMPLES = f"""\
examples:
  bandersnatch delete --dry-run left-pad
  bandersnatch delete left-pad
  bandersnatch delete --yes left-pad is-odd

This deletes pages, JSON, and the files that no other project's page lists.
{COMES_BACK}

"""
SOME_FAILED_MEANS = "the mirror has no project of such a name, its files may not be deleted, or the answer was no"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = "Delete the named projects from the mirror: pages, JSON and files. It asks first."
    parser.epilog = EXAMPLES + exit_statuses(DONE, BAD_USAGE, LOCK_HELD, STOPPED, some_failed=SOME_FAILED_MEANS)
    add_names(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    parser.add_argument("--workers", metavar="NUMBER", action=NotNeeded, reason="nothing is asked of upstream")
    parser.add_argument("--yes", action="store_true", help="do not ask; required without a terminal")
    add_upstream(parser, "the one that owns the project")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, invocation: Invocation) -> int:
    """Delete the projects if the operator confirms, and return the exit status."""
    from bandersnatch.operations.delete import Deletion

    projects = read_names(arguments.names)
    parts = parts_of_names(invocation.load_config(arguments.config), arguments.upstream, projects)
    # The prompt is outside both blocks, so that Ctrl-C ends the command; inside, it would only set a flag.
    found: list[tuple[Config, list[DoomedProject]]] = []
    refused: list[Failure] = []
    for config, its in parts:
        with invocation.resources(config) as resources:
            of_part, closed = Deletion(config, resources).preview(its)
        found.append((config, of_part))
        refused += closed
    doomed = [each for _, of_part in found for each in of_part]
    here = {each.project for each in doomed} | {failure.project for failure in refused}
    status = max(_tell_missing(projects, here), _tell_refused(refused))
    if not arguments.yes:
        _show(doomed)
    if arguments.dry_run or not doomed:
        return status
    if not arguments.yes and not _is_confirmed(_amount(doomed)):
        logger.warning("nothing was deleted")
        return SOME_FAILED
    for config, of_part in found:
        if of_part:
            with invocation.resources(config) as resources:
                status = _tell_refused(Deletion(config, resources).run([each.project for each in of_part])) or status
    logger.info("%s", COMES_BACK)
    return status


def _tell_missing(projects: "list[NormalizedName]", found: "set[NormalizedName]") -> int:
    """Report projects that are not in the mirror, and return the exit status for that."""
    missing = sorted(set(projects) - found)
    for project in missing:
        logger.error("%s: the mirror has no project of that name", project)
    return SOME_FAILED if missing else DONE


def _tell_refused(refused: "list[Failure]") -> int:
    """Report projects that we lack the permission to delete, and return the exit status for that."""
    for failure in refused:
        logger.error("%s: not deleted: %s", failure.project, failure.error)
    return SOME_FAILED if refused else DONE


def _show(doomed: "list[DoomedProject]") -> None:
    from bandersnatch.cli.output import print_line, print_table

    rows = [[each.project, len(each.pages), len(each.files), each.size_bytes] for each in doomed]
    print_table(["project", "pages", "files", "bytes"], rows)
    print_line(f"to delete: {_amount(doomed)}")


def _amount(doomed: "list[DoomedProject]") -> str:
    """Return the amount in words."""
    files = count_of(sum(len(each.files) for each in doomed), "file")
    size = size_of(sum(each.size_bytes for each in doomed))
    return f"{count_of(len(doomed), 'project')}, {files}, {size}"


def _is_confirmed(amount: str) -> bool:
    """Ask the operator.

    Raises:
        UsageError: there is no terminal to ask on.
        InterruptedRunError: the answer was Ctrl-C.
    """
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask on, so nothing was deleted; scripts need --yes: bandersnatch delete --yes NAME..."
        )
    try:
        return input(f"Delete {amount}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
    except KeyboardInterrupt:
        raise InterruptedRunError from None
