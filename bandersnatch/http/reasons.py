"""Says in a few words why requests or urllib3 failed, for messages."""

import ssl
from http.client import IncompleteRead

import urllib3

from bandersnatch.shown_text import shown, without_credentials

_UNKNOWN_AUTHORITY = (18, 19, 20, 21)
"""OpenSSL's X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and its neighbours."""


def reason_of(error: BaseException, timeout_seconds: float, proxy: str = "") -> str:
    """Return why requests or urllib3 failed; requests nests its causes several levels deep."""
    chain = _causes(error)
    is_of_proxy = any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in chain)
    through = f"the proxy {proxy}".rstrip() + ": " if is_of_proxy else ""
    for cause in chain:
        match cause:
            case urllib3.exceptions.NameResolutionError():
                return f"{through}the host's name can't be resolved"
            case urllib3.exceptions.NewConnectionError():
                break  # urllib3 makes it a ConnectTimeoutError, which it is not; its own cause says more
            case urllib3.exceptions.ConnectTimeoutError():
                return f"{through}no connection within {timeout_seconds:g} s"
            case urllib3.exceptions.ReadTimeoutError():
                return f"{through}no answer for {timeout_seconds:g} s"
            case urllib3.exceptions.IncompleteRead() | IncompleteRead():
                return "the body broke off"
            case ssl.SSLCertVerificationError():
                return through + certificate_problem(cause.verify_message, cause.verify_code)
            case _:
                continue
    deepest = chain[-1]
    if isinstance(deepest, OSError) and deepest.strerror:
        return through + shown(deepest.strerror)
    if isinstance(deepest, TimeoutError):  # a socket's own, which has no text
        return f"{through}no answer for {timeout_seconds:g} s"
    return through + (shown(without_credentials(str(deepest))) or type(deepest).__name__)


def certificate_problem(words: str, code: int) -> str:
    """Return what is wrong with a certificate, from OpenSSL's text and code, and what may help."""
    problem = f"its certificate is not trusted: {words}"
    if code in _UNKNOWN_AUTHORITY:
        problem += "; if it is of an authority of your own, set REQUESTS_CA_BUNDLE to the file of that authority"
    return problem


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and what caused it, outermost first; each library keeps the cause in another place."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        places = (getattr(cause, "reason", None), *cause.args, cause.__cause__)
        cause = next((place for place in places if isinstance(place, BaseException)), None)
    return chain
