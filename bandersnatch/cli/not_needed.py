"""Options on the command line of other bandersnatch versions that are not needed here."""

import argparse
from collections.abc import Sequence
from typing import Any


class NotNeeded(argparse.Action):
    """Accepts such an option; ``main`` logs the line that this leaves in ``not_needed``, once logging is set up."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, reason: str, **options: Any) -> None:
        options["nargs"] = 0 if options.get("metavar") is None else None
        super().__init__(
            option_strings, dest, default=argparse.SUPPRESS, help=f"accepted, and not needed: {reason}", **options
        )
        self._reason = reason

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - argparse calls all actions alike
        namespace: argparse.Namespace,
        values: object,  # noqa: ARG002 - argparse calls all actions alike
        option_string: str | None = None,
    ) -> None:
        """Record the line."""
        told = getattr(namespace, "not_needed", ())
        namespace.not_needed = (*told, f"{option_string}: not needed: {self._reason}")
