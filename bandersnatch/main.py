"""The door to the command line, which is in ``cli/app``; ``python -m bandersnatch.main`` comes in here, too."""

import sys

from bandersnatch.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
