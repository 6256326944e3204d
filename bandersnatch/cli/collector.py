"""Python's garbage collector, which does nothing while the program starts.

What is imported stays. To search it for garbage again and again took 12 of the 185 ms of a run with nothing new.
"""

import gc


def pause() -> None:
    """Do without the collector; called before the imports."""
    gc.disable()


def resume() -> None:
    """Let it collect what is made from here on; called when a command begins its work. Nothing happens without ``pause``."""
    if not gc.isenabled():
        gc.freeze()  # it need not look at the program again, and forked workers share that memory for longer
        gc.enable()
