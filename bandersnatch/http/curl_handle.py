"""``CurlHandle``: one attempt at a document with libcurl: what is sent, what is received, and its time limits."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pycurl

from bandersnatch.errors import BrokenBodyError, TimeLimitError, UpstreamUnavailableError
from bandersnatch.http.answer_limits import MAX_FRAMING_BYTES, MAX_FRAMING_TIMES, MAX_HEAD_BYTES, MIN_BYTES_PER_SECOND
from bandersnatch.http.attempt import Attempt
from bandersnatch.http.curl_loop import Clock
from bandersnatch.http.curl_settings import set_up, written_url
from bandersnatch.http.decompression import ACCEPTED_ENCODINGS, Decoder, decoder_of
from bandersnatch.http.entity_tags import confirms_tag
from bandersnatch.http.head_fields import HeadFields
from bandersnatch.http.request import NOT_MODIFIED, Head, Receiver
from bandersnatch.http.routes import Route
from bandersnatch.http.tcp_bytes import received_bytes
from bandersnatch.shown_text import without_credentials

LARGE_BYTES = 8 * 1024 * 1024
"""A receiver that keeps more than this in memory may be paused."""
SHORT_BODY_BYTES = 16 * 1024
"""An unwanted body, such as that of an error, is received up to this size: a new connection would cost more."""
_NO_SENT_VALUE = re.compile(r"[\0-\x08\x0a-\x1f\x7f]|[^\0-\xff]")
_NO_FIELDS = HeadFields()
_ABORT = -1


class CurlHandle(Attempt):
    """Makes one attempt after another, to one host. ``curl`` is libcurl's handle."""

    may_keep_more: Callable[[Receiver[Any]], bool]
    """Asks whether a receiver that keeps much in memory may keep more; if not, the attempt is paused."""

    def __init__(self, route: Route, timeout_seconds: float, limit_seconds: float, clock: Clock) -> None:
        self.route = route
        self._timeout, self._limit, self._clock = timeout_seconds, limit_seconds, clock
        self._has_tunnel = route.wants_tunnel
        self.curl = pycurl.Curl()
        set_up(self.curl, route, timeout_seconds)
        self._lines: list[bytes] = []
        self.curl.setopt(pycurl.HEADERFUNCTION, self._line_taker())
        self.curl.setopt(pycurl.WRITEFUNCTION, self._take_piece)
        self.sent = {}
        self._raw_bytes: int | None = None
        self._is_single_use = self._may_wait = self._waits = False

    def on_connect(self, opened: Callable[[int], None]) -> None:
        """Call ``opened`` with each new socket."""

        def connected(descriptor: int, _purpose: int) -> int:
            self.is_new = True
            opened(descriptor)
            return pycurl.SOCKOPT_OK  # type: ignore[no-any-return]  # pycurl has no types

        self.curl.setopt(pycurl.SOCKOPTFUNCTION, connected)

    def begin(self, url: str, target: str, receiver: Receiver[Any], headers: Mapping[str, str]) -> None:
        """Prepare the next attempt.

        Raises:
            ValueError: a header contains characters that can't be sent.
        """
        accepted = ACCEPTED_ENCODINGS if receiver.accepts_compressed else "identity"
        sent = {**self.route.headers, "Accept-Encoding": accepted, **headers}
        if sent != self.sent:
            self.curl.setopt(pycurl.HTTPHEADER, [_line(name, value) for name, value in {"Accept": "", **sent}.items()])
            self.sent = sent
        if self._may_wait and not self._waits:
            # With PIPEWAIT, requests over HTTP/2 wait for one connection and share it
            # (https://curl.se/libcurl/c/CURLOPT_PIPEWAIT.html). Over HTTP/1.1 they would wait for each other's answers,
            # so it is set only when an answer has come over HTTP/2.
            self._waits = True
            self.curl.setopt(pycurl.PIPEWAIT, 1)
        self.curl.setopt(pycurl.URL, written_url(target, self.route))
        self.url = without_credentials(url) if "@" in url else url
        self.receiver = receiver
        self.begun = self._clock.now
        self.error = None
        self.status = 0
        self.reason = ""
        self.fields = _NO_FIELDS
        self.is_on_used_connection = self.is_paused = self.is_of_proxy = self.is_new = self.is_tunnel_open = False
        self.takes_body = self.is_permanent = self.is_garbled_on_used_connection = False
        self.received_bytes = self.body_bytes = self._head_bytes = 0
        self._lines.clear()
        self._decoder: Decoder | None = None

    def set_single_use(self, is_single_use: bool) -> None:
        """Choose whether the attempt gets a new connection that is not reused afterwards."""
        if is_single_use != self._is_single_use:
            self._is_single_use = is_single_use
            self.curl.setopt(pycurl.FRESH_CONNECT, int(is_single_use))
            self.curl.setopt(pycurl.FORBID_REUSE, int(is_single_use))

    @property
    def is_unproven(self) -> bool:
        """Whether this is a 304 without the ETag of the request, so that it may be the answer to another request."""
        return self.status == NOT_MODIFIED and not confirms_tag(self.fields, self.sent)

    # Receiving. libcurl calls these methods. It would only print an exception, so they keep it in ``error`` and abort.

    def _line_taker(self) -> Callable[[bytes], int | None]:
        """Return a function that takes the lines of heads; a closure, because it runs ten times for each document."""
        lines = self._lines
        append = lines.append

        def take_line(line: bytes) -> int | None:
            append(line)
            return self._end_head() if line == b"\r\n" or line == b"\n" else None

        return take_line

    def _end_head(self) -> int | None:
        try:
            status_line, fields = self._lines[0], HeadFields(self._lines)
            self._head_bytes += fields.size_bytes
            self._lines.clear()
            return self._take_head(status_line, fields)
        except Exception as error:  # noqa: BLE001 - the engine passes it to whoever started the request
            self.error = error
            return _ABORT

    def _take_head(self, status_line: bytes, fields: HeadFields) -> int | None:
        if self._head_bytes > MAX_HEAD_BYTES:
            reason = f"no end of the answer: it begins with more than {MAX_HEAD_BYTES} bytes of headers"
            raise UpstreamUnavailableError(self.url, reason)
        version, code, *words = status_line.split(None, 2)
        status = int(code)
        if self.status or (100 <= status < 200 and status != 101):  # trailers, or an interim answer
            return None
        self.reason = words[0].decode("latin-1").rstrip() if words else ""
        # On a new connection, the first answer is that of the proxy to CONNECT.
        if self._has_tunnel and self.is_new and not self.is_tunnel_open:
            self.is_tunnel_open = True
            if status == 200:
                return None
            self.is_of_proxy = True
        self.status, self.fields = status, fields
        self._is_http_1 = version.startswith(b"HTTP/1")
        self._may_wait = not self._is_http_1
        # HTTP/2 numbers its streams, so an answer can't be taken for that of another request.
        self.is_on_used_connection = self._is_http_1 and not self.is_new
        self._body_begun = self._heard = self._window_begun = self._clock.now
        self._window_bytes, self._raw_bytes = 0, None
        if not self._is_document():
            # A connection that may have sent the answer to another request is closed. So is one that changes its protocol.
            is_doubtful = (self.is_on_used_connection and not 300 <= status < 400) or self.is_unproven
            return _ABORT if status == 101 or is_doubtful else None
        self.takes_body = True
        if status != NOT_MODIFIED and self.receiver.accepts_compressed:
            self._decoder = decoder_of(self.url, fields.content_encodings)
        self.receiver.begin(Head(self.url, status, self.fields, self.is_on_used_connection, self._is_http_1))
        return None

    def _is_document(self) -> bool:
        match self.status:
            case 200:
                return True
            case 304:
                is_asked = "If-None-Match" in self.sent or "If-Modified-Since" in self.sent
                return is_asked and not (self.is_on_used_connection and self.is_unproven)
            case 206:
                return "Range" in self.sent
            case _:
                return False

    def _take_piece(self, piece: bytes) -> int | None:
        receiver = self.receiver
        if not self.takes_body:
            self.received_bytes += len(piece)
            self._heard = self._clock.now
            return _ABORT if self.received_bytes > SHORT_BODY_BYTES else None
        if receiver.kept_bytes > LARGE_BYTES and not self.may_keep_more(receiver):
            self.is_paused = True
            self._paused_at = self._clock.now
            return pycurl.WRITEFUNC_PAUSE  # type: ignore[no-any-return]  # pycurl has no types
        self.received_bytes += len(piece)
        self._heard = self._clock.now
        try:
            if self._decoder is None:
                self.body_bytes = self.received_bytes
                receiver.write(piece)
                return None
            for part in self._decoder.pieces(piece):
                self.body_bytes += len(part)
                receiver.write(part)
        except Exception as error:  # noqa: BLE001 - the engine passes it to whoever started the request
            self.error = error
            return _ABORT
        return None

    @property
    def is_cut_short(self) -> bool:
        """Whether a compressed body is incomplete."""
        return self._decoder is not None and self._decoder.is_cut_short

    # Time limits

    def resume(self) -> None:
        """Continue after a pause, which does not count for the time limits."""
        paused = self._clock.now - self._paused_at
        self._heard += paused
        self._window_begun += paused
        self._body_begun += paused
        self.is_paused = False
        # This may call `_take_piece` with the data that was held back (https://curl.se/libcurl/c/curl_easy_pause.html).
        with suppress(pycurl.error):  # if that fails, the loop reports the end of the attempt
            self.curl.pause(pycurl.PAUSE_CONT)

    def next_check(self, now: float) -> float:
        """Check the time limits; return when to check them again.

        Raises:
            UpstreamUnavailableError: the attempt takes too long; a ``BrokenBodyError`` if its body does.
        """
        if self.is_paused:
            return now + self._timeout
        if self.status:
            return self._next_check_at_body(now)
        return min(self._next_check_at_head(now), now + self._limit)  # the body may begin at any time

    def _next_check_at_head(self, now: float) -> float:
        asked_after: float = self.curl.getinfo(pycurl.PRETRANSFER_TIME)
        if asked_after == 0:  # not connected yet, for which libcurl has its own time limit
            return now + self._timeout
        due = self.begun + asked_after + self._timeout
        if now < due:
            return due
        reason = f"no answer for {self._timeout:g} s"
        if self._head_bytes or self._lines:
            reason = f"no end of the answer: its headers were not there after {self._timeout:g} s"
        raise UpstreamUnavailableError(self.url, reason)

    def _next_check_at_body(self, now: float) -> float:
        if now >= self._body_begun + self._limit:
            raise TimeLimitError(self.url, self._limit)
        if now >= self._heard + self._timeout:
            raise BrokenBodyError(self.url, f"no answer for {self._timeout:g} s")
        window_end = self._window_begun + self._timeout
        if self._heard >= window_end:
            elapsed, came = now - self._window_begun, self.received_bytes - self._window_bytes
            if came < MIN_BYTES_PER_SECOND * elapsed:
                raise BrokenBodyError(self.url, f"no end of the answer: only {came} bytes came in {elapsed:.1f} s")
            self._check_framing(came)
            self._window_begun, self._window_bytes, window_end = now, self.received_bytes, now + self._timeout
        silence_end = self._heard + self._timeout
        return min(self._body_begun + self._limit, window_end if now < window_end else silence_end, silence_end)

    def _check_framing(self, came: int) -> None:
        """Refuse a body with far too much framing, such as extensions of its chunks."""
        # A connection of HTTP/2 carries many bodies at a time, so its bytes can't be assigned to one.
        raw = received_bytes(self.curl.getinfo(pycurl.ACTIVESOCKET)) if self._is_http_1 else None
        before, self._raw_bytes = self._raw_bytes, raw
        if raw is None or before is None:
            return
        if raw - before > MAX_FRAMING_BYTES + (1 + MAX_FRAMING_TIMES) * came:  # plus one: the body itself
            reason = f"no end of the answer: of {raw - before} bytes, only {came} are the body"
            raise BrokenBodyError(self.url, reason)


def _line(name: str, value: str | bytes) -> bytes:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if _NO_SENT_VALUE.search(text):
        raise ValueError(f"no value of a header: {text[:80]!r}")
    if name == "Accept" and not text:
        return b"Accept:"  # without a value this removes the one that libcurl would send
    # A name with ";" is how libcurl sends a header without a value (https://curl.se/libcurl/c/CURLOPT_HTTPHEADER.html).
    return (f"{name}: {text}" if text else f"{name};").encode("latin-1")
