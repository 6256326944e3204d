"""The command line's ``main``, from ``cli/app``; also the entry point of ``python -m bandersnatch.main``."""

import sys

from bandersnatch.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
