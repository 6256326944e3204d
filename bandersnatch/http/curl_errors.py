"""Turns a failed transfer of libcurl into one of our errors, with the reason in a few words."""

import os
import re
from typing import TYPE_CHECKING

import pycurl

from bandersnatch.errors import BrokenBodyError, UpstreamUnavailableError
from bandersnatch.http.reasons import certificate_problem
from bandersnatch.shown_text import shown, without_credentials

if TYPE_CHECKING:
    from bandersnatch.http.curl_handle import CurlHandle
    from bandersnatch.http.curl_loop import Ended

_PERMANENT = (pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_URL_MALFORMAT)
"""Errors that every other attempt would end with, unless they are about the answer."""
_GARBLED = (pycurl.E_UNSUPPORTED_PROTOCOL, 8)
"""What came is no answer: of another protocol, or no status line (CURLE_WEIRD_SERVER_REPLY, whose name pycurl changed)."""
_UNRESOLVED = (pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY)
_E_PROXY = 97
"""libcurl 7.73 and later; pycurl has no name for it."""
_E_TOO_LARGE = 100
"""libcurl 8.6 and later; pycurl has no name for it."""
_OF_PROXY = (pycurl.E_COULDNT_RESOLVE_PROXY, _E_PROXY)
_CERTIFICATE_WORDS = re.compile(r"SSL certificate problem: |SSL certificate OpenSSL verify result: | \(\d+\)$")


def failure_of(handle: "CurlHandle", ended: "Ended", timeout_seconds: float) -> Exception | None:
    """Return why an attempt has no answer, or not all of its body; None if it has."""
    if handle.takes_body:
        if ended.code:
            return BrokenBodyError(handle.url, _reason_of(handle, ended, timeout_seconds))
        return BrokenBodyError(handle.url, "the body broke off") if handle.is_cut_short else None
    if handle.status:  # it is not a document: the status says all, even if the body was interrupted
        return None
    is_sent = handle.curl.getinfo(pycurl.PRETRANSFER_TIME) > 0
    handle.is_permanent = ended.code in _PERMANENT and not is_sent
    handle.is_garbled_on_used_connection = ended.code in _GARBLED and is_sent and not handle.is_new
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
    if code == _E_TOO_LARGE:
        return "the head of the answer is too large"
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        words = shown(_CERTIFICATE_WORDS.sub("", message))
        return certificate_problem(words, curl.getinfo(pycurl.SSL_VERIFYRESULT))
    errno = curl.getinfo(pycurl.OS_ERRNO)
    if errno and code in (pycurl.E_COULDNT_CONNECT, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR):
        return os.strerror(errno)
    return shown(without_credentials(message or pycurl.Curl().errstr())) or f"libcurl's error {code}"
