"""What the provider claimed about a group's runs, as JSON-ready values: nothing in here was seen."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from recorder.completion.claimed_runs import (
    ClaimedRun,
    claimed_milestones,
    contradictions,
    curve_of,
    processors_of,
)
from recorder.ledger.timestamps import format_time
from recorder.queries.paging import ForeignCursorError, PagePosition, Paging, group_path
from recorder.queries.param_types import CURSOR_WORDS, DEFAULT_LIMIT, LIMIT_WORDS, CursorParam, LimitParam
from recorder.queries.query import Query
from recorder.store.run_snapshots import RunSnapshot, claims_after, claims_of, find_snapshot, finished_sights

SOURCE = "provider"
"""Who says so."""


class RunsQuery(Query):
    """Which runs of a snapshot to list."""

    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)
    cursor: CursorParam = Field(None, description=CURSOR_WORDS)


def runs_page(connection: Connection, taskgroup_id: str, query: RunsQuery) -> dict[str, Any]:
    """Return what the newest snapshot of a group's runs adds up to, where it contradicts what was seen, and
    a page of the runs. Further pages are of the same snapshot, even if there is a newer one.

    Without a snapshot, `snapshot` is None and the lists are empty.

    Raises:
        ForeignCursorError: the cursor belongs to another query.
    """
    paging = Paging(f"{group_path(taskgroup_id)}/runs", query)
    seq, after = _place_in(paging.position(query.cursor))
    snapshot = find_snapshot(connection, taskgroup_id, seq)
    head = {"taskgroup_id": taskgroup_id, "source": SOURCE}
    if snapshot is None:
        return {**head, "snapshot": None, **_figures(), "items": [], "next": None}
    found = claims_after(connection, taskgroup_id, snapshot.seq, after, query.limit + 1)
    items = found[: query.limit]
    page = paging.page(items, (snapshot.seq, items[-1][0]) if len(found) > len(items) else None)
    runs = claims_of(connection, taskgroup_id, snapshot.seq)
    sights = finished_sights(connection, taskgroup_id)
    figures = _figures(
        statuses=dict(sorted(Counter(run.status or "unknown" for run in runs).items())),
        milestones=claimed_milestones(runs),
        curve=curve_of(runs),
        processors=processors_of(runs, snapshot.taken_at),
        findings=contradictions(runs, sights, snapshot.asked_at, snapshot.taken_at),
    )
    return {**head, "snapshot": _snapshot_body(snapshot), **figures, **page.body(_run_body)}


def _place_in(position: PagePosition | None) -> tuple[int | None, str]:
    """Return the snapshot and the run after which a page starts."""
    if position is None:
        return None, ""
    if len(position) == 2 and isinstance(position[0], int) and isinstance(position[1], str):
        return position[0], position[1]
    raise ForeignCursorError


def _snapshot_body(snapshot: RunSnapshot) -> dict[str, Any]:
    return {
        "seq": snapshot.seq,
        "asked_at": format_time(snapshot.asked_at),
        "taken_at": format_time(snapshot.taken_at),
        "runs": snapshot.runs,
        "digest": snapshot.digest,
    }


def _run_body(item: tuple[str, ClaimedRun]) -> dict[str, Any]:
    run_id, run = item
    return {
        "run_id": run_id,
        "processor": run.processor,
        "claimed_status": run.status,
        "claimed_created_at": run.created_at and format_time(run.created_at),
        "claimed_modified_at": run.modified_at and format_time(run.modified_at),
        "claimed_duration_seconds": run.duration,
        "claimed_wait_seconds": run.wait,
    }


def _figures(
    statuses: dict[str, int] | None = None,
    milestones: list[dict[str, Any]] | None = None,
    curve: list[dict[str, Any]] | None = None,
    processors: list[dict[str, Any]] | None = None,
    findings: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "statuses": statuses or {},
        "milestones": milestones or [],
        "curve": curve or [],
        "processors": processors or [],
        "findings": findings or [],
    }
