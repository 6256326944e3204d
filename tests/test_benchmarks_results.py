"""What the benchmarks make of their measurements: sums that are right, and a report that tells them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.dataset import Size, make_projects, upload
from benchmarks.forms import FORMS
from benchmarks.measure import Request, Usage, count_kinds, read_requests
from benchmarks.report import render
from benchmarks.results import Result, Results, Session, at_least, at_most, exactly, load, over_time, ratio, save, wall
from benchmarks.scenarios import ORDER, SCENARIOS
from benchmarks.scenarios.growth import deviation
from benchmarks.scenarios.killed import count_repeated, has_asked_for
from benchmarks.scenarios.other_indexes import needed_requests

# The access log

LOG = [
    'POST /pypi 200 120 "-"\n',
    'GET /simple/ 200 30 "-"\n',
    'GET /simple/one/ 304 0 "-"\n',
    'GET /packages/aa/bb/cc/one-1.0.tar.gz 206 50 "bytes=50-"\n',
    'GET /packages/aa/bb/cc/one-1.0-py3-none-any.whl.metadata 200 10 "-"\n',
    'GET /pypi/one/json 200 10 "-"\n',
]


def test_requests_are_counted_by_kind() -> None:
    assert count_kinds(read_requests(LOG)) == dict.fromkeys(("page", "file", "metadata", "xmlrpc", "json", "other"), 1)


def test_requests_for_a_part_are_told_from_others() -> None:
    assert [request.is_partial for request in read_requests(LOG)] == [False, False, False, True, False, False]


def test_half_way_is_when_so_many_files_were_sent(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(LOG[2])
    is_enough = has_asked_for(log, 2)
    assert not is_enough()
    for expected in (False, True):
        with log.open("a") as more:
            more.write(LOG[3])
        assert is_enough() is expected


def test_only_files_that_were_whole_count_as_fetched_twice() -> None:
    asked = [
        Request("GET", f"/packages/{name}", 200, 1, is_partial=is_partial)
        for name, is_partial in (("whole", False), ("missing", False), ("begun", True))
    ]
    facts = count_repeated({"packages/whole", "packages/left alone"}, 1)(asked)
    assert facts == {"whole": 2, "partial": 1, "fetched twice": 1, "resumed": 1}


# Sums


def result(
    case: str = "B1",
    client: str = "ours",
    seconds: float = 1.0,
    requests: Mapping[str, int] | None = None,
    problem: str | None = None,
    facts: Mapping[str, float] | None = None,
) -> Result:
    counted = count_kinds([]) | dict(requests or {})
    return Result(
        case, client, Usage(0, seconds, seconds, 50_000_000), counted, 1_000_000, problem, facts or {"needed": 33}
    )


def test_median_is_of_good_runs_only() -> None:
    results = Results(
        [result(seconds=3), result(seconds=1), result(seconds=2), result(seconds=0.1, problem="status 1")]
    )
    assert results.median(wall, "B1") == 2
    assert results.worst(wall, "B1") == 3
    assert results.median(wall, "B1", "curl") is None


def test_targets_say_whether_they_are_met() -> None:
    assert at_most("B1", "", 2.0, 2.0).is_met is True
    assert at_most("B1", "", 2.1, 2.0).is_met is False
    assert at_least("B1", "", 0.84, 0.85).is_met is False
    assert exactly("B1", "", 3, 3).is_met is True
    assert exactly("B1", "", 4, 3).is_met is False


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    nothing = Results([])
    targets = [target for scenario in SCENARIOS.values() for target in scenario.targets(nothing)]
    assert {target.scenario for target in targets} == set(SCENARIOS)
    assert {(target.measured, target.is_met) for target in targets} == {("not measured", None)}
    assert ratio(None, 1) is None
    assert ratio(1, None) is None
    assert ratio(1, -0.01) is None


def test_first_sync_is_compared_with_the_peer_and_with_curl() -> None:
    requests, needed = {"page": 10, "file": 20, "xmlrpc": 3}, {"needed": 33}
    runs = [
        result(seconds=5, requests=requests, facts=needed),
        result(client="bandersnatch 8.0.0", seconds=34),
        result(client="curl", seconds=3.2, requests={"file": 20}),
        result("B1 TLS", seconds=6),
        result("B1 TLS", client="curl", seconds=4),
    ]
    assert [target.is_met for target in SCENARIOS["B1"].targets(Results(runs))] == [True, True, True, True]
    slower = [replace(runs[0], usage=replace(runs[0].usage, wall_seconds=5.3)), *runs[1:-1]]
    slower.append(replace(runs[-1], usage=replace(runs[-1].usage, wall_seconds=3.7)))
    assert [target.is_met for target in SCENARIOS["B1"].targets(Results(slower))] == [False, False, False, True]
    for more in ({"metadata": 1}, {"page": 20}):
        needless = [result(seconds=5, requests={**requests, **more}, facts=needed), *runs[1:]]
        assert [target.is_met for target in SCENARIOS["B1"].targets(Results(needless))] == [True, True, True, False]


def test_few_changes_are_compared_with_both_peers() -> None:
    facts = {"needed": 0}
    runs = [result("B4", seconds=0.3, facts=facts), result("B4", "bandersnatch 8.0.0", seconds=1.01)]
    targets = SCENARIOS["B4"].targets(Results([*runs, result("B4", "shadowmire", seconds=0.59)]))
    assert {target.text: target.is_met for target in targets} == {
        "wall at most 0.5 s": True,
        "wall at most 0.3 of the peer's": True,
        "wall at most half of shadowmire's": False,
        "requests: 2 + changed pages + new files": True,
    }


def test_large_files_are_compared_with_curl_over_tls_too() -> None:
    runs = [
        result("B6", seconds=2.0),
        result("B6", "curl", seconds=2.0),
        result("B6 TLS", seconds=3.1),
        result("B6 TLS", "curl", seconds=3.0),
    ]
    assert [target.is_met for target in SCENARIOS["B6"].targets(Results(runs))] == [True, False, None]


def test_what_it_takes_to_follow_an_index_depends_on_what_it_tells() -> None:
    size = Size("tiny", 10, 10, (1_000, 1_000))
    before = tuple(make_projects(size, lambda *_: None))
    now = upload(before, 0.2, 1, size, lambda *_: None)
    wanted = {"journal": 2 + 2 + 2, "serials": 3 + 2 + 2, "whole": 1 + 10 + 2, "names": 1 + 10 + 2, "html": 1 + 10 + 2}
    assert {form.name: needed_requests(form, before, now) for form in FORMS} == wanted


def test_a_scenario_of_which_a_run_went_wrong_meets_nothing() -> None:
    good = result("B3", seconds=0.1, requests={"xmlrpc": 1})
    wrong = result("B3", seconds=0.1, requests={"xmlrpc": 1}, problem="exit status 4")
    assert "| yes |" in render({"B3": Session("B3", "2026-01-01 00:00", {}, (good,))}, {})
    text = render({"B3": Session("B3", "2026-01-01 00:00", {}, (good, wrong))}, {})
    assert "| yes |" not in text
    assert "**no**, a run was wrong" in text


def test_deviation_is_a_part_of_the_mean() -> None:
    assert deviation([0.8, 1.0, 1.2]) == pytest.approx(0.2)
    assert deviation([2.0, None]) is None


def test_order_has_every_scenario_once() -> None:
    assert sorted(ORDER) == sorted(SCENARIOS)


# The report


def session(*results: Result, scenario: str = "B1", version: str = "1.0 (abc)", curl: str | None = None) -> Session:
    versions = {"ours": version} | ({} if curl is None else {"curl": curl})
    return Session(scenario, "2026-01-01 00:00", versions, results)


def test_sessions_are_kept(tmp_path: Path) -> None:
    sessions = {"B1": session(result(), result(client="curl", problem="exit status 7"))}
    save(tmp_path / "results.json", sessions)
    assert load(tmp_path / "results.json") == sessions
    assert load(tmp_path / "other.json") == {}


def test_report_has_medians_ratios_and_problems() -> None:
    runs = [result(seconds=seconds, requests={"page": 7}) for seconds in (2.0, 4.0, 3.0)]
    runs += [result(client="curl", seconds=1.5), result(client="bandersnatch 8.0.0", problem="exit status 7")]
    text = render({"B1": session(*runs)}, {"cores": "2"})
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| B1 ")]
    measured = {row[1]: row for row in rows if len(row) > 4}
    assert measured["ours"][2] == "3.00 (2.00, 3.00, 4.00)"
    assert measured["ours"][5:11] == ["7", "0", "0", "0", "0", "0"]
    assert measured["ours"][-2:] == ["1.00", "2.00"]
    assert measured["bandersnatch 8.0.0"][2] == "wrong"
    assert "bandersnatch 8.0.0: **wrong**: exit status 7" in text
    assert ["B1", "wall at most 1.6 times curl's", "2", "**no**"] in rows


def test_each_scenario_keeps_the_versions_that_it_was_measured_with(tmp_path: Path) -> None:
    store = tmp_path / "results.json"
    save(store, {"B1": session(result(), version="1.0 (abc)")})
    resumed = load(store) | {"B3": session(result("B3"), scenario="B3", version="1.0 (def)")}
    save(store, resumed)
    text = render(load(store), {})
    assert "**Not all scenarios were measured with the same version of ours**" in text
    assert "- B1, 2026-01-01 00:00 to 2026-01-01 00:00 UTC: ours 1.0 (abc).\n" in text
    assert "- B3, 2026-01-01 00:00 to 2026-01-01 00:00 UTC: ours 1.0 (def).\n" in text


def test_one_version_in_all_scenarios_is_told_as_one_whoever_else_took_part() -> None:
    text = render({"B1": session(result(), curl="8.5"), "B3": session(result("B3"), scenario="B3")}, {})
    assert "Not all scenarios" not in text
    same = render({"B1": session(result()), "B3": session(result("B3"), scenario="B3")}, {})
    assert "- B1, B3, 2026-01-01 00:00 to 2026-01-01 00:00 UTC: ours 1.0 (abc).\n" in same


def test_version_that_changes_while_it_is_measured_is_told() -> None:
    before, after = {"ours": "1.0 (abc)", "curl": "8.5"}, {"ours": "1.0 (abc-dirty)", "curl": "8.5"}
    assert over_time(before, after) == {"ours": "1.0 (abc), later 1.0 (abc-dirty)", "curl": "8.5"}


def test_missed_target_stands_out() -> None:
    runs = [result(seconds=9), result(client="curl", seconds=1)]
    assert "| B1 | wall at most 1.6 times curl's | 9 | **no** |" in render({"B1": session(*runs)}, {})
