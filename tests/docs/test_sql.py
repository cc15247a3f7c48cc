"""The page on the SQL views: columns, types and queries, on both databases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, inspect, text

from recorder.ledger.timestamps import format_time
from recorder.store.archive_tables import tombstones
from recorder.store.engine import check_url, open_engine
from recorder.store.transactions import reading, writing
from tests.support.databases import postgres_database, sqlite_database
from tests.support.hostile_ledger import METADATA, VALUES, record_hostile
from tests.support.pages import blocks, page, plain, rows, table
from tests.support.recording import NOON
from tests.support.run_claims import backfill, said

PAGE = "docs/reference/sql.md"
VIEWS = (
    *("status_history", "latest_status", "group_completion"),
    *("group_milestones", "group_metadata", "observation_gaps", "archived_groups", "task_runs"),
)
QUERIES = [block for block in blocks(page(PAGE)) if block.language.split()[0] == "sql"]

_NATIVE = {kind: (sqlite, postgresql) for kind, sqlite, postgresql in rows(page(PAGE))}


def _described(view: str) -> list[tuple[str, str]]:
    """Return the columns of a view with their types, as documented."""
    own = [(plain(row[0]), row[1]) for row in table(PAGE, f"`{view}`")]
    return [*_described("status_history"), *own] if view == "latest_status" else own


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    """A database in which every column has a value in some row."""
    record_hostile(engine)
    with writing(engine) as connection:
        times = dict.fromkeys(("first_at", "last_at", "archived_at"), NOON)
        texts = dict.fromkeys(("head_digest", "archive_sha256", "watch", "kept", "digest"), "0" * 64)
        row = {"taskgroup_id": "archived", "head_seq": 3, "entries": 3, **times, **texts}
        connection.execute(insert(tombstones).values(row))
    claims = [said(1), said(2, "running")]
    backfill(engine, "tgrp_claimed", claims, NOON)
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


@pytest.fixture
def both(
    tmp_path: Path, sqlite_template: Path, postgres: str, postgres_template: str
) -> Iterator[dict[str, Engine]]:
    """The hostile ledger on each kind of database."""
    with (
        sqlite_database(tmp_path / "recorder.db", sqlite_template) as file,
        postgres_database(postgres, "both", postgres_template) as database,
    ):
        engines = {"sqlite": open_engine(check_url(file)), "postgresql": open_engine(check_url(database))}
        for engine in engines.values():
            record_hostile(engine)
        yield engines
        for engine in engines.values():
            engine.dispose()


def _results(engine: Engine, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query in a form that does not depend on the database, times as text."""
    with reading(engine) as connection:
        result = connection.execute(text(query.replace(":", "\\:")))
        return [{name: _plain(name, value) for name, value in row.items()} for row in result.mappings()]


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Decimal | float):
        return pytest.approx(float(value))
    return json.loads(value) if name in {"metadata", "anomalies"} and isinstance(value, str) else value


def test_queries_have_the_same_results_on_both_databases(both: dict[str, Engine]) -> None:
    for query in [block.code for block in QUERIES if block.language == "sql"]:
        on_sqlite, on_postgresql = (_results(engine, query) for engine in both.values())
        assert on_sqlite and on_sqlite == on_postgresql, query
    on_each = [
        [_results(engine, block.code) for block in QUERIES if block.language == f"sql {name}"]
        for name, engine in both.items()
    ]
    assert on_each[0] and on_each[0] == on_each[1]


def test_results_of_queries(both: dict[str, Engine]) -> None:
    unfinished, customers, at_time, last_runs, causes, anomalies = (
        _results(both["sqlite"], block.code) for block in QUERIES if block.language == "sql"
    )
    assert unfinished[0]["taskgroup_id"] == "tgrp_never"
    assert {row["taskgroup_id"] for row in unfinished} == {*METADATA, "m_huge", "tgrp_every", "tgrp_never"}
    groups = Counter(value for value, _ in VALUES.values())
    assert {row["customer"]: row["groups"] for row in customers} == {**groups, None: 7}
    assert [row["customer"] for row in customers] == [*sorted(groups, key=str.encode), None]
    assert [(row["seq"], row["phase"]) for row in at_time] == [(2, "active")]
    assert last_runs
    assert [(row["cause"], row["gaps"]) for row in causes] == [("not_polled", 1), ("server_error", 1)]
    assert {row["taskgroup_id"]: row["anomalies"] for row in anomalies}["tgrp_2"] == ["bad_type"]
