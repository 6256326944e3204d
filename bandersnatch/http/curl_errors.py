"""Says in a few words why libcurl could not do what it was asked for, with an error of ours."""

import os
import re
from typing import TYPE_CHECKING

import pycurl

from bandersnatch.errors import BrokenBodyError, UpstreamUnavailableError, shown, without_credentials
from bandersnatch.http.reasons import certificate_problem

if TYPE_CHECKING:
    from bandersnatch.http.curl_handle import CurlHandle
    from bandersnatch.http.curl_loop import Ended

_NEVER_BETTER = (pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_URL_MALFORMAT)
"""What another attempt can't change."""
_UNRESOLVED = (pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY)
_E_PROXY = 97
"""libcurl 7.73 and later; pycurl has no name for it."""
_OF_PROXY = (pycurl.E_COULDNT_RESOLVE_PROXY, _E_PROXY)
_CERTIFICATE_WORDS = re.compile(r"SSL certificate problem: |SSL certificate OpenSSL verify result: | \(\d+\)$")


def failure_of(handle: "CurlHandle", ended: "Ended", timeout_seconds: float) -> Exception | None:
    """Return why an attempt that has ended has brought no answer, or not all of its body."""
    if handle.takes_body:
        if ended.code:
            return BrokenBodyError(handle.url, _reason_of(handle, ended, timeout_seconds))
        return BrokenBodyError(handle.url, "the body broke off") if handle.is_cut_short else None
    if handle.status:  # what else there is of the answer does not matter
        return None
    handle.is_hopeless = ended.code in _NEVER_BETTER
    reason, proxy = _reason_of(handle, ended, timeout_seconds), handle.route.proxy
    if proxy and (ended.code in _OF_PROXY or not handle.is_tunnel_open):
        reason = f"the proxy {proxy}: {reason}"
    return UpstreamUnavailableError(handle.url, reason)


def _reason_of(handle: "CurlHandle", ended: "Ended", timeout_seconds: float) -> str:
    curl, code, message = handle.curl, ended.code, ended.message
    if code in _UNRESOLVED:
        return "the host's name can't be resolved"
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return f"no connection within {timeout_seconds:g} s"
    if code == pycurl.E_PARTIAL_FILE:
        return "the body broke off"
    if code == pycurl.E_GOT_NOTHING:
        return "the connection was closed without an answer"
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        words = shown(_CERTIFICATE_WORDS.sub("", message))
        return certificate_problem(words, curl.getinfo(pycurl.SSL_VERIFYRESULT))
    errno = curl.getinfo(pycurl.OS_ERRNO)
    if errno and code in (pycurl.E_COULDNT_CONNECT, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR):
        return os.strerror(errno)
    return shown(without_credentials(message or pycurl.Curl().errstr())) or f"libcurl's error {code}"
