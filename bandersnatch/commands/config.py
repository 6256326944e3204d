"""``bandersnatch config check``: say what is wrong with the configuration, and what is in force."""

import argparse

from bandersnatch.errors import without_credentials
from bandersnatch.exit_status import DONE, EXIT_STATUS
from bandersnatch.invocation import Invocation

EXAMPLES = """\
examples:
  bandersnatch config check
  bandersnatch -c new.conf config check --show

"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Say what the command's arguments are."""
    parser = commands.add_parser(
        "config",
        help="check the configuration",
        description="Questions about the configuration file. The mirror is not touched.",
    )
    questions = parser.add_subparsers(dest="question", metavar="QUESTION", required=True)
    check = questions.add_parser(
        "check",
        help="report all problems of the configuration file",
        description="Report all problems of the configuration file at once. Nothing is asked of upstream.",
        epilog=EXAMPLES + EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument(
        "--show",
        action="store_true",
        help="print all values, secrets masked; those that are defaults stand in comments",
    )
    check.set_defaults(run=run)


def run(arguments: argparse.Namespace, invocation: Invocation) -> int:
    """Check the configuration and return the exit status; its problems are raised, as by every command."""
    from bandersnatch.tables import print_line

    config = invocation.load_config(arguments.config)
    if arguments.show:
        from bandersnatch.effective import effective_lines

        for line in effective_lines(arguments.config):
            print_line(line)
    else:
        index = without_credentials(config.http.upstream_url)
        print_line(f"{arguments.config}: no problems; the mirror is {config.directory}, of {index}")
    return DONE
