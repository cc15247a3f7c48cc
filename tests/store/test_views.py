"""The public SQL views have the same columns and rows on both databases."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, inspect, text

from recorder.ledger.entries import Action
from recorder.ledger.timestamps import format_time
from recorder.store.enrolment import Deadline, cease_watching
from recorder.store.schema_diff import differences
from recorder.store.transactions import reading, writing
from recorder.store.views import create_view_statements
from tests.support.store_samples import at, body, enrol, failed, poll, seen

STATUS_HISTORY = [
    *("taskgroup_id", "seq", "observed_at", "last_seen_at", "polls", "phase", "num_task_runs", "queued"),
    *("action_required", "running", "completed", "failed", "cancelling", "cancelled", "is_active"),
    *("status_message", "modified_at", "metadata", "created_at", "anomalies", "digest"),
]
LATEST_STATUS = [*STATUS_HISTORY, "state", "due_at", "expected_runs", "expected_by"]
GROUP_COMPLETION = [
    *("taskgroup_id", "episode", "started_at", "started_earliest", "started_latest", "completed_at"),
    *("completed_earliest", "completed_latest", "duration_seconds", "duration_earliest_seconds"),
    *("duration_latest_seconds", "censored", "first_sight", "outcome", "runs_total", "runs_completed"),
    *("runs_failed", "runs_cancelled", "gap_seconds", "polls"),
]
GROUP_MILESTONES = [
    *("taskgroup_id", "episode", "fraction", "runs", "at", "earliest", "latest", "basis"),
    *("seconds", "seconds_earliest", "seconds_latest"),
]
OBSERVATION_GAPS = [
    *("taskgroup_id", "seq", "gap_from", "gap_to", "duration_seconds", "cause", "attempts"),
    *("unpolled_seconds", "http_status", "detail"),
]


def _select(engine: Engine, view: str, order: str = "taskgroup_id, seq") -> list[dict[str, Any]]:
    """Return a view's rows with times and JSON as text, so that both databases return the same."""
    with reading(engine) as connection:
        result = connection.execute(text(f"SELECT * FROM {view} ORDER BY {order}"))
        return [{name: _plain(value) for name, value in row.items()} for row in result.mappings()]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return value


def _columns(engine: Engine, view: str) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(text(f"SELECT * FROM {view}")).keys())


def _time(seconds: float) -> str:
    return format_time(at(seconds))


def test_columns_are_as_documented(engine: Engine) -> None:
    assert _columns(engine, "status_history") == STATUS_HISTORY
    assert _columns(engine, "latest_status") == LATEST_STATUS
    assert _columns(engine, "group_completion") == GROUP_COMPLETION
    assert _columns(engine, "group_milestones") == GROUP_MILESTONES
    assert _columns(engine, "group_metadata") == ["taskgroup_id", "key", "value", "type"]
    assert _columns(engine, "observation_gaps") == OBSERVATION_GAPS


def test_the_migrations_create_the_views_of_the_module(engine: Engine) -> None:
    statements = create_view_statements(engine.dialect.name)
    assert set(statements) == set(inspect(engine).get_view_names())
    with writing(engine) as connection:
        for name, statement in statements.items():
            connection.execute(text(f"DROP VIEW {name}"))
            connection.execute(text(statement))
    assert differences(engine) == []


def test_status_history_has_each_status_with_its_interval(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 11.5))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 5, status_message="done"), 30))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 5, status_message="done"), 41))
    first, second = _select(engine, "status_history")
    assert (first["seq"], first["observed_at"], first["last_seen_at"], first["polls"]) == (
        *(2, _time(1)),
        *(_time(11.5), 2),
    )
    assert (second["seq"], second["observed_at"], second["last_seen_at"], second["polls"]) == (
        *(3, _time(30)),
        *(_time(41), 2),
    )
    assert (first["phase"], first["completed"], first["running"], first["failed"]) == ("active", 1, 4, None)
    assert (second["phase"], second["completed"], second["running"]) == ("settled", 5, None)
    assert first["is_active"] in (True, 1)
    assert second["is_active"] in (False, 0)
    assert json.loads(first["metadata"]) == {"customer": "acme"}
    assert first["created_at"] == "2026-11-24T11:59:00.000000Z"
    assert json.loads(second["anomalies"]) == ["unknown_field"]


def test_latest_status_has_a_row_of_nulls_for_a_group_never_seen(engine: Engine) -> None:
    enrol(engine, "tgrp_new", seconds=5)
    (row,) = _select(engine, "latest_status")
    assert (row.pop("taskgroup_id"), row.pop("state"), row.pop("due_at")) == (
        "tgrp_new",
        "watching",
        _time(5),
    )
    assert set(row.values()) == {None}


def test_latest_status_stays_while_a_group_is_not_watched(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 2), 1))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 2), 11.5))
    cease_watching(
        engine, "tgrp_1", Action.PAUSED, actor="ada", note=None, now=lambda: at(15), deadline=Deadline(0)
    )
    (row,) = _select(engine, "latest_status")
    assert (row["state"], row["due_at"]) == ("paused", None)
    assert (row["seq"], row["completed"], row["last_seen_at"], row["polls"]) == (2, 2, _time(11.5), 2)


def test_observation_gaps_are_the_closed_ones(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1.000001))
    for seconds in (12, 20, 40):
        poll(engine, "tgrp_1", failed(seconds))
    assert _select(engine, "observation_gaps") == []
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 61.999999))
    (gap,) = _select(engine, "observation_gaps")
    assert gap == {
        "taskgroup_id": "tgrp_1",
        "seq": 3,
        "gap_from": "2026-11-24T12:00:01.000001Z",
        "gap_to": "2026-11-24T12:01:01.999999Z",
        "duration_seconds": 60.999998,
        "cause": "server_error",
        "attempts": 3,
        "unpolled_seconds": 30.249998,
        "http_status": 503,
        "detail": "Service Unavailable",
    }


def test_nul_in_texts_shows_as_the_replacement_character(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    recorded = body("tgrp_1", 1, metadata={"k\0": "v\0"})
    recorded["status"]["status_message"] = "a\0b"
    poll(engine, "tgrp_1", seen(recorded, 1))
    (row,) = _select(engine, "status_history")
    assert row["status_message"] == "a\ufffdb"
    assert json.loads(row["metadata"]) == {"k\ufffd": "v\ufffd"}


def test_ids_sort_by_their_bytes(engine: Engine) -> None:
    ids = ["a b", "B", "a", "é", "Z", "𝄞", "\uffee", "a-b", "aB"]
    for taskgroup_id in ids:
        enrol(engine, taskgroup_id)
    rows = _select(engine, "latest_status", order="taskgroup_id")
    assert [row["taskgroup_id"] for row in rows] == sorted(ids, key=str.encode)
