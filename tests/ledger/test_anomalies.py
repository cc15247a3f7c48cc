"""Each anomaly, and near misses that are not anomalies."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from recorder.ledger.anomalies import Anomaly, anomalies_of
from recorder.ledger.response_body import ResponseBody, parse_body
from recorder.ledger.status_fields import RUN_STATUSES, read_body
from tests.support.bodies import (
    ABSENT,
    FURTHER,
    GROUP,
    NOON,
    RUNNING,
    SETTLED,
    body_of,
    body_value,
    counted,
    parsed,
    status_value,
)
from tests.support.stories import Story


def _found(
    body: ResponseBody, *, finished_before: int | None = None, modified_before: datetime | None = None
) -> set[Anomaly]:
    found = anomalies_of(
        body,
        read_body(body),
        taskgroup_id=GROUP,
        observed_at=NOON,
        finished_before=finished_before,
        modified_before=modified_before,
        clock_regressed=False,
    )
    assert len(found) == len(set(found))
    return set(found)


def _counts(total: Any, active: Any, counts: Any) -> set[Anomaly]:
    return _found(body_of(num_task_runs=total, is_active=active, task_run_status_counts=counts))


FLAWLESS = [
    body_value(),
    body_value(metadata=None),
    body_value(metadata=ABSENT),
    body_value(metadata={"s": "", "i": 1, "n": 1.5, "b": False}),
    body_value(created_at=None),
    body_value(status_value(status_message="x", modified_at=None)),
    body_value(status_value(num_task_runs=0, task_run_status_counts={}, is_active=False)),
    body_value(
        status_value(num_task_runs=0, task_run_status_counts=dict.fromkeys(RUN_STATUSES, 0), is_active=False)
    ),
    body_value(status_value(modified_at="2026-11-24T12:16:00.123456789+05:30")),
]


@pytest.mark.parametrize("value", FLAWLESS)
def test_documented_body_has_no_anomalies(value: dict[str, Any]) -> None:
    assert _found(parsed(value)) == set()


@pytest.mark.parametrize("count", [0, 1])
def test_unknown_status(count: int) -> None:
    found = _counts(2 + count, True, {"running": 2, "paused": count})
    assert found == {Anomaly.UNKNOWN_STATUS}


@pytest.mark.parametrize(
    "value", [body_value(owner="me"), body_value(owner=None), body_value(status_value(eta=None))]
)
def test_unknown_field(value: dict[str, Any]) -> None:
    assert _found(parsed(value)) == {Anomaly.UNKNOWN_FIELD}


def test_metadata_has_no_unknown_fields() -> None:
    assert _found(parsed(body_value(metadata={"anything": "goes", "status": "x"}))) == set()


BAD_TYPES = [
    body_value(metadata="a"),
    body_value(metadata=[]),
    body_value(metadata=False),
    body_value(metadata={"a": None}),
    body_value(metadata={"a": ["b"]}),
    body_value(metadata={"a": {}}),
    body_value(created_at=1764000000),
    body_value(created_at=False),
    body_value(status_value(status_message=3)),
    body_value(status_value(status_message=["x"])),
    body_value(status_value(modified_at=1764000000)),
    body_value(status_value(modified_at={})),
    body_value(status_value(num_task_runs=None)),
    body_value(status_value(num_task_runs="3")),
    body_value(status_value(num_task_runs=True)),
    body_value(status_value(num_task_runs=3.5)),
    body_value(status_value(is_active=None)),
    body_value(status_value(is_active=1)),
    body_value(status_value(is_active="true")),
    body_value(status_value(task_run_status_counts=None)),
    body_value(status_value(task_run_status_counts=[])),
    body_value(status_value(task_run_status_counts={"running": 2, "completed": 1, "failed": None})),
    body_value(status_value(task_run_status_counts={"running": 3, "completed": "0"})),
    body_value(status_value(task_run_status_counts={"running": 3, "completed": False})),
    body_value(status_value(task_run_status_counts={"running": 3, "completed": 0.5})),
]


@pytest.mark.parametrize("value", BAD_TYPES)
def test_bad_type(value: dict[str, Any]) -> None:
    assert Anomaly.BAD_TYPE in _found(parsed(value))


def test_whole_number_with_a_decimal_point_is_a_count() -> None:
    raw = '{"taskgroup_id":"%s","status":{"num_task_runs":2.0,"task_run_status_counts":{"running":2e0}}}'
    assert _found(parse_body((raw % GROUP).encode())) == set()


@pytest.mark.parametrize(
    ("total", "counts"),
    [
        (3, {"running": 2}),
        (3, {"running": 4}),
        (3, {}),
        (0, {"completed": 1}),
        (5, {"running": 4, "completed": 2}),
    ],
)
def test_count_mismatch(total: int, counts: dict[str, int]) -> None:
    assert Anomaly.COUNT_MISMATCH in _counts(total, True, counts)


@pytest.mark.parametrize(
    ("total", "counts"),
    [
        (3, {"running": 3}),
        (0, {}),
        (3, {"running": 2, "paused": 1}),
        (28, {name: place for place, name in enumerate(RUN_STATUSES, start=1)}),
        (ABSENT, {"running": 3}),
    ],
)
def test_counts_that_add_up(total: Any, counts: dict[str, int]) -> None:
    assert Anomaly.COUNT_MISMATCH not in _counts(total, True, counts)


@pytest.mark.parametrize(
    ("active", "counts"),
    [
        (False, {"running": 1}),
        (False, {"queued": 1}),
        (False, {"cancelling": 1}),
        (False, {"completed": 5, "running": 1}),
        (True, {}),
        (True, {"completed": 3}),
        (True, {"action_required": 3}),
        (True, {"running": 0, "failed": 1}),
    ],
)
def test_active_mismatch(active: bool, counts: dict[str, int]) -> None:
    assert _counts(sum(counts.values()), active, counts) == {Anomaly.ACTIVE_MISMATCH}


@pytest.mark.parametrize(
    ("active", "counts"),
    [
        (True, {"running": 1}),
        (True, {"queued": 1}),
        (True, {"cancelling": 1, "completed": 2}),
        (False, {}),
        (False, {"completed": 3}),
        (False, {"action_required": 3}),
        (False, {"failed": 1, "cancelled": 1, "running": 0}),
    ],
)
def test_is_active_that_matches_the_counts(active: bool, counts: dict[str, int]) -> None:
    assert _counts(sum(counts.values()), active, counts) == set()


@pytest.mark.parametrize(("before", "decreased"), [(None, False), (0, False), (3, False), (4, True)])
def test_counts_decreased(before: int | None, decreased: bool) -> None:
    body = counted(4, True, running=1, completed=1, failed=1, cancelled=1)
    assert (Anomaly.COUNTS_DECREASED in _found(body, finished_before=before)) is decreased


def test_a_shift_between_finished_counts_is_not_a_decrease() -> None:
    story = Story()
    story.answer(0, counted(3, False, completed=2, failed=1))
    story.answer(10, counted(3, False, completed=1, failed=2))
    assert story.statuses[-1].anomalies == ()


def test_counts_decreased_compares_with_the_previous_status() -> None:
    story = Story()
    story.answer(0, SETTLED)
    story.answer(10, FURTHER)
    story.answer(20, SETTLED)
    assert [status.anomalies for status in story.statuses] == [(), (Anomaly.COUNTS_DECREASED,), ()]


def test_missing_counts_are_skipped_in_the_comparison() -> None:
    story = Story()
    story.answer(0, SETTLED)
    story.answer(10, body_of(task_run_status_counts=None))
    story.answer(20, FURTHER)
    found = [set(status.anomalies) for status in story.statuses]
    assert found == [set(), {Anomaly.BAD_TYPE}, {Anomaly.COUNTS_DECREASED}]


def _modified(second: int) -> ResponseBody:
    return body_of(modified_at=f"2026-11-24T11:00:{second:02}Z")


def test_modified_at_regressed() -> None:
    story = Story()
    story.answer(0, _modified(30))
    story.answer(10, _modified(29))
    story.answer(20, _modified(31))
    regressed = (Anomaly.MODIFIED_AT_REGRESSED,)
    assert [status.anomalies for status in story.statuses] == [(), regressed, ()]


def test_modified_at_regressed_across_a_null() -> None:
    story = Story()
    story.answer(0, _modified(30))
    story.answer(10, body_of(modified_at=None))
    story.answer(20, _modified(29))
    assert [status.anomalies for status in story.statuses] == [(), (), (Anomaly.MODIFIED_AT_REGRESSED,)]


def test_same_instant_in_another_zone_is_not_a_regression() -> None:
    story = Story()
    story.answer(0, body_of(modified_at="2026-11-24T11:00:00Z"))
    story.answer(10, body_of(modified_at="2026-11-24T09:00:00-02:00"))
    assert story.statuses[-1].anomalies == ()


@pytest.mark.parametrize("between", ["gap", "pause"])
def test_comparison_reaches_across_gaps_and_pauses(between: str) -> None:
    story = Story()
    story.answer(0, body_of(**_counts_of(3), modified_at="2026-11-24T11:00:30Z"))
    if between == "pause":
        story.pause(5)
        story.resume(600)
    story.answer(601, body_of(**_counts_of(2), modified_at="2026-11-24T11:00:29Z"))
    assert set(story.statuses[-1].anomalies) == {Anomaly.COUNTS_DECREASED, Anomaly.MODIFIED_AT_REGRESSED}


def _counts_of(completed: int) -> dict[str, Any]:
    return {
        "num_task_runs": 4,
        "task_run_status_counts": {"completed": completed, "running": 4 - completed},
    }


@pytest.mark.parametrize(
    ("reported", "mismatch"),
    [(GROUP, False), ("tgrp_2", True), (GROUP.upper(), True), ("", True), (None, True)],
)
def test_id_mismatch(reported: Any, mismatch: bool) -> None:
    assert (Anomaly.ID_MISMATCH in _found(parsed(body_value(taskgroup_id=reported)))) is mismatch


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-24", "2026-02-30T00:00:00Z", "2026-11-24T12:16:00"]
)
def test_bad_timestamp(text: str) -> None:
    assert _found(parsed(body_value(created_at=text))) == {Anomaly.BAD_TIMESTAMP}
    assert _found(body_of(modified_at=text)) == {Anomaly.BAD_TIMESTAMP}


@pytest.mark.parametrize(
    ("literal", "inexact"), [("9007199254740992", True), ("9007199254740991", False), ("0.1", False)]
)
def test_inexact_number(literal: str, inexact: bool) -> None:
    raw = f'{{"taskgroup_id":"{GROUP}","metadata":{{"n":{literal}}},"status":{{}}}}'.encode()
    assert _found(parse_body(raw)) == ({Anomaly.INEXACT_NUMBER} if inexact else set())


@pytest.mark.parametrize(("second", "regressed"), [(99, True), (100, False), (101, False)])
def test_clock_regressed(second: float, regressed: bool) -> None:
    story = Story()
    story.answer(100, RUNNING)
    story.answer(second, FURTHER)
    assert (Anomaly.CLOCK_REGRESSED in story.statuses[-1].anomalies) is regressed


def test_clock_regressed_since_the_start_of_the_watch() -> None:
    story = Story()
    story.answer(-1)
    assert story.statuses[-1].anomalies == (Anomaly.CLOCK_REGRESSED,)


def test_clock_regressed_across_a_gap() -> None:
    story = Story()
    story.answer(1000)
    story.due(100)
    story.answer(500)
    assert [entry.kind for entry in story.entries[-2:]] == ["gap", "status"]
    assert story.statuses[-1].anomalies == (Anomaly.CLOCK_REGRESSED,)


def test_several_at_once() -> None:
    status = {"num_task_runs": 4, "task_run_status_counts": {"asleep": None}, "is_active": True, "x": 1}
    value = {"taskgroup_id": "other", "created_at": "soon", "status": status}
    assert _found(parsed(value)) >= {
        Anomaly.UNKNOWN_STATUS,
        Anomaly.UNKNOWN_FIELD,
        Anomaly.BAD_TYPE,
        Anomaly.COUNT_MISMATCH,
        Anomaly.ID_MISMATCH,
        Anomaly.BAD_TIMESTAMP,
    }
