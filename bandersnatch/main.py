"""The command line's ``main``, from ``cli/app``; also run as ``python -m bandersnatch.main``, as images of others do."""

if __name__ == "__main__":
    import runpy

    runpy.run_module("bandersnatch", run_name="__main__")  # which handles signals before all else
else:
    from bandersnatch.cli.app import main

    __all__ = ["main"]
