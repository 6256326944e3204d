"""The XML-RPC calls: faults, and what is no XML-RPC at all."""

from collections.abc import Iterator
from contextlib import closing
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.errors import InterruptedRunError, MalformedResponseError, NotFoundError, UpstreamUnavailableError
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.retry_policy import RetryPolicy
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.inifile.option import ApiMethod
from bandersnatch.upstream.changelog import LONGEST_RATE_LIMIT_SECONDS, Changelog
from bandersnatch.upstream.index import Upstream
from tests.support.builders import json_values, make_conversation, unhurried
from tests.support.fakepypi import Body, FakePyPI, RateLimited, Status, XmlFault
from tests.support.xmlrpc_calls import LAST, LIST, SINCE, Waits, connected, everything, response


@pytest.fixture
def changelog(pypi: FakePyPI) -> Iterator[Changelog]:
    with connected(pypi.url) as changelog:
        yield changelog


@pytest.fixture(scope="module")
def patient_pypi() -> Iterator[FakePyPI]:
    """Return an index that all examples of a property may share."""
    with FakePyPI() as fake:
        yield fake


def raw_response(xml: str) -> Body:
    """Return an XML-RPC answer with a value in any XML."""
    return Body(f"<methodResponse><params><param><value>{xml}</value></param></params></methodResponse>".encode())


# Faults


def test_the_rate_limit_is_waited_for_as_long_as_it_says(pypi: FakePyPI) -> None:
    waits = Waits()
    pypi.create_project("a")
    pypi.fault(LAST, RateLimited(57), RateLimited(3))
    with connected(pypi.url, waits) as changelog:
        assert changelog.last_serial() == 2
    assert waits.seconds == [59.0, 5.0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("HTTPTooManyRequests: Limit may reset in 57 seconds.", 59.0),
        ("HTTPTooManyRequests: Limit may reset in 57 seconds", 59.0),
        ("HTTPTooManyRequests: Limit may reset in 57 seconds. See the documentation.", 59.0),
        ("HTTPTooManyRequests: slow\ndown. Limit may reset in 57 seconds.", 59.0),
        ("HTTPTooManyRequests: slow down", 60.0),
        ("HTTPTooManyRequests", 60.0),
        ("HTTPTooManyRequests: Limit may reset in 60 seconds.", 62.0),
    ],
)
def test_a_rate_limit_is_known_by_its_first_word(pypi: FakePyPI, text: str, seconds: float) -> None:
    waits = Waits()
    pypi.fault(LAST, XmlFault(-32500, text))
    with connected(pypi.url, waits) as changelog:
        assert changelog.last_serial() == 0
    assert waits.seconds == [seconds]


@pytest.mark.parametrize("seconds", ["61", "3599", "999999999", "9" * 500])
def test_a_rate_limit_of_more_than_a_minute_is_an_error_at_once(pypi: FakePyPI, seconds: str) -> None:
    waits = Waits()
    pypi.fault(LAST, XmlFault(-32500, f"HTTPTooManyRequests: Limit may reset in {seconds} seconds."))
    with connected(pypi.url, waits) as changelog, pytest.raises(UpstreamUnavailableError, match="HTTPTooManyRequests"):
        changelog.last_serial()
    assert waits.seconds == []


@pytest.mark.parametrize(("told", "waited"), [("61", 63.0), ("9" * 500, LONGEST_RATE_LIMIT_SECONDS + 2)])
def test_where_nothing_can_take_its_place_every_rate_limit_is_waited_for(
    pypi: FakePyPI, told: str, waited: float
) -> None:
    waits = Waits()
    pypi.fault(LAST, XmlFault(-32500, f"HTTPTooManyRequests: Limit may reset in {told} seconds."))
    with closing(make_conversation(attempts=2, wait=waits)) as conversation:
        assert Upstream(conversation, pypi.url, api_method=ApiMethod.XMLRPC).last_serial() == 0
    assert waits.seconds == [waited]


@pytest.mark.parametrize("text", ["RuntimeError: something else", "application error"])
def test_another_fault_that_may_pass_is_waited_for_longer_each_time(
    pypi: FakePyPI, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    waits = Waits()
    pypi.fault(LAST, XmlFault(-32500, text), times=None)
    with (
        connected(pypi.url, waits) as changelog,
        pytest.raises(UpstreamUnavailableError, match=f"changelog_last_serial: fault -32500: {text}"),
    ):
        changelog.last_serial()
    assert [int(seconds) for seconds in waits.seconds] == [1, 2, 4]
    assert pypi.rpc_calls() == ["changelog_last_serial"] * RetryPolicy().attempts
    assert [f"{text}; the next attempt is in" in message for message in caplog.messages] == [True] * 3


def test_faults_use_up_the_retries_of_the_run(pypi: FakePyPI) -> None:
    waits, policy = Waits(), RetryPolicy(retries_per_run=1)
    pypi.fault(LAST, RateLimited(3), times=None)
    with (
        closing(Conversation(HttpConfig("", allow_non_https=True), RunLimits(policy), waits)) as conversation,
        pytest.raises(UpstreamUnavailableError, match="HTTPTooManyRequests"),
    ):
        Changelog(conversation, pypi.url).last_serial()
    assert waits.seconds == [5.0]


@pytest.mark.parametrize("code", [-32601, -32602, -32700, 0, 1])
def test_a_fault_of_ours_is_not_waited_for(pypi: FakePyPI, code: int) -> None:
    waits = Waits()
    pypi.fault(SINCE, XmlFault(code, "client error"))
    with (
        connected(pypi.url, waits) as changelog,
        pytest.raises(UpstreamUnavailableError, match=f"changelog_since_serial: fault {code}: client error"),
    ):
        changelog.since(0)
    assert waits.seconds == []


def test_a_run_that_is_asked_to_stop_does_not_ask_again(pypi: FakePyPI) -> None:
    pypi.fault(LAST, RateLimited(57), times=None)
    with connected(pypi.url, Waits(stops=True)) as changelog, pytest.raises(InterruptedRunError):
        changelog.last_serial()
    assert len(pypi.rpc_calls()) == 1


def test_the_text_of_a_fault_is_shortened_and_made_harmless(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.fault(LAST, XmlFault(1, "line\nline" * 1000))
    with pytest.raises(UpstreamUnavailableError) as caught:
        changelog.last_serial()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


# What is no XML-RPC


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><html><head><title>Welcome</title></head><body><p>Hello<br></body></html>",
        b'{"message": "no"}',
        b"\xff\xfe",
        b"<methodResponse/>",
        b"<methodResponse><params/></methodResponse>",
        b"<methodResponse><params><param><value><int>x</int></value></param></params></methodResponse>",
        b"<methodResponse><params><param><value><int>1</int></value>",
        b"<methodResponse><fault><value><int>4</int></value></fault></methodResponse>",
        b"<methodResponse><fault><value><struct/></value></fault></methodResponse>",
        b"<methodResponse><params><param><value><int>1</int></value></param>"
        b"<param><value><int>2</int></value></param></params></methodResponse>",
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><methodResponse>&b;</methodResponse>',
    ],
)
def test_what_is_no_xml_rpc_is_told_with_its_kind(pypi: FakePyPI, changelog: Changelog, body: bytes) -> None:
    for kind in ("text/html; charset=utf-8", "text/xml"):
        pypi.fault(LAST, Body(body, content_type=kind))
        with pytest.raises(MalformedResponseError) as caught:
            changelog.last_serial()
        told = str(caught.value)
        assert told.startswith(f"{pypi.url}/pypi: no XML-RPC, but {kind}")
        assert told.endswith(kind) == ("html" in kind), "what a parser says of HTML is of no use"
        assert told.isprintable()


@pytest.mark.parametrize(
    "value",
    [
        "<bigdecimal>x</bigdecimal>",
        "<double>x</double>",
        "<dateTime.iso8601>x</dateTime.iso8601>",
        "<base64>x</base64>",
        "<boolean>2</boolean>",
        f"<int>{'9' * 5000}</int>",
        "<unknown>1</unknown>",
        "<struct><member><name>a</name></member></struct>",
        "<array><data><value><array></value></data></array>",
    ],
)
def test_a_value_that_is_wrong_in_itself_is_malformed(pypi: FakePyPI, changelog: Changelog, value: str) -> None:
    pypi.fault(LAST, raw_response(value))
    with pytest.raises(MalformedResponseError):
        changelog.last_serial()


ENTITIES = "<!DOCTYPE x [<!ENTITY a '{}'>]>{}".format(
    "x" * 1000, "<methodResponse><params><param><value>&a;</value></param></params></methodResponse>"
)


@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-16-le", "utf-32"])
def test_what_defines_entities_is_not_read(pypi: FakePyPI, changelog: Changelog, encoding: str) -> None:
    pypi.fault(LAST, Body(ENTITIES.encode(encoding)))
    with pytest.raises(MalformedResponseError, match="it defines entities"):
        changelog.last_serial()


def test_an_index_without_xml_rpc_is_not_found(pypi: FakePyPI, changelog: Changelog) -> None:
    pypi.fault("/pypi", Status(404))
    with pytest.raises(NotFoundError, match=f"^{pypi.url}/pypi: not found$"):
        changelog.last_serial()


def test_passwords_are_not_told(pypi: FakePyPI) -> None:
    url = pypi.url.replace("://", "://user:secret@")
    pypi.fault(LAST, Body(b"<html>"), XmlFault(1, "no"), response(-1))
    with connected(url) as changelog:
        for _ in range(3):
            with pytest.raises((MalformedResponseError, UpstreamUnavailableError)) as caught:
                changelog.last_serial()
            assert "secret" not in str(caught.value)


tags = st.sampled_from(
    ["int", "string", "nil", "array", "data", "value", "struct", "member", "name", "double", "bigdecimal", "boolean",
     "base64", "dateTime.iso8601", "i8", "fault", "param", "params", "ex:nil", "x"]
)  # fmt: skip
xml_values = st.recursive(
    st.text(max_size=6).map(escape) | st.sampled_from(["1", "-1", "true", "", "20240101T00:00:00"]),
    lambda inner: st.builds(lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>", tags, st.lists(inner, max_size=3)),
    max_leaves=8,
)


@unhurried
@given(xml_values)
@example("<bigdecimal>x</bigdecimal>")
@example("<struct><member><int>1</int><int>1</int></member></struct>")
@example("<array><data><value><array><data/></array></value></data></array>")
def test_any_xml_is_an_answer_or_malformed(patient_pypi: FakePyPI, xml: str) -> None:
    for method in (LAST, SINCE, LIST):
        patient_pypi.fault(method, raw_response(xml), times=RetryPolicy().attempts)
    with connected(patient_pypi.url) as changelog:
        for call in (
            changelog.last_serial,
            lambda: changelog.since(0),
            lambda: list(changelog.all_projects(everything)[1]),
        ):
            try:
                call()
            except (MalformedResponseError, UpstreamUnavailableError):
                continue
    patient_pypi.clear_faults()


@unhurried
@given(st.lists(st.lists(json_values, min_size=4, max_size=6), max_size=3))
def test_any_rows_are_changes_or_malformed(patient_pypi: FakePyPI, rows: list[list[object]]) -> None:
    try:
        answer = response(rows)
    except OverflowError:
        return  # no XML-RPC can hold this number
    patient_pypi.clear_faults()
    patient_pypi.fault(SINCE, answer)
    with connected(patient_pypi.url) as changelog:
        try:
            newest, changes = changelog.since(0)
        except MalformedResponseError:
            return
    assert newest >= max((change.serial for change, _ in changes), default=0)


# Nested deeply

DEPTH = 100_000
NESTED = {
    "arrays": ("<array><data><value>" * DEPTH, "</value></data></array>" * DEPTH),
    "structs": ("<struct><member><name>x</name><value>" * DEPTH, "</value></member></struct>" * DEPTH),
}


@pytest.mark.parametrize(("begin", "end"), NESTED.values(), ids=NESTED)
def test_what_is_nested_deeply_is_malformed(pypi: FakePyPI, changelog: Changelog, begin: str, end: str) -> None:
    for method in (LAST, SINCE, LIST):
        for xml in (begin + end, f"<array><data><value>{begin}{end}</value></data></array>", begin):
            pypi.fault(method, raw_response(xml))
    for ask in (changelog.last_serial, lambda: changelog.since(1), lambda: changelog.all_projects(everything)):
        for _ in range(3):
            with pytest.raises(MalformedResponseError):
                ask()


@pytest.mark.parametrize(("begin", "end"), NESTED.values(), ids=NESTED)
def test_a_fault_that_is_nested_deeply_is_told(pypi: FakePyPI, changelog: Changelog, begin: str, end: str) -> None:
    members = "".join(
        f"<member><name>{name}</name><value>{begin}{end}</value></member>" for name in ("faultCode", "faultString")
    )
    fault = f"<methodResponse><fault><value><struct>{members}</struct></value></fault></methodResponse>"
    pypi.fault(LAST, Body(fault.encode()))
    with pytest.raises(UpstreamUnavailableError):
        changelog.last_serial()
