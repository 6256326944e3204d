"""``bandersnatch sync NAME...``: bring some projects up to date now."""

import argparse
from typing import TYPE_CHECKING

from bandersnatch.amounts import count_of
from bandersnatch.cli.arguments import add_names, read_names
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
from bandersnatch.cli.parts import add_upstream, most_serious, parts_of_names

if TYPE_CHECKING:
    from bandersnatch.config.config import Config
    from bandersnatch.names import NormalizedName

EXAMPLES = """\
examples:
  bandersnatch sync flask
  bandersnatch sync --skip-simple-root flask jinja2 werkzeug

State and todo list stay as they are, except for the work done on these projects.
Changed filters apply to them at once.
If filters exclude a project, that is reported, and the status is 1; with
--ignore-filters it is mirrored, and removed again when a run applies them.
A project that upstream does not have is a failure; if the mirror has it, it
stays, unless the changelog says that it was removed.

"""
SOME_FAILED_MEANS = "done, but some projects failed, or a filter drops them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = "Bring the named projects up to date now, and mirror those that are new."
    parser.epilog = EXAMPLES + exit_statuses(
        DONE, BAD_USAGE, LOCK_HELD, STOPPED, REMOVALS_WITHHELD, some_failed=SOME_FAILED_MEANS
    )
    add_names(parser)
    parser.add_argument(
        "--skip-simple-root",
        action="store_true",
        help="leave the root index as it is; the next run that has something to do writes it",
    )
    parser.add_argument(
        "--ignore-filters", action="store_true", help="sync the projects and all their files, whatever the filters say"
    )
    parser.add_argument(
        "--allow-removals",
        action="store_true",
        help="remove what upstream removed, even if it exceeds max-removals",
    )
    add_upstream(parser, "the one that owns the project")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, invocation: Invocation) -> int:
    """Bring the projects up to date and return the exit status."""
    loaded = invocation.load_config(arguments.config)
    parts = parts_of_names(loaded, arguments.upstream, read_names(arguments.names))
    return most_serious([_sync(arguments, invocation, config, projects) for config, projects in parts])


def _sync(
    arguments: argparse.Namespace, invocation: Invocation, config: "Config", projects: "list[NormalizedName]"
) -> int:
    """Sync the projects of one index."""
    from bandersnatch.operations.sync import Sync

    with invocation.resources(config) as resources:
        sync = Sync(config, resources, allow_removals=arguments.allow_removals, ignore_filters=arguments.ignore_filters)
        report = sync.run(projects, skip_root_index=arguments.skip_simple_root)
    names = " ".join(projects)
    excluded = len(sync.excluded) + report.excluded
    summary = f"synced {count_of(len(projects) - excluded, 'project')} by name: {report.counts()}"
    status = tell_report(report, summary, f"bandersnatch sync --allow-removals {names}")
    # The operator has asked for these projects by name, so leaving them out is no success.
    return SOME_FAILED if status == DONE and excluded else status
