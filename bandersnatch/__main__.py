"""The entry point of ``bandersnatch`` and ``python -m bandersnatch``; signals are handled before all else."""

from bandersnatch.cli import collector
from bandersnatch.cli.signals import end_at_signals


def console() -> None:
    """Run the command and end the process, even if a thread still waits for a silent upstream."""
    end_at_signals()
    collector.pause()
    from bandersnatch.cli.invocation import end_process  # noqa: PLC0415 - the imports take tenths of a second, see above
    from bandersnatch.main import main  # noqa: PLC0415 - as above

    end_process(main())


if __name__ == "__main__":
    console()
