"""The exit statuses of all commands, and what they mean; ``main`` in ``cli/app.py`` turns errors into them."""

DONE, SOME_FAILED, BAD_USAGE, LOCK_HELD, STOPPED, REMOVALS_WITHHELD, REPAIRED = range(7)
SIGNAL_BASE = 128
"""The exit status of a process ended by a signal is this plus the signal's number, as in a shell."""

EXIT_STATUS = """\
exit status:
  0    done
  1    done, but some projects failed and are tried again by the next run;
       or there was no configuration file (an example is written in its place);
       verify: problems remain; sync: a filter drops a project
  2    the command line or the configuration is wrong
  3    another run holds the lock of the directory
  4    upstream or the disk stopped the run
  5    all done except the removals, which exceed max-removals
  6    verify: what was wrong has been repaired or deleted
  130  interrupted (Ctrl-C); 143: terminated. The next run continues from there.
"""

_MEANINGS = {
    DONE: "done",
    BAD_USAGE: "the command line or the configuration is wrong",
    LOCK_HELD: "another run holds the lock of the directory",
    STOPPED: "upstream or the disk stopped the run",
    REMOVALS_WITHHELD: "all done except the removals, which exceed max-removals",
    REPAIRED: "what was wrong has been repaired or deleted",
}


def exit_statuses(*statuses: int, some_failed: str = "") -> str:
    """Return the last part of a command's help: the meanings of its statuses. ``some_failed`` is the meaning of 1."""
    meanings = _MEANINGS | ({SOME_FAILED: some_failed} if some_failed else {})
    lines = [f"  {status}    {meanings[status]}" for status in sorted(meanings) if status in (*statuses, SOME_FAILED)]
    return "\n".join(["exit status:", *lines, "  130  interrupted (Ctrl-C); 143: terminated", ""])
