"""The exit statuses of all commands, and what they mean."""

DONE, SOME_FAILED, BAD_USAGE, LOCK_HELD, STOPPED, REMOVALS_WITHHELD, REPAIRED = range(7)
SIGNAL_BASE = 128
"""A command that a signal has ended has this and the signal's number for its status."""

EXIT_STATUS = """\
exit status:
  0    done
  1    done, but some projects failed and are tried again by the next run;
       or there was no configuration file (an example is written in its place);
       verify: something that is wrong is left; sync: a filter drops a project
  2    the command line or the configuration is wrong
  3    another run holds the lock of the directory
  4    upstream or the disk stopped the run
  5    all done but the removals, which are more than max-removals allows
  6    verify: what was wrong is repaired or deleted
  130  interrupted (Ctrl-C); 143: terminated. The next run goes on from there.
"""

_MEANINGS = {
    DONE: "done",
    BAD_USAGE: "the command line or the configuration is wrong",
    LOCK_HELD: "another run holds the lock of the directory",
    STOPPED: "upstream or the disk stopped the run",
    REMOVALS_WITHHELD: "all done but the removals, which are more than max-removals allows",
    REPAIRED: "what was wrong is repaired or deleted",
}


def exit_statuses(*statuses: int, some_failed: str = "") -> str:
    """Return the end of a command's help: what its own statuses mean. ``some_failed`` says what 1 is."""
    meanings = _MEANINGS | ({SOME_FAILED: some_failed} if some_failed else {})
    lines = [f"  {status}    {meanings[status]}" for status in sorted(meanings) if status in (*statuses, SOME_FAILED)]
    return "\n".join(["exit status:", *lines, "  130  interrupted (Ctrl-C); 143: terminated", ""])
