"""``bandersnatch config``: report mistakes in the configuration, show its values, and explain what filters do."""

import argparse
import logging
from pathlib import Path

from bandersnatch.cli.exit_codes import BAD_USAGE, DONE, STOPPED, exit_statuses
from bandersnatch.cli.invocation import Invocation, how_to_begin
from bandersnatch.cli.parts import add_upstream, chosen_parts
from bandersnatch.config.example import refuse_untouched
from bandersnatch.errors import MissingDirectoryError
from bandersnatch.shown_text import without_credentials

logger = logging.getLogger(__name__)

CHECK_EXAMPLES = """\
examples:
  bandersnatch config check
  bandersnatch -c new.conf config check --show
  bandersnatch config check --online         is a name on the allowlist misspelt?

"""
EXPLAIN_EXAMPLES = """\
examples:
  bandersnatch config explain flask
  bandersnatch config explain flask==3.0.0
  bandersnatch -c new.conf config explain flask-3.0.0-py3-none-any.whl

Each enabled filter that decides about it says why it keeps or drops it. A
project is explained with its releases, a release with its files. Whatever
belongs to something dropped is dropped with it.

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = "Questions about the configuration file. The mirror is not touched."
    parser.epilog = CHECK_EXAMPLES + EXPLAIN_EXAMPLES + exit_statuses(DONE, BAD_USAGE, STOPPED)
    questions = parser.add_subparsers(dest="question", metavar="QUESTION", required=True)
    check = questions.add_parser(
        "check",
        help="report all problems of the configuration file",
        description="Report all problems of the configuration file at once. Upstream is not asked, except with --online.",
        epilog=CHECK_EXAMPLES + exit_statuses(DONE, BAD_USAGE, STOPPED),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument(
        "--show",
        action="store_true",
        help="print all values, with secrets masked and defaults as comments",
    )
    check.add_argument(
        "--online",
        action="store_true",
        help="also ask upstream what it tells, and whether it has all projects on the allowlists",
    )
    check.set_defaults(run=run_check)
    explain = questions.add_parser(
        "explain",
        help="say which filter keeps or drops a project, a release or a file, and why",
        description="Say which filter keeps or drops a project, a release or a file, and why.\n"
        "Upstream is asked about it, and the mirror is not touched.",
        epilog=EXPLAIN_EXAMPLES + exit_statuses(DONE, BAD_USAGE, STOPPED),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain.add_argument("targets", nargs="+", metavar="NAME[==VERSION]|FILE", help="what to explain")
    add_upstream(explain, "the one that owns the project")
    explain.set_defaults(run=run_explain)


def run_check(arguments: argparse.Namespace, invocation: Invocation) -> int:
    """Check the configuration and return the exit status; its problems are raised, as by every command.

    Raises:
        UpstreamError: upstream could not be asked.
    """
    from bandersnatch.cli.output import print_line

    config = invocation.load_config(arguments.config)
    if arguments.online:
        from bandersnatch.config.parts import parts_of
        from bandersnatch.operations.upstream_facts import upstream_facts
        from bandersnatch.plan.allowlisted import ask_for

        for part in parts_of(config):
            with invocation.resources(part.config) as resources:
                facts = list(upstream_facts(resources.upstream, part.config))
                ask_for(part.config.filters, resources.upstream)
            if config.upstreams:
                print_line(f"{part.section}: {resources.upstream.url}")
            width = max(len(fact.about) for fact in facts)
            for fact in facts:
                print_line(f"{fact.about:{width}}  {fact.told}")
    if arguments.show:
        from bandersnatch.config.show import effective_lines

        for line in effective_lines(arguments.config):
            print_line(line)
    else:
        refuse_untouched(arguments.config)
        index = without_credentials(config.http.upstream_url)
        others = "".join(f", and [upstream {each.name}]" for each in config.upstreams)
        print_line(f"{arguments.config}: no problems; the mirror is {config.directory}, of {index}{others}")
    _tell_missing_directory(arguments.config, config.directory)
    return DONE


def _tell_missing_directory(conf: Path, directory: Path) -> None:
    """Warn if a run would stop here because the directory is missing; the file may still be right, for another machine."""
    from bandersnatch.storage.mirror_folder import require_directory

    try:
        require_directory(directory)
    except MissingDirectoryError as error:
        logger.warning("a run would end at once: %s", error.with_advice(how_to_begin(conf)))


def run_explain(arguments: argparse.Namespace, invocation: Invocation) -> int:
    """Explain what the filters do and return the exit status.

    Raises:
        UnknownTargetError: upstream has nothing of that name.
        UpstreamError: upstream could not be asked.
    """
    from bandersnatch.cli.output import print_line
    from bandersnatch.operations.explain import Target, explain, explain_owner, owning_part
    from bandersnatch.state.upstream_record import load_upstream

    targets = [Target.parse(text) for text in arguments.targets]
    config = invocation.load_config(arguments.config)
    for target in targets:
        for line in explain_owner(target.project, config):
            print_line(line)
        chosen = chosen_parts(config, arguments.upstream) if arguments.upstream else ()
        part = chosen[0] if chosen else owning_part(target.project, config)
        with invocation.resources(part.config) as resources:
            if (known := load_upstream(resources.storage, resources.upstream.url)) is not None:
                resources.upstream.look_for_pages_at(known.simple_url, forbids_missing=known.forbids_missing)
            for line in explain(target, part.config.filters, resources.upstream):
                print_line(line)
    return DONE
