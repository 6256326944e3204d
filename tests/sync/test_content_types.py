"""JSON of the right shape is taken whatever type it is said to be of, root index and pages alike, and told once."""

from dataclasses import dataclass

import pytest

from bandersnatch.errors import MalformedResponseError, UpstreamError
from bandersnatch.logs import TOLD_ONCE
from bandersnatch.upstream.index import Upstream
from tests.support.builders import SAMPLE
from tests.support.fakepypi import Body, FakePyPI, Fault
from tests.support.fakepypi.answers import Answer, Answering
from tests.support.rig import Rig

TYPES = [
    "text/html; charset=utf-8",
    "text/plain",
    "application/octet-stream",
    "application/vnd.pypi.simple.v1+html",
    "",
]


@dataclass(frozen=True, slots=True)
class Kind(Fault):
    """The real answer under another content type, or under none."""

    content_type: str

    def answer(self, real: Answering) -> Answer:
        return real().with_header("Content-Type", self.content_type or None)


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    TOLD_ONCE.clear()


@pytest.mark.usefixtures("in_processes_or_not")
@pytest.mark.parametrize("kind", TYPES)
def test_json_under_a_wrong_type_is_taken_and_told_once(
    rig: Rig, pypi: FakePyPI, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(12):
        pypi.add_file(f"project-{number}", "1.0")
        pypi.fault(f"/simple/project-{number}/", Kind(kind), times=None)
    pypi.fault("/simple/", Kind(kind), times=None)
    assert rig.run(api_method="simple").failures == []
    rig.assert_matches()
    told = [record.getMessage() for record in caplog.records if "sends JSON as" in record.getMessage()]
    host = pypi.url.partition("//")[2]
    assert told == [f"{host} sends JSON as {kind or 'something of no type'}; it is accepted anyway"]


@pytest.mark.usefixtures("in_processes_or_not")
def test_the_right_types_are_nothing_to_tell(rig: Rig, pypi: FakePyPI, caplog: pytest.LogCaptureFixture) -> None:
    for number, kind in enumerate(
        ["application/json", "Application/JSON;charset=utf-8", "application/vnd.pypi.simple.latest+json"]
    ):
        pypi.add_file(f"project-{number}", "1.0")
        pypi.fault(f"/simple/project-{number}/", Kind(kind), times=None)
    assert rig.run(api_method="simple").failures == []
    assert "sends JSON as" not in caplog.text


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_no_json_is_told_by_its_type(upstream: Upstream, pypi: FakePyPI, kind: str) -> None:
    pypi.add_file("sample", "1.0")
    said = kind or "something of no type"
    for path in ("/simple/", "/simple/sample/"):
        pypi.fault(path, Body(b"<html>", content_type=kind or "x"), times=None)
    with pytest.raises(MalformedResponseError, match="no PEP 691 page, but "):
        upstream.project_page(SAMPLE, None)
    with pytest.raises(UpstreamError, match="no PEP 691 root index, but ") as caught:
        upstream.root()
    assert str(caught.value).endswith(f"but {said if kind else 'x'}")


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_json_of_the_wrong_shape_is_told_by_what_is_wrong(upstream: Upstream, pypi: FakePyPI, kind: str) -> None:
    pypi.add_file("sample", "1.0")
    pypi.fault("/simple/", Body(b'{"hello": 1}', content_type=kind), times=None)
    pypi.fault("/simple/sample/", Body(b'{"name": "other", "files": []}', content_type=kind), times=None)
    with pytest.raises(MalformedResponseError, match="missing required field `projects`"):
        upstream.root()
    with pytest.raises(MalformedResponseError, match="the page is of project 'other'"):
        upstream.project_page(SAMPLE, None)
