"""One attempt at a request: what is known of it when it has ended."""

from collections.abc import Mapping

from bandersnatch.http.routes import Route


class Attempt:
    """What ``RetryRules`` decide by."""

    url: str
    """Without credentials."""
    route: Route
    sent: Mapping[str, str]
    """The header fields of the request."""
    fields: Mapping[str, str]
    """Those of the answer; names in any case."""
    status = 0
    """0 while there is no answer."""
    reason = ""
    """What the answer says beside its status."""
    error: Exception | None = None
    is_hopeless = False
    """Whether another attempt can't change the error."""
    takes_body = False
    """Whether the body is the receiver's."""
    is_later = False
    """Whether other answers came before on its connection, so that this may be the answer to another request."""
    is_of_proxy = False
    """Whether the proxy has answered, and not the host behind it."""
    received_bytes = body_bytes = 0
    """What has come of the body, and what it holds; these differ if it is compressed."""
