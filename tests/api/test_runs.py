"""What the provider claimed about single runs, over HTTP."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from recorder.ledger.timestamps import format_time
from recorder.store.transactions import reading
from tests.support.databases import ON_SQLITE
from tests.support.recording import Recording, active, after, settled
from tests.support.run_claims import backfill, said

RUNS = "/api/v1/groups/tgrp_1/runs"
EVENTS = [
    *(said(number, modified=10 * number) for number in range(1, 5)),
    said(5, "running", created=3, modified=7, processor="lite"),
    said(6, "queued", created=3, modified=3, processor="lite"),
]


def _get(app: Flask, path: str = RUNS) -> Any:
    answer = app.test_client().get(path)
    assert answer.status_code == 200
    return json.loads(answer.get_data())


def test_claims_are_told_as_claims(app: Flask, engine: Engine) -> None:
    kept = backfill(engine, "tgrp_1", EVENTS, after(103))
    body = _get(app)
    assert (body["taskgroup_id"], body["source"]) == ("tgrp_1", "provider")
    assert body["snapshot"] == {
        "seq": 2,
        "asked_at": "2026-11-24T12:01:43.000000Z",
        "taken_at": "2026-11-24T12:01:43.000000Z",
        "runs": 6,
        "digest": kept.digest,
    }
    assert body["statuses"] == {"completed": 4, "queued": 1, "running": 1}
    assert body["milestones"][0] == {
        "fraction": 0.5,
        "runs": 3,
        "claimed_at": "2026-11-24T12:00:30.000000Z",
    }
    assert body["milestones"][1]["claimed_at"] is None
    assert [(step["claimed_at"][11:19], step["finished"]) for step in body["curve"]] == [
        *(("12:00:10", 1), ("12:00:20", 2), ("12:00:30", 3), ("12:00:40", 4)),
    ]
    core, lite = body["processors"]
    assert (core["processor"], core["durations"]["p50"]["seconds"], core["durations"]["max_seconds"]) == (
        *("core", 20, 40),
    )
    assert (lite["waits"]["completed"], lite["waits"]["censored"], lite["waits"]["p50"]["seconds"]) == (
        1,
        1,
        4,
    )
    assert "bounds" not in core["durations"]["p50"]
    assert body["findings"] == []


def test_durations_are_those_of_the_view(app: Flask, engine: Engine) -> None:
    backfill(engine, "tgrp_1", EVENTS, after(103))
    query = """
        SELECT processor, max(claimed_duration_seconds), max(claimed_wait_seconds), count(*)
        FROM task_runs WHERE taskgroup_id = 'tgrp_1' GROUP BY processor ORDER BY processor"""
    with reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    assert found == [
        (item["processor"], item["durations"]["max_seconds"], item["waits"]["max_seconds"], item["runs"])
        for item in _get(app)["processors"]
    ]


def test_without_a_snapshot_there_are_no_claims(app: Flask, recording: Recording) -> None:
    recording.watch("tgrp_1")
    assert _get(app) == {
        "taskgroup_id": "tgrp_1",
        "source": "provider",
        "snapshot": None,
        "statuses": {},
        **{name: [] for name in ("milestones", "curve", "processors", "findings", "items")},
        "next": None,
    }


def test_what_was_seen_contradicts_it_and_stays_as_it_was(
    app: Flask, engine: Engine, recording: Recording
) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 5, active(running=6))
    recording.see("tgrp_1", 15, active(running=3, completed=3))
    recording.see("tgrp_1", 41, settled(completed=6))
    before = _get(app, "/api/v1/groups/tgrp_1/completion")
    backfill(engine, "tgrp_1", EVENTS, after(103))
    assert _get(app)["findings"] == [
        {"problem": "too_late", "seq": 3, "runs": 2, "seconds": 15.0},
        {"problem": "too_late", "seq": 4, "runs": 2, "seconds": None},
    ]
    assert _get(app, "/api/v1/groups/tgrp_1/completion")["episodes"] == before["episodes"]


@ON_SQLITE
def test_a_new_snapshot_changes_the_etag(app: Flask, engine: Engine) -> None:
    client = app.test_client()
    backfill(engine, "tgrp_1", EVENTS, after(103))
    first = client.get(RUNS).headers["ETag"]
    assert client.get(RUNS, headers={"If-None-Match": first}).status_code == 304
    backfill(engine, "tgrp_1", EVENTS, after(104))
    assert client.get(RUNS, headers={"If-None-Match": first}).status_code == 200


@ON_SQLITE
@pytest.mark.parametrize(("path", "status"), [(RUNS, 404), (f"{RUNS}?status=failed", 422)])
def test_errors(app: Flask, recording: Recording, path: str, status: int) -> None:
    recording.watch("tgrp_2")
    answer = app.test_client().get(path)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


def test_the_runs_come_in_pages_that_equal_the_view(app: Flask, engine: Engine) -> None:
    backfill(engine, "tgrp_1", [*EVENTS, said(7, modified=-1)], after(103))
    address, found = f"{RUNS}?limit=3", []
    while address is not None:
        page = _get(app, address)
        found += page["items"]
        assert page["snapshot"]["seq"] == 2 and page["statuses"]["completed"] == 5
        # Later pages are of the same snapshot.
        backfill(engine, "tgrp_1", EVENTS[:2], after(104))
        address = page["next"] and urljoin(address, page["next"])
    assert [item["run_id"] for item in found] == [f"trun_{number}" for number in range(1, 8)]
    query = "SELECT * FROM task_runs ORDER BY run_id"
    with reading(engine) as connection:
        rows = [dict(row) for row in connection.execute(text(query)).mappings()]
    shown = [
        {name: format_time(value) if isinstance(value, datetime) else value for name, value in row.items()}
        for row in rows
    ]
    newest = _get(app)["items"]
    assert newest == [{name: row[name] for name in newest[0]} for row in shown]
    assert newest == found[:2]


@ON_SQLITE
def test_a_cursor_of_another_group_is_refused(app: Flask, engine: Engine) -> None:
    for group in ("tgrp_1", "tgrp_2"):
        backfill(engine, group, EVENTS, after(103))
    _, _, query = _get(app, f"{RUNS}?limit=3")["next"].partition("?")
    assert app.test_client().get(f"/api/v1/groups/tgrp_2/runs?{query}").status_code == 422
