"""The page on the SQL views: columns, types and queries, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from recorder.store.transactions import reading
from tests.support.pages import blocks, page, plain, rows, table
from tests.support.store_samples import body, enrol, failed, poll, seen

PAGE = "docs/reference/sql.md"
VIEWS = ("status_history", "latest_status", "group_completion", "observation_gaps")
QUERIES = [block for block in blocks(page(PAGE)) if block.language.split()[0] == "sql"]

_NATIVE = {kind: (sqlite, postgresql) for kind, sqlite, postgresql in rows(page(PAGE))}


def _described(view: str) -> list[tuple[str, str]]:
    """Return the columns of a view with their types, as documented."""
    own = [(plain(row[0]), row[1]) for row in table(PAGE, f"`{view}`")]
    return [*_described("status_history"), *own] if view == "latest_status" else own


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    """A database in which every column has a value in some row."""
    run_statuses = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")
    enrol(engine, "tgrp_1")
    full = body("tgrp_1", 1, total=7, surprise=True)
    full["status"] |= {
        "task_run_status_counts": dict.fromkeys(run_statuses, 1),
        "status_message": "at work",
        "modified_at": "2026-11-24T12:00:00Z",
    }
    poll(engine, "tgrp_1", seen(full, 1))
    for seconds in (12, 20, 40):
        poll(engine, "tgrp_1", failed(seconds))
    poll(engine, "tgrp_1", seen(full, 61.5))
    enrol(engine, "tgrp_2", seconds=5)
    poll(engine, "tgrp_2", seen(body("tgrp_2", 5), 6))
    enrol(engine, "tgrp_never_seen", seconds=70)
    return engine


def _select(engine: Engine, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text(statement), parameters)]


def _types(engine: Engine, view: str, column: str) -> set[str]:
    """Return the types of a column as the database names them."""
    if engine.dialect.name == "sqlite":
        found = _select(engine, f"SELECT DISTINCT typeof({column}) FROM {view} WHERE {column} IS NOT NULL")
    else:
        query = (
            "SELECT data_type FROM information_schema.columns "
            "WHERE table_name = :view AND column_name = :column"
        )
        found = _select(engine, query, view=view, column=column)
    return {str(row[0]) for row in found}


def test_every_view_is_documented(engine: Engine) -> None:
    assert set(inspect(engine).get_view_names()) == set(VIEWS)


@pytest.mark.parametrize("view", VIEWS)
def test_columns(engine: Engine, view: str) -> None:
    columns = [column["name"] for column in inspect(engine).get_columns(view)]
    assert [name for name, _ in _described(view)] == columns


@pytest.mark.parametrize("view", VIEWS)
def test_types(recorded: Engine, view: str) -> None:
    for column, kind in _described(view):
        sqlite, postgresql = _NATIVE[kind]
        allowed = sqlite if recorded.dialect.name == "sqlite" else postgresql
        found = _types(recorded, view, column)
        assert found and found <= set(allowed.split(" or ")), (view, column, found)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.code.splitlines()[0])
def test_queries_return_rows(recorded: Engine, query: Any) -> None:
    _, *only_on = query.language.split()
    if recorded.dialect.name in (only_on or [recorded.dialect.name]):
        assert _select(recorded, query.code)


def test_results_of_queries(recorded: Engine) -> None:
    unfinished, customers, at_time, causes, anomalies = (
        _select(recorded, block.code) for block in QUERIES if block.language == "sql"
    )
    assert {row[0] for row in unfinished} == {"tgrp_1", "tgrp_never_seen"}
    assert sorted(row[:4] for row in customers if row[0]) == [("acme", 2, 12, 1)]
    assert at_time[0][:4] == (2, "active", 1, 7)
    assert [(row[0], row[1], float(row[2])) for row in causes] == [("server_error", 1, 60.5)]
    assert [row[:2] for row in anomalies] == [("tgrp_1", 2), ("tgrp_1", 4)]
