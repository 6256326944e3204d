"""waitress's connections, changed in three points.

They stay open after status 304. waitress closes them, since such an answer has no ``Content-Length``; RFC 9112, section
6.3 says that it ends with its headers. Installers ask most of their questions conditionally.

Of several requests that a client sends at once, the first one is answered, and then the connection is closed; RFC 9112,
section 9.3.2 tells clients to repeat the others. No installer does that. Otherwise one client could open hundreds of
files, or let a thread wait until it has read the first answer.

A request without a body that says ``Expect: 100-continue`` is answered; waitress waits for a body that does not come. RFC
9110, section 10.1.1 says that the field has no meaning then.
"""

from typing import Any


def kept_channels() -> Any:
    """Return the class of connections; it is made here because waitress need not be installed."""
    from waitress.channel import HTTPChannel  # noqa: PLC0415 - see above
    from waitress.task import WSGITask  # noqa: PLC0415

    class KeptTask(WSGITask):  # type: ignore[misc]  # waitress has no types
        def start(self) -> None:
            super().start()
            if len(self.channel.requests) > 1:
                self.set_close_on_finish()

        def set_close_on_finish(self) -> None:
            wants_close = self.request.headers.get("CONNECTION", "").lower() == "close"
            if self.has_body or self.version != "1.1" or wants_close:
                super().set_close_on_finish()

    class KeptChannel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
        task_class = KeptTask

        def send_continue(self) -> None:
            if self.request.completed:
                self.request.expect_continue = False
            else:
                super().send_continue()

    return KeptChannel
