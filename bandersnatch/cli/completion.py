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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = "Print a script with which the shell completes commands and options of bandersnatch."
    parser.epilog = EXAMPLES
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell to complete for")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, invocation: Invocation) -> int:  # noqa: ARG001 - all commands have this signature
    """Print the script and return the exit status."""
    from bandersnatch.cli.app import build_parser
    from bandersnatch.cli.output import print_line

    try:
        import shtab
    except ImportError:
        raise UsageError("completion needs the package shtab: pip install 'bandersnatch[completion]'") from None
    print_line(shtab.complete(build_parser(), arguments.shell))
    return DONE
