"""Answers of upstream: their bodies, read piece by piece or as a whole; and why one did not come, or broke off."""

import io
import math
import ssl
import time
import zlib
from collections.abc import Iterator, Mapping
from http.client import HTTPException, IncompleteRead

import urllib3
from msgspec import Struct

from bandersnatch.config.config import HttpConfig
from bandersnatch.errors import BrokenBodyError, MalformedResponseError, TimeLimitError, shown, without_credentials
from bandersnatch.http.connections import EndlessAnswerError, TimeIsOverError, Watched
from bandersnatch.http.decompression import Unpacked

CHUNK_BYTES = 256 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
"""More than any page has: the largest project page of PyPI is about a quarter of it."""
_READABLE_ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")
"""Only gzip is asked for."""
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)
"""OpenSSL's X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and its neighbours."""
_BROKEN_BODY = (urllib3.exceptions.HTTPError, HTTPException, OSError)


class Answer(Struct, frozen=True):
    """A whole answer of upstream: 200, or 304 without a body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class Body:
    """The body of an answer that is being received; read it once, inside the ``with`` that made it."""

    def __init__(self, url: str, response: urllib3.BaseHTTPResponse, config: HttpConfig) -> None:
        self.url, self.status, self.headers = url, response.status, response.headers
        self._response, self._config = response, config
        self._end = time.monotonic() + (config.global_timeout_seconds or math.inf)
        self.received_bytes = 0
        connection = response.connection
        self._reader = connection.reader if isinstance(connection, Watched) else None

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they come, which may be compressed.

        Raises:
            BrokenBodyError: the body broke off, or upstream fell silent.
            TimeLimitError: it takes too long as a whole, however busy it looks.
        """
        read = self._response.read1  # what has come so far, so that no byte waits for the ones behind it
        try:
            while chunk := read(CHUNK_BYTES, decode_content=False):
                self.received_bytes += len(chunk)
                if self._reader is not None:
                    self._reader.body_bytes += len(chunk)
                yield chunk
                if time.monotonic() > self._end:
                    raise TimeLimitError(self.url, self._config.global_timeout_seconds)
        except _BROKEN_BODY as error:
            if any(isinstance(cause, TimeIsOverError) for cause in _causes(error)):
                raise TimeLimitError(self.url, self._config.global_timeout_seconds) from error
            raise BrokenBodyError(self.url, reason_of(error, self._config.timeout_seconds)) from error

    def whole(self, limit_bytes: int) -> bytes:
        """Return the decompressed body.

        Raises:
            BrokenBodyError: as ``chunks`` does.
            MalformedResponseError: it is larger than ``limit_bytes``, compressed or not.
        """
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _READABLE_ENCODINGS:
            raise BrokenBodyError(self.url, f"compressed in a way that was not asked for: {shown(encoding)}")
        unpacked = Unpacked() if encoding not in ("", "identity") else None
        whole = io.BytesIO()  # which gives its bytes away without a copy
        try:
            for chunk in self.chunks():
                for piece in unpacked.pieces(chunk) if unpacked is not None else (chunk,):
                    whole.write(piece)
                    if whole.tell() > limit_bytes:
                        raise MalformedResponseError(self.url, f"the answer is larger than {limit_bytes} bytes")
                if self.received_bytes > limit_bytes + CHUNK_BYTES:  # compressed, and nothing comes of it
                    raise MalformedResponseError(self.url, f"the answer is larger than {limit_bytes} bytes")
        except zlib.error as error:
            raise BrokenBodyError(self.url, f"the body can't be decompressed: {error}") from error
        if unpacked is not None and not unpacked.is_whole and self.received_bytes:
            raise BrokenBodyError(self.url, "the body broke off")
        return whole.getvalue()


def reason_of(error: BaseException, timeout_seconds: float, proxy: str = "") -> str:
    """Say in a few words why a request failed; requests nests its causes several levels deep."""
    chain = _causes(error)
    endless = next((cause for cause in chain if isinstance(cause, EndlessAnswerError)), None)
    if endless is not None:
        return f"no end of the answer: {endless}"
    is_of_proxy = any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in chain)
    through = f"the proxy {proxy}".rstrip() + ": " if is_of_proxy else ""
    for cause in chain:
        match cause:
            case urllib3.exceptions.NameResolutionError():
                return f"{through}the host's name can't be resolved"
            case urllib3.exceptions.NewConnectionError():
                break  # a kind of ConnectTimeoutError in urllib3, although it is none; its own cause tells more
            case urllib3.exceptions.ConnectTimeoutError():
                return f"{through}no connection within {timeout_seconds:g} s"
            case urllib3.exceptions.ReadTimeoutError():
                return f"{through}no answer for {timeout_seconds:g} s"
            case urllib3.exceptions.IncompleteRead() | IncompleteRead():
                return "the body broke off"
            case ssl.SSLCertVerificationError():
                return through + _certificate_problem(cause)
            case _:
                continue
    deepest = chain[-1]
    if isinstance(deepest, OSError) and deepest.strerror:
        return through + shown(deepest.strerror)
    if isinstance(deepest, TimeoutError):  # a socket's own, which has no words for it
        return f"{through}no answer for {timeout_seconds:g} s"
    return through + (shown(without_credentials(str(deepest))) or type(deepest).__name__)


def _certificate_problem(error: ssl.SSLCertVerificationError) -> str:
    problem = f"its certificate is not trusted: {error.verify_message}"
    if error.verify_code in _UNKNOWN_AUTHORITY:
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
