"""Snapshots of runs, as if the upstream had told them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from recorder.ledger.run_claims import read_run_event
from recorder.ledger.timestamps import format_time
from recorder.store.run_snapshots import RunSnapshot, keep_snapshot, run_spool
from tests.support.recording import RULES, after


def said(
    number: int, status: str = "completed", *, created: float = 0, modified: float = 10, **members: Any
) -> str:
    """An event about a run, created and last modified so many seconds after the epoch of the tests."""
    run = {
        "run_id": f"trun_{number}",
        "processor": "core",
        "status": status,
        "created_at": format_time(after(created)),
        "modified_at": format_time(after(modified)),
    }
    return json.dumps({"type": "task_run.state", "event_id": str(number), "run": run | members})


def backfill(engine: Engine, taskgroup_id: str, events: Iterable[str], at: datetime) -> RunSnapshot:
    """Keep a snapshot that was asked for and complete at `at`."""
    with run_spool() as spool:
        for event in events:
            claim = read_run_event(event, taskgroup_id)
            assert claim is not None
            spool.add(claim)
        return keep_snapshot(
            engine, taskgroup_id, spool, asked_at=at, taken_at=at, actor="ann", now=lambda: at, rules=RULES
        )
