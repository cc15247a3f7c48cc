"""The least that reading can take: the API's answers written by hand, with Flask, sqlite3 and orjson.

For entries that are as usual only: no check of what is asked, no ETag, nothing that does not fit the columns,
no gap that is still open.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import orjson
from flask import Flask, Response, request

PAGE = 100
_COUNTS = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")


def floor_app(path: Path) -> Flask:
    """The same answers, written by hand for entries that are as usual."""
    app = Flask("floor")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row

    @app.get("/api/v1/groups/<taskgroup_id>/history")
    def history(taskgroup_id: str) -> Response:
        order = "DESC" if request.args.get("order") == "desc" else "ASC"
        rows = connection.execute(_HISTORY.format(order=order), (taskgroup_id, PAGE + 1)).fetchall()
        items = [_item(row) for row in rows[:PAGE]]
        following = f"{request.path}?cursor={items[-1]['seq']}" if len(rows) > PAGE else None
        return Response(orjson.dumps({"items": items, "next": following}), mimetype="application/json")

    @app.get("/api/v1/groups/<taskgroup_id>/status")
    def status(taskgroup_id: str) -> Response:
        row = connection.execute(_LATEST, (taskgroup_id,)).fetchone()
        item = _item(row)
        members = ("phase", "status", "seq", "observed_at", "last_seen_at", "polls", "anomalies", "digest")
        body = {"taskgroup_id": taskgroup_id, **{name: item[name] for name in members}}
        return Response(orjson.dumps(body), mimetype="application/json")

    return app


_COLUMNS = """SELECT e.*, coalesce(n.previous_last_seen_at, w.last_seen_at) AS until_seen_at,
    coalesce(n.previous_polls, w.polls) AS until_polls"""
_HISTORY = f"""{_COLUMNS} FROM entries e
    LEFT JOIN entries n ON n.taskgroup_id = e.taskgroup_id AND n.seq = e.seq + 1
    LEFT JOIN watches w ON w.taskgroup_id = e.taskgroup_id AND w.head_seq = e.seq
    WHERE e.taskgroup_id = ? ORDER BY e.seq {{order}} LIMIT ?"""
_LATEST = f"""{_COLUMNS} FROM watches v
    JOIN entries e ON e.taskgroup_id = v.taskgroup_id AND e.seq = v.status_seq
    LEFT JOIN entries n ON n.taskgroup_id = e.taskgroup_id AND n.seq = e.seq + 1
    LEFT JOIN watches w ON w.taskgroup_id = e.taskgroup_id AND w.head_seq = e.seq
    WHERE v.taskgroup_id = ?"""


def _item(row: sqlite3.Row) -> dict[str, Any]:
    kind = row["kind"]
    said = kind == "status"
    gap = {
        "from": row["gap_from"],
        "to": row["at"],
        "cause": row["gap_cause"],
        "attempts": row["gap_attempts"],
        "unpolled_seconds": row["gap_unpolled_seconds"],
        "http_status": row["gap_http_status"],
        "detail": row["gap_detail"],
    }
    watch = {"action": row["watch_action"], "actor": row["watch_actor"], "note": row["watch_note"]}
    return {
        "seq": row["seq"],
        "kind": kind,
        "at": row["at"],
        "observed_at": row["at"] if said else None,
        "last_seen_at": row["until_seen_at"] if said else None,
        "polls": row["until_polls"] if said else None,
        "phase": row["phase"],
        "status": _status(row) if said else None,
        "metadata": json.loads(row["metadata"]) if row["metadata"] else None,
        "created_at": row["created_at"],
        "anomalies": json.loads(row["anomalies"]) if said else None,
        "gap": gap if kind == "gap" else None,
        "watch": watch if kind == "watch" else None,
        "digest": row["digest"],
    }


def _status(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "num_task_runs": row["num_task_runs"],
        "task_run_status_counts": {name: row[name] for name in _COUNTS if row[name] is not None},
        "is_active": None if row["is_active"] is None else bool(row["is_active"]),
        "status_message": row["status_message"],
        "modified_at": row["modified_at"],
    }
