"""Warnings about the recorders, which are printed with the groups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from recorder.cli.output.warnings import warnings
from recorder.store.heartbeats import Heartbeat
from recorder.store.missing import NotFoundGroups

NOW = datetime(2026, 11, 24, 12, 2, tzinfo=UTC)
HEALTHY = {"upstream": {"state": "ok", "trouble": None}, "rate": {"stretch": 1.0}}
TROUBLE = {
    "since": "2026-11-24T12:00:00.000000Z",
    "failures": {"server_error": 31, "timeout": 2},
    "answers": 4,
    "last_failure": {
        "at": "2026-11-24T12:01:59.000000Z",
        "cause": "server_error",
        "http_status": 503,
        "detail": "503 \x1b[2J",
    },
}


def _beat(report: dict[str, Any], age: float = 1, name: str = "a") -> Heartbeat:
    return Heartbeat(name, "host", 1, NOW, NOW - timedelta(seconds=age), {}, report)


def _lines(*beats: Heartbeat) -> list[str]:
    return [line.plain for line in warnings(beats, NOW)]


def test_no_warnings_if_all_is_well() -> None:
    assert _lines(_beat(HEALTHY)) == []


def test_no_running_recorder() -> None:
    for beats in ([], [_beat(HEALTHY, age=60)]):
        (line,) = _lines(*beats)
        assert line.startswith("no recorder is running")


def test_a_failing_upstream() -> None:
    (line,) = _lines(_beat({**HEALTHY, "upstream": {"state": "failing", "trouble": TROUBLE}}))
    assert line == (
        "upstream: polls are failing, since 2026-11-24 12:00:00 (2 min 0 s ago): 31 server_error, 2 timeout; "
        "4 answered meanwhile; last: 503 \\x1b[2J"
    )


def test_a_rejected_key() -> None:
    (line,) = _lines(_beat({**HEALTHY, "upstream": {"state": "key_rejected", "trouble": TROUBLE}}))
    assert line.startswith("upstream: the API key is rejected, polls pause except for one at a time, since")


def test_groups_that_are_missing_together() -> None:
    (line,) = _lines(_beat({**HEALTHY, "upstream": {"state": "not_found", "trouble": TROUBLE}}))
    assert line.startswith("upstream: groups that were seen before are not found, which is its doing: none")


def test_single_groups_that_are_not_found_are_no_failing_provider() -> None:
    trouble = {**TROUBLE, "failures": {"not_found": 7}}
    beat = _beat({**HEALTHY, "upstream": {"state": "failing", "trouble": trouble}})
    assert [line.plain for line in warnings([beat], NOW, NotFoundGroups(1, ("tgrp_1",)))] == [
        "1 group is not found by the provider, which answers: tgrp_1; check the ids, and whose key "
        "PARALLEL_API_KEY is"
    ]
    (line,) = warnings([beat], NOW, NotFoundGroups(4, ("a", "b", "c\x1b")))
    assert line.plain.startswith(
        "4 groups are not found by the provider, which answers: a, b, c\\x1b and others; check"
    )
    assert _lines(beat) == []


def test_groups_that_are_not_found_beside_other_failures() -> None:
    trouble = {**TROUBLE, "failures": {"server_error": 31, "not_found": 7}}
    beat = _beat({**HEALTHY, "upstream": {"state": "failing", "trouble": trouble}})
    failing, missing = (line.plain for line in warnings([beat], NOW, NotFoundGroups(1, ("tgrp_1",))))
    assert failing.startswith("upstream: polls are failing") and missing.startswith("1 group is not found")
    together = _beat({**HEALTHY, "upstream": {"state": "not_found", "trouble": trouble}})
    (line,) = warnings([together], NOW, NotFoundGroups(6, ("a", "b", "c")))
    assert line.plain.startswith("upstream: groups that were seen before are not found")


def test_a_prefix_that_polls_have_taken() -> None:
    upstream = {"state": "ok", "trouble": None, "prefix": "/v1"}
    assert _lines(_beat({**HEALTHY, "upstream": upstream})) == [
        "upstream: groups are found under /v1 alone, which polls take: set RECORDER_UPSTREAM_PREFIX to it"
    ]


def test_an_insufficient_rate_is_reported_once_for_all_recorders() -> None:
    rate = {"requests_per_second": 20.0, "needed_per_second": 103.25, "stretch": 5.736}
    (line,) = _lines(*(_beat({**HEALTHY, "rate": rate}, name=name) for name in "ab"))
    assert line == (
        "rate: the groups need 103.25 requests per second, but RECORDER_RATE allows 20: "
        "all intervals are 5.7 times as long"
    )


def test_what_else_stretches_the_intervals_is_named_with_figures() -> None:
    rate = {"requests_per_second": 20.0, "needed_per_second": 35.0, "stretch": 6.22}
    rate |= {"capacity_per_second": 6.25, "limited_by": "concurrency"}  # type: ignore[dict-item]
    (line,) = _lines(_beat({**HEALTHY, "rate": rate}))
    assert line == (
        "concurrency: the groups need 35 requests per second, but 6.25 are possible, since answers take too "
        "long for the polls that may run at once: all intervals are 6.2 times as long"
    )


def test_a_recorder_without_a_report() -> None:
    assert _lines(_beat({})) == []
