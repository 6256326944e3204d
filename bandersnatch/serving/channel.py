"""waitress's connections, changed in one point: they stay open after an answer without a body.

After status 304 waitress closes the connection, since such an answer has no ``Content-Length``; RFC 9112, section 6.3
says that it ends with its headers. Installers ask most of their questions conditionally.
"""

from typing import Any


def kept_channels() -> Any:
    """Return the class of connections; it is made here because waitress need not be installed."""
    from waitress.channel import HTTPChannel  # noqa: PLC0415 - see above
    from waitress.task import WSGITask  # noqa: PLC0415

    class KeptTask(WSGITask):  # type: ignore[misc]  # waitress has no types
        def set_close_on_finish(self) -> None:
            wants_close = self.request.headers.get("CONNECTION", "").lower() == "close"
            if self.has_body or self.version != "1.1" or wants_close:
                super().set_close_on_finish()

    class KeptChannel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
        task_class = KeptTask

    return KeptChannel
