"""The phase and the fields read from a response body."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from recorder.ledger.status_fields import Phase, finished_runs, phase_of, read_body
from tests.support.bodies import ABSENT, body_of, body_value, parsed, status_value


def _status(total: Any, active: Any, counts: Any) -> dict[str, Any]:
    return status_value(num_task_runs=total, is_active=active, task_run_status_counts=counts)


PHASES = [
    # Active: `is_active` is true, whatever the other members are.
    (3, True, {"running": 3}, Phase.ACTIVE),
    (3, True, {"queued": 3}, Phase.ACTIVE),
    (3, True, {"cancelling": 3}, Phase.ACTIVE),
    (3, True, {"running": 2, "action_required": 1}, Phase.ACTIVE),
    (3, True, {"completed": 3}, Phase.ACTIVE),
    (0, True, {}, Phase.ACTIVE),
    (ABSENT, True, ABSENT, Phase.ACTIVE),
    ("3", True, "none", Phase.ACTIVE),
    # Blocked: at least one run requires action.
    (3, False, {"completed": 2, "action_required": 1}, Phase.BLOCKED),
    (3, False, {"action_required": 3}, Phase.BLOCKED),
    (3, False, {"completed": 3, "action_required": 1}, Phase.BLOCKED),
    (0, False, {"action_required": 1}, Phase.BLOCKED),
    (ABSENT, ABSENT, {"action_required": 1}, Phase.BLOCKED),
    (3, None, {"action_required": 1, "completed": None}, Phase.BLOCKED),
    # Empty: no runs, and no count contradicts that.
    (0, False, {}, Phase.EMPTY),
    (0, False, {"queued": 0, "completed": 0, "paused": 0}, Phase.EMPTY),
    (0, False, ABSENT, Phase.EMPTY),
    (0, ABSENT, {}, Phase.EMPTY),
    # Settled: every run has finished.
    (3, False, {"completed": 3}, Phase.SETTLED),
    (3, False, {"failed": 3}, Phase.SETTLED),
    (3, False, {"cancelled": 3}, Phase.SETTLED),
    (3, False, {"completed": 1, "failed": 1, "cancelled": 1}, Phase.SETTLED),
    (3, False, {"completed": 3, "running": 0, "action_required": 0}, Phase.SETTLED),
    # Unclear: everything else.
    (3, False, {"completed": 2}, Phase.UNCLEAR),
    (3, False, {"completed": 4}, Phase.UNCLEAR),
    (3, False, {"running": 3}, Phase.UNCLEAR),
    (3, False, {}, Phase.UNCLEAR),
    (3, False, ABSENT, Phase.UNCLEAR),
    (3, False, None, Phase.UNCLEAR),
    (3, False, [3], Phase.UNCLEAR),
    (3, False, {"completed": 2, "paused": 1}, Phase.UNCLEAR),
    (3, False, {"finished": 3}, Phase.UNCLEAR),
    (3, False, {"completed": "3"}, Phase.UNCLEAR),
    (3, False, {"completed": 2, "failed": None}, Phase.UNCLEAR),
    (1, False, {"completed": True}, Phase.UNCLEAR),
    (3, ABSENT, {"completed": 3}, Phase.UNCLEAR),
    (3, None, {"completed": 3}, Phase.UNCLEAR),
    (3, 0, {"completed": 3}, Phase.UNCLEAR),
    (3, "false", {"completed": 3}, Phase.UNCLEAR),
    (3, 1, {"running": 3}, Phase.UNCLEAR),
    (3, "true", {"running": 3}, Phase.UNCLEAR),
    (ABSENT, False, {"completed": 3}, Phase.UNCLEAR),
    (None, False, {"completed": 3}, Phase.UNCLEAR),
    ("3", False, {"completed": 3}, Phase.UNCLEAR),
    (True, False, {"completed": 1}, Phase.UNCLEAR),
    (False, False, {}, Phase.UNCLEAR),
    (ABSENT, False, {}, Phase.UNCLEAR),
    (None, False, ABSENT, Phase.UNCLEAR),
    (0, False, {"completed": 1}, Phase.UNCLEAR),
    (0, False, {"paused": 1}, Phase.UNCLEAR),
    (0, False, {"queued": 1}, Phase.UNCLEAR),
    (-3, False, {"completed": -3}, Phase.UNCLEAR),
    (3, False, {"action_required": "1", "completed": 2}, Phase.UNCLEAR),
    (3, False, {"action_required": True, "completed": 2}, Phase.UNCLEAR),
]


@pytest.mark.parametrize(("total", "active", "counts", "phase"), PHASES)
def test_phase(total: Any, active: Any, counts: Any, phase: Phase) -> None:
    status = _status(total, active, counts)
    assert phase_of(status) is phase
    assert read_body(parsed(body_value(status))).phase is phase


def test_status_without_members_is_unclear() -> None:
    assert phase_of({}) is Phase.UNCLEAR


def test_fields_of_a_usual_body() -> None:
    counts = {
        "queued": 1,
        "action_required": 2,
        "running": 3,
        "completed": 4,
        "failed": 5,
        "cancelling": 6,
        "cancelled": 7,
    }
    fields = read_body(body_of(num_task_runs=28, task_run_status_counts=counts, status_message="on it"))
    assert {name: fields.count(name) for name in counts} == counts
    assert (fields.num_task_runs, fields.is_active, fields.status_message) == (28, True, "on it")
    assert fields.modified_at == datetime(2026, 11, 24, 11, 59, tzinfo=UTC)
    assert fields.created_at == datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
    assert fields.metadata is not None
    assert json.loads(fields.metadata) == {"team": "a"}
    assert finished_runs({"task_run_status_counts": counts}) == 16


@pytest.mark.parametrize(
    ("counts", "finished"),
    [
        ({}, 0),
        ({"running": 3}, 0),
        ({"completed": 2, "cancelled": 1, "running": "x"}, 3),
        ({"completed": 2**62, "failed": 2**62, "cancelled": 1}, None),
        ({"completed": None}, None),
        ({"failed": "2"}, None),
        (None, None),
        ([], None),
    ],
)
def test_finished_runs_are_unknown_without_valid_counts(counts: Any, finished: int | None) -> None:
    assert finished_runs({"task_run_status_counts": counts}) == finished


def test_a_fractional_count_is_above_zero() -> None:
    assert phase_of(_status(0, False, {"queued": 0.5})) is Phase.UNCLEAR


def test_absent_count_is_not_zero() -> None:
    fields = read_body(body_of(task_run_status_counts={"completed": 0}))
    assert (fields.count("completed"), fields.count("failed")) == (0, None)


@pytest.mark.parametrize("junk", [ABSENT, None, "x", 1.5, [], {}, True])
def test_junk_number_reads_as_none(junk: Any) -> None:
    fields = read_body(body_of(num_task_runs=junk, task_run_status_counts=_only("failed", junk)))
    assert (fields.num_task_runs, fields.count("failed")) == (None, None)


def _only(name: str, value: Any) -> dict[str, Any]:
    return {} if value is ABSENT else {name: value}


@pytest.mark.parametrize("junk", [ABSENT, None, "true", 0, 1, []])
def test_junk_is_active_reads_as_none(junk: Any) -> None:
    assert read_body(body_of(is_active=junk)).is_active is None


@pytest.mark.parametrize("junk", [ABSENT, None, 1, True, [], {}])
def test_junk_texts_read_as_none(junk: Any) -> None:
    status = status_value(status_message=junk, modified_at=junk)
    fields = read_body(parsed(body_value(status, created_at=junk)))
    assert (fields.status_message, fields.modified_at, fields.created_at) == (None, None, None)


def test_invalid_time_reads_as_none() -> None:
    fields = read_body(parsed(body_value(status_value(modified_at="soon"), created_at="2026-11-24")))
    assert (fields.modified_at, fields.created_at) == (None, None)


@pytest.mark.parametrize("metadata", [{}, [], 0, False, "", {"a": {"b": [1, 2.5, "é", None]}}, 1.5])
def test_metadata_reads_as_json_text(metadata: Any) -> None:
    text = read_body(parsed(body_value(metadata=metadata))).metadata
    assert text is not None
    assert json.loads(text) == metadata
    assert type(json.loads(text)) is type(metadata)


@pytest.mark.parametrize("metadata", [None, ABSENT])
def test_no_metadata_reads_as_none(metadata: Any) -> None:
    assert read_body(parsed(body_value(metadata=metadata))).metadata is None


def test_nul_in_a_text_shows_as_the_replacement_character() -> None:
    value = body_value(status_value(status_message="a\0b"), metadata={"k\0": ["v\0", {"\\u0000": "\0"}]})
    fields = read_body(parsed(value))
    assert fields.status_message == "a�b"
    assert fields.metadata is not None
    assert json.loads(fields.metadata) == {"k�": ["v�", {"\\u0000": "�"}]}


def test_reading_does_not_depend_on_the_order_of_members() -> None:
    members = {"a\0": 1, "a�": 2, "b": 3}
    other = dict(reversed(members.items()))
    one, two = (read_body(parsed(body_value(metadata=metadata))) for metadata in (members, other))
    assert one == two
