"""Many small files at a time: all that come plainly are had, and whatever does not is left to the ordinary way."""

import gc
import gzip
import socket
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass

import pytest
from urllib3.util.wait import wait_for_read

from bandersnatch.http.body import Answer as Answered
from bandersnatch.http.bulk import UNFIT_PAGES
from bandersnatch.http.fetcher import Fetcher
from bandersnatch.http.lane import Question
from bandersnatch.http.routes import target_of
from tests.support.builders import make_fetcher
from tests.support.fakepypi import (
    Body,
    Call,
    ExtraBytes,
    FakePyPI,
    Fault,
    Reset,
    ShortBody,
    Stall,
    Status,
    UploadedFile,
    WrongBytes,
)
from tests.support.fakepypi.answers import Answer
from tests.support.fakepypi.faults import Wire
from tests.support.fetching import CLOSED_PORT, free_turns, get
from tests.support.rig import Rig

LANES = 4
BYTES = b"0123456789"


@dataclass(frozen=True, slots=True)
class LastWord(Fault):
    """The real answer, after which the server closes the connection without a word."""

    def deliver(self, wire: Wire, answer: Answer) -> None:
        wire.send(answer)
        wire.hang_up()


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with closing(make_fetcher(workers=LANES)) as fetcher:
        yield fetcher


@pytest.fixture
def files(pypi: FakePyPI) -> list[UploadedFile]:
    return [pypi.add_file("sample", f"{number}.0", kind="sdist", content=BYTES * (number + 1)) for number in range(9)]


def urls(pypi: FakePyPI, files: list[UploadedFile]) -> dict[str, int]:
    return {pypi.url + file.url_path: file.size for file in files}


def contents(pypi: FakePyPI, files: list[UploadedFile]) -> dict[str, bytes]:
    return {pypi.url + file.url_path: file.content for file in files}


def questions(sizes: Mapping[str, int]) -> deque[Question]:
    return deque(Question(url, size) for url, size in sizes.items())


def bodies(documents: Iterator[tuple[Question, Answered]]) -> dict[str, bytes]:
    return {question.url: answer.body for question, answer in documents}


def fetch(fetcher: Fetcher, sizes: Mapping[str, int], lanes: int = LANES) -> dict[str, bytes]:
    """Fetch documents, each of which comes at most once; afterwards nobody has a turn."""
    had: dict[str, bytes] = {}
    with closing(fetcher.bulk.documents(questions(sizes), lambda: lanes)) as documents:
        for question, answer in documents:
            assert question.url not in had
            if answer.status == 200:
                had[question.url] = answer.body
    assert free_turns(fetcher) == LANES
    return had


def open_sockets(pypi: FakePyPI) -> list[socket.socket]:
    """Return this process' own ends of all connections to the fake."""
    port, found = int(pypi.url.rpartition(":")[2]), []
    for each in gc.get_objects():
        if type(each) is socket.socket and each.fileno() >= 0:
            with suppress(OSError):  # not connected
                if each.getpeername()[1] == port:
                    found.append(each)
    return found


def asked(pypi: FakePyPI) -> list[str]:
    return [pypi.url + request.path for request in pypi.requests]


# What comes


@pytest.mark.parametrize("lanes", [1, 2, LANES, 20])
def test_all_documents_come_and_each_is_asked_for_once(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile], lanes: int
) -> None:
    assert fetch(fetcher, urls(pypi, files), lanes) == contents(pypi, files)
    assert sorted(asked(pypi)) == sorted(urls(pypi, files))
    assert all(request.headers["User-Agent"].startswith("bandersnatch/") for request in pypi.requests)


def test_passwords_stand_in_no_log_line(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile], caplog: pytest.LogCaptureFixture
) -> None:
    pypi.fault(files[0].url_path, Status(500))
    sizes = {url.replace("://", "://user:secret@"): size for url, size in urls(pypi, files).items()}
    with caplog.at_level("DEBUG"):
        fetch(fetcher, sizes)
    assert f"GET {pypi.url}{files[0].url_path}: 500" in caplog.text
    assert "secret" not in caplog.text


def test_one_turn_is_enough(pypi: FakePyPI, files: list[UploadedFile]) -> None:
    with closing(make_fetcher(workers=1)) as fetcher:
        assert bodies(fetcher.bulk.documents(questions(urls(pypi, files)), lambda: LANES)) == contents(pypi, files)
        assert free_turns(fetcher) == 1


@pytest.mark.parametrize(("lanes", "workers"), [(2, 4), (4, 2), (3, 3)])
def test_as_many_requests_are_under_way_as_there_are_lanes_and_turns(
    pypi: FakePyPI, files: list[UploadedFile], lanes: int, workers: int
) -> None:
    most = min(lanes, workers)
    guard, together = threading.Lock(), threading.Barrier(most)
    under_way: list[int] = [0, 0]

    def meet() -> None:
        with guard:
            under_way[0] += 1
            under_way[1] = max(under_way)
        together.wait(timeout=30)
        with guard:
            under_way[0] -= 1

    files = files[: most * 2]
    pypi.fault("/packages/*", Call(meet), times=None)
    with closing(make_fetcher(workers=workers)) as fetcher:
        assert bodies(fetcher.bulk.documents(questions(urls(pypi, files)), lambda: lanes)) == contents(pypi, files)
        assert len(open_sockets(pypi)) == most
    assert under_way == [0, most]


def test_a_turn_that_another_has_is_left_to_it(pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile]) -> None:
    for _ in range(LANES - 1):
        fetcher.limiter.take()
    assert bodies(fetcher.bulk.documents(questions(urls(pypi, files)), lambda: LANES)) == contents(pypi, files)
    assert len(open_sockets(pypi)) == 1
    assert free_turns(fetcher) == 1


def test_empty_documents_come_too(pypi: FakePyPI, fetcher: Fetcher) -> None:
    files = [pypi.add_file("sample", f"{number}.0", kind="sdist", content=b"") for number in range(3)]
    assert fetch(fetcher, urls(pypi, files), 1) == contents(pypi, files)


def test_connections_are_used_again(pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile]) -> None:
    fetch(fetcher, urls(pypi, files[:4]), 1)
    before = open_sockets(pypi)
    fetch(fetcher, urls(pypi, files[4:]), 1)
    assert open_sockets(pypi) == before
    assert len(before) == 1


def test_connections_that_upstream_ends_are_replaced(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile]
) -> None:
    for file in files:
        pypi.fault(file.url_path, Status(200, {"Connection": "close"}, file.content))
    assert fetch(fetcher, urls(pypi, files), 2) == contents(pypi, files)
    assert open_sockets(pypi) == []


def test_a_connection_that_upstream_has_closed_is_not_used(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile]
) -> None:
    pypi.fault(files[0].url_path, LastWord())
    fetch(fetcher, urls(pypi, files[:1]))
    (parked,) = open_sockets(pypi)
    assert wait_for_read(parked, timeout=30)
    assert fetch(fetcher, urls(pypi, files[1:])) == contents(pypi, files[1:])
    assert parked.fileno() == -1


def test_whoever_has_enough_leaves_nothing_behind(pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile]) -> None:
    with closing(fetcher.bulk.documents(questions(urls(pypi, files)), lambda: LANES)) as documents:
        next(documents)
    assert free_turns(fetcher) == LANES
    fetcher.close()
    assert open_sockets(pypi) == []


# What does not come

UNFIT = {
    "redirect": Status(302, {"Location": "/elsewhere"}),
    "gone, at length": Status(404, body=b"x" * 100_000),
    "forbidden": Status(403),
    "trouble": Status(503),
    "too many": Status(429, {"Retry-After": "1"}),
    "too long": ExtraBytes(1),
    "too short": Body(b"short"),
    "empty": Body(b""),
    "part": Status(206, body=BYTES),
    "no content": Status(204),
    "compressed": Status(200, {"Content-Encoding": "gzip"}, gzip.compress(BYTES)),
    "chunked": Status(200, {"Transfer-Encoding": "chunked"}, b"a\r\n0123456789\r\n0\r\n\r\n"),
    "reset": Reset(),
    "reset in the middle": Reset(after_bytes=3),
    "broken off": ShortBody(3),
    "broken off at once": ShortBody(0),
    "no status": Status(200, {"Content-Length": "nonsense"}, BYTES),
}


@pytest.mark.parametrize("lanes", [1, LANES])
@pytest.mark.parametrize("fault", UNFIT.values(), ids=UNFIT)
def test_what_does_not_come_plainly_is_left_and_upstream_rests(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile], fault: Fault, lanes: int
) -> None:
    wrong, *others = files
    if isinstance(fault, Status) and fault.headers and "Content-Encoding" in fault.headers:
        wrong = pypi.add_file("sample", "77.0", kind="sdist", content=fault.body)  # of the right size, all the same
    pypi.fault(wrong.url_path, fault)
    had = fetch(fetcher, urls(pypi, [wrong, *others]), lanes)
    assert had.items() <= contents(pypi, others).items()
    pypi.clear_requests()
    assert fetch(fetcher, urls(pypi, files)) == {}
    assert pypi.requests == []
    assert get(fetcher, pypi.url + wrong.url_path) == wrong.content
    fetcher.close()
    assert open_sockets(pypi) == []


@pytest.mark.parametrize("fault", [Stall(), Stall(after_bytes=3)], ids=["before the body", "in the body"])
def test_a_silent_upstream_is_left(pypi: FakePyPI, files: list[UploadedFile], fault: Stall) -> None:
    pypi.fault(files[0].url_path, fault)
    with closing(make_fetcher(workers=LANES, timeout_seconds=0.2)) as fetcher:
        had = fetch(fetcher, urls(pypi, files))
        assert had.items() <= contents(pypi, files[1:]).items()
        assert fetch(fetcher, urls(pypi, files)) == {}
    assert open_sockets(pypi) == []


def test_an_upstream_that_says_nothing_at_all_is_left(pypi: FakePyPI, files: list[UploadedFile]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, closing(make_fetcher(timeout_seconds=0.2)) as fetcher:
        origin = f"http://127.0.0.1:{mute.getsockname()[1]}"
        workers = free_turns(fetcher)
        sizes = {f"{origin}/packages/{number}": 1 for number in range(9)}
        assert list(fetcher.bulk.documents(questions(sizes), lambda: LANES)) == []
        assert free_turns(fetcher) == workers


def test_an_upstream_that_can_not_be_reached_is_left(fetcher: Fetcher) -> None:
    assert fetch(fetcher, {f"{CLOSED_PORT}/packages/{number}": 1 for number in range(9)}) == {}


@pytest.mark.parametrize("code", [404, 410])
@pytest.mark.parametrize("lanes", [1, LANES])
def test_a_document_that_is_gone_does_not_keep_the_others_away(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile], code: int, lanes: int
) -> None:
    pypi.fault(files[0].url_path, Status(code, body=b"not here"))
    assert fetch(fetcher, urls(pypi, files), lanes) == contents(pypi, files[1:])
    assert fetch(fetcher, urls(pypi, files[:1])) == contents(pypi, files[:1])


def test_wrong_bytes_are_for_whoever_asked_to_notice(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile]
) -> None:
    pypi.fault(files[0].url_path, WrongBytes())
    had = fetch(fetcher, urls(pypi, files))
    assert {url for url, content in contents(pypi, files).items() if had[url] != content} == {
        pypi.url + files[0].url_path
    }


# Who is asked


@pytest.mark.parametrize(
    "path",
    [
        "/packages/a b", "/packages/ü", "/packages/x?y", "/packages/x#y", "/packages/../x", "/packages/./x",
        "//packages/x", "/packages/x\r\nHost: y", "/packages/x\\y", "/packages/x\n", "/", "",
    ],
)  # fmt: skip
def test_urls_that_need_a_second_look_are_left_and_the_others_are_not(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile], path: str
) -> None:
    plain = urls(pypi, files)
    first = {url: plain[url] for url in list(plain)[:1]}  # it is that which says whose documents are wanted
    assert fetch(fetcher, {**first, pypi.url + path: 1, **plain}, 1) == contents(pypi, files)
    assert sorted(asked(pypi)) == sorted(plain)


def test_documents_of_several_servers_come_together(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile]
) -> None:
    with FakePyPI() as other:
        more = [other.add_file("other", f"{number}.0", kind="sdist") for number in range(9)]
        sizes = [*urls(pypi, files).items(), *urls(other, more).items(), (f"{CLOSED_PORT}/packages/x", 1)]
        mixed = dict(sorted(sizes, key=lambda item: item[0].rpartition("/")))
        assert fetch(fetcher, mixed) == contents(pypi, files) | contents(other, more)
        assert sorted(other.url + request.path for request in other.requests) == sorted(urls(other, more))


def test_whoever_takes_an_answer_may_want_more(pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile]) -> None:
    wanted = questions(urls(pypi, files[:1]))
    had = []
    with closing(fetcher.bulk.documents(wanted, lambda: LANES)) as documents:
        for question, answer in documents:
            had.append(answer.body)
            assert question.url == pypi.url + files[len(had) - 1].url_path
            wanted.extend(questions(urls(pypi, files[len(had) : len(had) + 1])))
    assert had == [file.content for file in files]
    assert free_turns(fetcher) == LANES


def test_a_document_that_is_too_large_does_not_keep_the_others_away(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile]
) -> None:
    pages = [Question(f"{pypi.url}/simple/sample/", most, is_known=False) for most in (10**6, 10, 10**6)]
    found = list(fetcher.bulk.documents(deque(pages), lambda: 1))
    assert [answer.status for _, answer in found] == [200, 200]
    assert files[0].filename.encode() in found[0][1].body
    assert free_turns(fetcher) == LANES


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 410, 451])
def test_pages_that_are_refused_say_nothing_of_the_next_one(pypi: FakePyPI, fetcher: Fetcher, code: int) -> None:
    pages = [Question(f"{pypi.url}/simple/{name}/", 10**6, is_known=False) for name in "abcdef"]
    for name in "abcde":
        pypi.fault(f"/simple/{name}/", Status(code), times=None)
    pypi.add_file("f", "1.0")
    found = [answer.status for _, answer in fetcher.bulk.documents(deque(pages), lambda: 1)]
    assert found == ([code] * 5 if code in (404, 410) else []) + [200]


def test_a_page_that_comes_slowly_does_not_keep_others_waiting(pypi: FakePyPI, fetcher: Fetcher) -> None:
    for name in ("slow", "other"):
        pypi.add_file(name, "1.0")
    go_on = threading.Event()
    pypi.fault("/simple/slow/", Stall(after_bytes=10, event=go_on))
    pages = [Question(f"{pypi.url}/simple/{name}/", 10**6, is_known=False) for name in ["slow", *["other"] * 5]]
    found = []
    for question, answer in fetcher.bulk.documents(deque(pages), lambda: 2):
        found.append(question.url.rpartition("/simple/")[2])
        assert answer.status == 200
        if len(found) == 5:
            go_on.set()
    assert found == ["other/"] * 5 + ["slow/"]


def test_one_page_that_does_not_come_says_nothing_of_the_next_one(pypi: FakePyPI) -> None:
    for name in ("mute", "other"):
        pypi.add_file(name, "1.0")
    pypi.fault("/simple/mute/", Stall())
    pages = [Question(f"{pypi.url}/simple/{name}/", 10**6, is_known=False) for name in ("mute", "other")]
    with closing(make_fetcher(timeout_seconds=0.2)) as fetcher:
        found = [question.url for question, _ in fetcher.bulk.documents(deque(pages), lambda: 1)]
    assert found == [pages[1].url]


def test_more_lanes_may_come_to_be_allowed(pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile]) -> None:
    allowed = [1]
    bodies = []
    for _, answer in fetcher.bulk.documents(questions(urls(pypi, files)), lambda: allowed[0]):
        bodies.append(answer.body)
        allowed[0] = 3
    assert sorted(bodies) == sorted(contents(pypi, files).values())
    assert len(open_sockets(pypi)) == 3


@pytest.mark.parametrize("is_page", [True, False], ids=["pages", "files"])
def test_pages_and_files_of_a_server_do_not_rest_together(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile], is_page: bool
) -> None:
    of_page = Question(f"{pypi.url}/simple/sample/", 10**6, is_known=False)
    of_file = Question(pypi.url + files[0].url_path, files[0].size)
    bad, good = (of_page, of_file) if is_page else (of_file, of_page)
    pypi.fault(target_of(bad.url), Status(503), times=None)
    for _ in range(UNFIT_PAGES if is_page else 1):
        assert fetcher.bulk.may_have(bad)
        assert list(fetcher.bulk.documents(deque([bad]), lambda: LANES)) == []
    assert not fetcher.bulk.may_have(bad)
    assert [answer.status for _, answer in fetcher.bulk.documents(deque([good]), lambda: LANES)] == [200]


def test_http_is_not_asked_where_it_is_not_allowed(pypi: FakePyPI, files: list[UploadedFile]) -> None:
    with closing(make_fetcher(workers=LANES, allow_non_https=False)) as fetcher:
        assert fetch(fetcher, urls(pypi, files)) == {}
    assert pypi.requests == []


def test_a_proxy_is_not_gone_around(pypi: FakePyPI, files: list[UploadedFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with closing(make_fetcher(workers=LANES, proxy=CLOSED_PORT)) as fetcher:
        assert fetch(fetcher, urls(pypi, files)) == {}
    assert pypi.requests == []


def test_a_proxy_of_the_environment_is_not_gone_around(
    pypi: FakePyPI, fetcher: Fetcher, files: list[UploadedFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", CLOSED_PORT)
    assert fetch(fetcher, urls(pypi, files)) == {}
    assert pypi.requests == []


# A whole run


def add_projects(pypi: FakePyPI) -> list[UploadedFile]:
    return [
        pypi.add_file(name, f"{number}.0", kind="wheel" if number % 2 else "sdist")
        for name in ("one", "two", "three")
        for number in range(1, 6)
    ]


def test_a_mirror_whose_files_are_redirected_is_whole(rig: Rig, pypi: FakePyPI) -> None:
    with FakePyPI() as host:
        add_projects(host)
        for file in add_projects(pypi):
            pypi.fault(file.url_path, Status(302, {"Location": host.url + file.url_path}), times=None)
        assert rig.run().failures == []
        assert len(host.file_requests()) == 15
        rig.assert_matches()


@pytest.mark.parametrize("workers", ["1", "4"])
@pytest.mark.parametrize("fault", [*UNFIT.values(), Status(404)], ids=[*UNFIT, "gone"])
def test_a_mirror_is_whole_after_an_answer_that_was_not_the_file(
    rig: Rig, pypi: FakePyPI, fault: Fault, workers: str
) -> None:
    pypi.fault(add_projects(pypi)[7].url_path, fault)
    assert rig.run(workers=workers).failures == []
    rig.assert_matches()


def test_wrong_bytes_are_fetched_again_and_never_appear(rig: Rig, pypi: FakePyPI) -> None:
    file, appeared = add_projects(pypi)[3], list[bool]()
    path = rig.web / file.url_path[1:]
    pypi.fault(file.url_path, WrongBytes(), Call(lambda: appeared.append(path.exists())))
    assert rig.run().failures == []
    assert appeared == [False]
    rig.assert_matches()


def test_a_file_whose_bytes_stay_wrong_does_not_appear(rig: Rig, pypi: FakePyPI) -> None:
    wrong = add_projects(pypi)[3]
    pypi.fault(wrong.url_path, WrongBytes(), times=None)
    assert [failure.project for failure in rig.run().failures] == ["one"]
    assert not (rig.web / wrong.url_path[1:]).exists()
    assert not list(rig.directory.rglob("*.part"))
    pypi.clear_faults()
    rig.run()
    rig.assert_matches()
