"""The faults of the fake index: each goes wrong in its own way, for as long as it was told."""

import http.client
import xmlrpc.client
from collections.abc import Callable
from threading import Event, Thread

import pytest

from tests.support.fakepypi import (
    Body,
    Call,
    Edit,
    ExtraBytes,
    FakePyPI,
    Fault,
    RateLimited,
    Reset,
    SerialHeader,
    ShortBody,
    Stall,
    Status,
    WrongBytes,
    XmlFault,
)
from tests.support.plain_client import Reply, call, page, request


def test_faults_take_turns_and_end(pypi: FakePyPI) -> None:
    pypi.fault("/simple/*", Status(503, headers={"Retry-After": "1"}, body=b"busy"), Status(500), times=2)

    statuses = [request(pypi, "/simple/").status for _ in range(5)]

    assert statuses == [503, 500, 503, 500, 200]


def test_faults_without_an_end_last_until_cleared(pypi: FakePyPI) -> None:
    pypi.fault("/simple/", Status(503, headers={"Retry-After": "1"}), times=None)

    replies = [request(pypi, "/simple/") for _ in range(3)]

    assert [(reply.status, reply.headers["Retry-After"]) for reply in replies] == [(503, "1")] * 3
    pypi.clear_faults()
    assert request(pypi, "/simple/").status == 200


def test_exact_paths_come_before_prefixes(pypi: FakePyPI) -> None:
    pypi.fault("/simple/*", Status(500))
    pypi.fault("/simple/foo/", Status(503))

    assert [request(pypi, "/simple/foo/").status for _ in range(3)] == [503, 500, 404]


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        (WrongBytes(), lambda content: bytes(byte ^ 0x55 for byte in content)),
        (ExtraBytes(3), lambda content: content + b"xxx"),
        (Body(b"other"), lambda content: b"other"),
    ],
)
def test_bytes_can_be_wrong(pypi: FakePyPI, fault: Fault, change: Callable[[bytes], bytes]) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.fault(file.url_path, fault)

    assert request(pypi, file.url_path).body == change(file.content)
    assert request(pypi, file.url_path).body == file.content


def test_a_body_in_place_of_the_real_keeps_its_headers(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.fault("/simple/foo/", Body(b"<", headers={"X-Extra": "1"}, content_type="text/plain"))
    reply = request(pypi, "/simple/foo/")

    assert (reply.status, reply.body, reply.headers["X-PyPI-Last-Serial"]) == (200, b"<", "2")
    assert (reply.headers["X-Extra"], reply.headers["Content-Type"]) == ("1", "text/plain")


def test_short_bodies_break_off(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.fault(file.url_path, ShortBody(10))

    with pytest.raises(http.client.IncompleteRead) as caught:
        request(pypi, file.url_path)
    assert caught.value.partial == file.content[:10]


@pytest.mark.parametrize(("after_bytes", "status"), [(0, None), (10, 200)])
def test_connections_can_be_reset(pypi: FakePyPI, after_bytes: int, status: int | None) -> None:
    file = pypi.add_file("foo", "1.0")
    pypi.fault(file.url_path, Reset(after_bytes))

    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        request(pypi, file.url_path)
    assert [each.status for each in pypi.requests] == [status]


def test_a_stalled_answer_goes_on_when_the_event_is_set(pypi: FakePyPI) -> None:
    file = pypi.add_file("foo", "1.0")
    stall = Stall(Event(), after_bytes=10)
    pypi.fault(file.url_path, stall)
    replies: list[Reply] = []
    client = Thread(target=lambda: replies.append(request(pypi, file.url_path)))
    client.start()

    assert stall.started.wait(30)
    assert replies == []
    assert stall.event is not None
    stall.event.set()
    client.join(30)
    assert replies[0].body == file.content


def test_closing_the_fake_ends_a_stall() -> None:
    errors: list[BaseException] = []

    def ask(pypi: FakePyPI) -> None:
        try:
            request(pypi, "/simple/")
        except (http.client.IncompleteRead, ConnectionError) as error:
            errors.append(error)

    with FakePyPI() as pypi:
        stall = Stall()
        pypi.fault("/simple/", stall)
        client = Thread(target=ask, args=(pypi,))
        client.start()
        assert stall.started.wait(30)
    client.join(30)
    assert len(errors) == 1


@pytest.mark.parametrize(("value", "seen"), [(7, "7"), ("junk", "junk"), (None, None)])
def test_the_serial_header_can_be_wrong(pypi: FakePyPI, value: int | str | None, seen: str | None) -> None:
    pypi.create_project("foo")
    pypi.fault("/simple/foo/", SerialHeader(value))

    assert request(pypi, "/simple/foo/").headers["X-PyPI-Last-Serial"] == seen


def test_pages_can_be_edited_in_every_format(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.fault("/simple/foo/", Edit(lambda value: {**value, "name": "evil"}), times=2)

    assert page(pypi, "foo")["name"] == "evil"
    assert b"Links for evil" in request(pypi, "/simple/foo/").body
    assert page(pypi, "foo")["name"] == "foo"


def test_a_call_can_change_the_world_before_the_answer(pypi: FakePyPI) -> None:
    pypi.create_project("foo")
    pypi.fault("/simple/foo/", Call(lambda: pypi.add_file("foo", "1.0")), Call(pypi.clear_faults, then=Status(502)))

    assert page(pypi, "foo")["versions"] == ["1.0"]
    assert request(pypi, "/simple/foo/").status == 502


def test_xml_rpc_calls_fail_by_method(pypi: FakePyPI) -> None:
    pypi.fault("rpc:changelog_last_serial", XmlFault(-32500, "application error"))
    pypi.fault("rpc:*", RateLimited(57))

    with pytest.raises(xmlrpc.client.Fault, match="Limit may reset in 57 seconds"):
        call(pypi, "list_packages_with_serial")
    with pytest.raises(xmlrpc.client.Fault, match="application error"):
        call(pypi, "changelog_last_serial")
    assert call(pypi, "changelog_last_serial") is None
