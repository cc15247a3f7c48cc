"""A running recorder whose wall clock is set forward and back by an hour.

A SQLite file is used by one machine, whose clock the ledger follows. On PostgreSQL the ledger follows the
clock of the server, which stays as it is.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from recorder.clock import utc_now
from recorder.ledger.timestamps import parse_time
from recorder.queries.completion import completion_answer
from recorder.queries.eta import eta_of
from recorder.queries.gaps import GapsQuery, gaps_body, gaps_request
from recorder.queries.groups import group_answer, require_group, require_watch
from recorder.queries.history import HistoryQuery, history_answer, read_page
from recorder.settings import Settings
from recorder.simulator import SimulatorSettings
from recorder.store.enrolment import watch_group
from recorder.store.transactions import reading
from tests.end_to_end.faketime import FakeTime
from tests.support.program import Program, Running
from tests.support.request_log import read_log
from tests.support.simulator import simulating

GROUPS = 12
HOUR = 3600
POLLS = 4


def _create(url: str) -> str:
    """Create a group in which one run ends every simulated second, so that its status keeps changing."""
    with httpx.Client(base_url=f"{url}/v1beta/tasks", headers={"x-api-key": "k"}) as http:
        taskgroup_id: str = http.post("/groups", json={}).raise_for_status().json()["taskgroup_id"]
        for seconds in range(1, 60):
            runs = {"inputs": [{"input": "q", "processor": "lite"}]}
            headers = {"x-simulator-seconds": str(seconds), "x-simulator-outcome": "completed"}
            http.post(f"/groups/{taskgroup_id}/runs", json=runs, headers=headers).raise_for_status()
    return taskgroup_id


def _poll_counts(log: Path) -> Counter[str]:
    lines = read_log(log)
    return Counter(line["taskgroup_id"] for line in lines if line["method"] == "GET")


def _wait_for_more(running: Running, log: Path, ids: list[str]) -> None:
    """Wait until each group has been polled POLLS more times."""
    before = _poll_counts(log)

    def polled_enough() -> bool | None:
        now = _poll_counts(log)
        return all(now[taskgroup_id] - before[taskgroup_id] >= POLLS for taskgroup_id in ids) or None

    running.wait_until(polled_enough, "every group to be polled")


def _has_own_clock(engine: Engine) -> bool:
    return engine.dialect.name == "postgresql"


def _now(engine: Engine) -> datetime:
    """The time on the clock that the recorder uses, at the end of the test."""
    return utc_now() if _has_own_clock(engine) else utc_now() - timedelta(seconds=HOUR)


def _histories(engine: Engine, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    with reading(engine) as connection:
        query = HistoryQuery(limit=1000)
        return {
            taskgroup_id: history_answer(
                connection, require_watch(connection, taskgroup_id).watch, query, _now(engine)
            )["items"]
            for taskgroup_id in ids
        }


@pytest.fixture
def program(tmp_path: Path, database_url: str) -> Program:
    quick = {
        "POLL_INTERVAL": "0.5",
        "MAX_INTERVAL": "3",
        "SETTLED_INTERVAL": "1",
        "GAP_GRACE": "60",
        "RATE": "200",
    }
    settings = {f"RECORDER_{name}": text for name, text in quick.items()}
    return Program(tmp_path).using(
        PARALLEL_API_KEY="k", RECORDER_DATABASE_URL=database_url, **settings, RECORDER_LOG_FORMAT="json"
    )


def test_clock_is_set_forward_an_hour_and_back_two(tmp_path: Path, program: Program, engine: Engine) -> None:
    log, clock = tmp_path / "requests.ndjson", FakeTime(tmp_path)
    with simulating(SimulatorSettings(log_path=log)) as url:
        ids = [_create(url) for _ in range(GROUPS)]
        for taskgroup_id in ids:
            watch_group(engine, taskgroup_id, actor="test", note=None, now=utc_now, rules=Settings().rules)
        faked = program.using(PARALLEL_BASE_URL=url, **clock.settings)
        with faked.start("run") as running:
            _wait_for_more(running, log, ids)
            for offset in (HOUR, -HOUR):
                clock.set_offset(offset)
                _wait_for_more(running, log, ids)
            assert running.stop() == 0
    printed = [json.loads(line) for line in running.printed.splitlines()]
    steps = [line["seconds"] for line in printed if line["event"] == "the clock was set"]
    assert steps == [pytest.approx(HOUR, abs=1), pytest.approx(-2 * HOUR, abs=1)]
    errors = [line for line in printed if line["level"] == "error"]
    # Under libfaketime SQLite does not wait for the lock that heartbeats and results take in turn.
    assert [line for line in errors if line.get("reason") != "database is locked"] == []
    for taskgroup_id, items in _histories(engine, ids).items():
        _check_history(engine, taskgroup_id, items)


def _check_history(engine: Engine, taskgroup_id: str, items: list[dict[str, Any]]) -> None:
    assert [item["seq"] for item in items] == list(range(1, len(items) + 1))
    assert "gap" not in {item["kind"] for item in items}
    for before, after in pairwise(items):
        backwards = parse_time(after["at"]) < parse_time(before["last_seen_at"] or before["at"])
        assert ("clock_regressed" in (after["anomalies"] or [])) == backwards
    regressed = any("clock_regressed" in (item["anomalies"] or []) for item in items)
    times = [parse_time(item["at"]) for item in items]
    assert regressed == (not _has_own_clock(engine))
    assert (max(times) - min(times) > timedelta(minutes=55)) == (not _has_own_clock(engine))
    for item in items[1:]:
        assert item["last_seen_at"] >= item["observed_at"]
    with reading(engine) as connection:
        group = require_group(connection, taskgroup_id)
        completion = completion_answer(connection, group, eta_of(connection, group, None))
        assert min([*completion["run_seconds"].values(), *completion["dwell_seconds"].values()]) >= 0
        assert all(episode["duration_seconds"] >= 0 for episode in completion["episodes"])
        watch = require_watch(connection, taskgroup_id).watch
        page = read_page(connection, watch, gaps_request(taskgroup_id, GapsQuery()), _now(engine))
        gaps = gaps_body(connection, watch, page)
        assert gaps["items"] == [] and 0 <= gaps["coverage"]["fraction"] <= 1
        group = require_group(connection, taskgroup_id)
        assert group_answer(connection, group, _now(engine), None)["state"] == "watching"
