"""A lower bound for reading: the API's responses hand-written with Flask, the driver and orjson.

Handles ordinary entries only: it has no validation, no ETag, no values that do not fit the columns, and no
open gaps.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson
import psycopg
from flask import Flask, Response, request
from psycopg.rows import dict_row

from recorder.store.tables import Time, entries

PAGE = 100
_COUNTS = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")

Rows = list[Mapping[str, Any]]


def floor_app(url: str) -> Flask:
    """Create an app that gives the same responses from the same database."""
    app = Flask("floor")
    ask = _sqlite(url) if url.startswith("sqlite") else _postgresql(url)

    @app.get("/api/v1/groups/<taskgroup_id>/history")
    def history(taskgroup_id: str) -> Response:
        order = "DESC" if request.args.get("order") == "desc" else "ASC"
        rows = ask(_HISTORY[order], (taskgroup_id, PAGE + 1))
        items = [_item(row) for row in rows[:PAGE]]
        following = f"{request.path}?cursor={items[-1]['seq']}" if len(rows) > PAGE else None
        return Response(orjson.dumps({"items": items, "next": following}), mimetype="application/json")

    @app.get("/api/v1/groups/<taskgroup_id>/status")
    def status(taskgroup_id: str) -> Response:
        item = _item(ask(_LATEST, (taskgroup_id,))[0])
        members = ("phase", "status", "seq", "observed_at", "last_seen_at", "polls", "anomalies", "digest")
        body = {"taskgroup_id": taskgroup_id, **{name: item[name] for name in members}}
        return Response(orjson.dumps(body), mimetype="application/json")

    return app


def _sqlite(url: str) -> Callable[[str, tuple[Any, ...]], Rows]:
    path = url.removeprefix("sqlite:///")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return lambda question, given: connection.execute(_sqlite_words(question), given).fetchall()


def _postgresql(url: str) -> Callable[[str, tuple[Any, ...]], Rows]:
    connection = psycopg.connect(url, autocommit=True, row_factory=dict_row, options="-c timezone=UTC")

    def ask(question: str, given: tuple[Any, ...]) -> Rows:
        return list(connection.execute(_postgresql_words(question), given))

    return ask


@cache
def _sqlite_words(question: str) -> str:
    return question.replace("{", "").replace("}", "")


@cache
def _postgresql_words(question: str) -> bytes:
    """Adapt a query to PostgreSQL; expressions in braces are times."""
    as_text = r"""to_char(\1, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return re.sub(r"\{(.*?)\}", as_text, question).replace("?", "%s").encode()


_ENTRY = ", ".join(
    f"{{e.{column.name}}} AS {column.name}" if isinstance(column.type, Time) else f"e.{column.name}"
    for column in entries.c
)
_FROM = """LEFT JOIN entries n ON n.taskgroup_id = e.taskgroup_id AND n.seq = e.seq + 1
    LEFT JOIN watches w ON w.taskgroup_id = e.taskgroup_id AND w.head_seq = e.seq"""
_COLUMNS = f"""SELECT {_ENTRY}, {{coalesce(n.previous_last_seen_at, w.last_seen_at)}} AS until_seen_at,
    coalesce(n.previous_polls, w.polls) AS until_polls"""
_HISTORY = {
    order: f"{_COLUMNS} FROM entries e {_FROM} WHERE e.taskgroup_id = ? ORDER BY e.seq {order} LIMIT ?"
    for order in ("ASC", "DESC")
}
_LATEST = f"""{_COLUMNS} FROM watches v
    JOIN entries e ON e.taskgroup_id = v.taskgroup_id AND e.seq = v.status_seq {_FROM}
    WHERE v.taskgroup_id = ?"""


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    kind = row["kind"]
    is_status = kind == "status"
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
        "observed_at": row["at"] if is_status else None,
        "last_seen_at": row["until_seen_at"] if is_status else None,
        "polls": row["until_polls"] if is_status else None,
        "phase": row["phase"],
        "status": _status(row) if is_status else None,
        "metadata": json.loads(row["metadata"]) if row["metadata"] else None,
        "created_at": row["created_at"],
        "anomalies": json.loads(row["anomalies"]) if is_status else None,
        "gap": gap if kind == "gap" else None,
        "watch": watch if kind == "watch" else None,
        "digest": row["digest"],
    }


def _status(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "num_task_runs": row["num_task_runs"],
        "task_run_status_counts": {name: row[name] for name in _COUNTS if row[name] is not None},
        "is_active": None if row["is_active"] is None else bool(row["is_active"]),
        "status_message": row["status_message"],
        "modified_at": row["modified_at"],
    }
