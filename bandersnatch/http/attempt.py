"""``Attempt``: what is known of one attempt at a request when it has ended."""

from collections.abc import Mapping

from bandersnatch.http.routes import Route


class Attempt:
    """What ``RetryRules`` need to decide whether there is another attempt."""

    url: str
    """Without credentials."""
    route: Route
    sent: Mapping[str, str]
    """The header fields of the request."""
    fields: Mapping[str, str]
    """Those of the answer, by names in any case."""
    status = 0
    """0 until there is an answer."""
    reason = ""
    """The text beside the status (the reason phrase)."""
    error: Exception | None = None
    is_permanent = False
    """Whether another attempt would end with the same error."""
    takes_body = False
    """Whether the body goes to the receiver, since the answer is a document."""
    is_on_used_connection = False
    """Whether its connection was used before, so that this may be a late answer to another request."""
    is_garbled_on_used_connection = False
    """Whether what came on such a connection is no answer at all, such as the end of one to another request."""
    is_of_proxy = False
    """Whether the proxy has answered, instead of the host behind it."""
    received_bytes = body_bytes = 0
    """The size of the received body, before and after decompression."""
