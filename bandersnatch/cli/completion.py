"""``bandersnatch completion bash|zsh``: print a script that completes the command line in a shell."""

import argparse

from bandersnatch.cli.exit_codes import DONE
from bandersnatch.cli.invocation import Invocation
from bandersnatch.errors import UsageError

EXAMPLES = """\
examples:
  bandersnatch completion bash > /etc/bash_completion.d/bandersnatch
  bandersnatch completion zsh > /usr/local/share/zsh/site-functions/_bandersnatch

It needs the package shtab: pip install 'bandersnatch[completion]'. The script
itself needs nothing; print it anew after an update of bandersnatch.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its arguments to the command line."""
    parser = commands.add_parser(
        "completion",
        help="print a script for completion in bash or zsh",
        description="Print a script with which the shell completes commands and options of bandersnatch.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell to complete for")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, invocation: Invocation) -> int:  # noqa: ARG001 - all commands have this signature
    """Print the script and return the exit status."""
    from bandersnatch.cli.output import print_line

    try:
        import shtab
    except ImportError:
        raise UsageError("completion needs the package shtab: pip install 'bandersnatch[completion]'") from None
    print_line(shtab.complete(arguments.parser, arguments.shell))
    return DONE
