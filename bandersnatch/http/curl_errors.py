"""Says in a few words why libcurl could not do what it was asked for."""

import os
import re
from typing import Any

import pycurl

from bandersnatch.errors import shown, without_credentials

NEVER_BETTER = (pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_URL_MALFORMAT)
"""What another attempt can't change."""
_UNRESOLVED = (pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY)
E_PROXY = 97
"""libcurl 7.73 and later; pycurl has no name for it."""
_OF_PROXY = (pycurl.E_COULDNT_RESOLVE_PROXY, E_PROXY)
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)
"""OpenSSL's X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and its neighbours."""
_CERTIFICATE_WORDS = re.compile(r"SSL certificate problem: |SSL certificate OpenSSL verify result: | \(\d+\)$")


def reason_of(curl: Any, code: int, message: str, timeout_seconds: float) -> str:
    """Say why a transfer of ``curl`` failed with ``code``."""
    if code in _UNRESOLVED:
        return "the host's name can't be resolved"
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return f"no connection within {timeout_seconds:g} s"
    if code == pycurl.E_PARTIAL_FILE:
        return "the body broke off"
    if code == pycurl.E_GOT_NOTHING:
        return "the connection was closed without an answer"
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return _certificate_problem(curl, message)
    errno = curl.getinfo(pycurl.OS_ERRNO)
    if errno and code in (pycurl.E_COULDNT_CONNECT, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR):
        return os.strerror(errno)
    return shown(without_credentials(message or pycurl.Curl().errstr())) or f"libcurl's error {code}"


def _certificate_problem(curl: Any, message: str) -> str:
    problem = f"its certificate is not trusted: {shown(_CERTIFICATE_WORDS.sub('', message))}"
    if curl.getinfo(pycurl.SSL_VERIFYRESULT) in _UNKNOWN_AUTHORITY:
        problem += "; if it is of an authority of your own, set REQUESTS_CA_BUNDLE to the file of that authority"
    return problem


def is_of_proxy(code: int) -> bool:
    """Whether an error tells of the proxy, and not of the host behind it."""
    return code in _OF_PROXY
