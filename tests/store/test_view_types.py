"""Every column of every view can be compared, grouped and combined, whatever binds its parameters."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import Engine, text

from recorder.store.transactions import reading, writing
from recorder.store.views import VIEWS
from tests.support.archives import archive, stop
from tests.support.hostile_ledger import VALUES, record_hostile
from tests.support.recording import Recording, after, settled
from tests.support.run_claims import backfill, said

views = pytest.mark.parametrize("view", VIEWS)
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def _record(engine: Engine) -> None:
    """The hostile ledger, and a group that is archived."""
    record_hostile(engine)
    recording = Recording(engine)
    claims = [said(1), said(2, "running", processor="lite"), said(3, "ä\0"), said(4, modified=-5)]
    backfill(engine, "tgrp_claimed", claims, after(20))
    recording.watch("gone")
    recording.see("gone", 1, settled(completed=1), metadata={"kept": "no"})
    stop(engine, "gone", 2)
    with TemporaryDirectory() as folder:
        archive(engine, Path(folder) / "gone.ndjson", ("kept", "no"))


pytestmark = pytest.mark.ledger(fill=_record)


def _columns(engine: Engine, view: str) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(text(f"SELECT * FROM {view}")).keys())


def _all(engine: Engine, query: str, **parameters: Any) -> list[Any]:
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query), parameters)]


@views
@sqlite_only
def test_every_column_has_a_type_on_sqlite(engine: Engine, view: str) -> None:
    """A table made from a view gets the types of its columns, those of expressions included."""
    with writing(engine) as connection:
        connection.execute(text(f"CREATE TABLE made AS SELECT * FROM {view}"))
        types = {row.name: row.type for row in connection.execute(text("PRAGMA table_xinfo(made)"))}
    assert all(types.values()), types


@views
@sqlite_only
def test_a_parameter_bound_as_text_finds_the_same_rows(engine: Engine, view: str) -> None:
    for column in _columns(engine, view):
        query = f"SELECT taskgroup_id, {column} FROM {view} WHERE {column} = :value ORDER BY 1, 2"
        values = [value for (value,) in _all(engine, f"SELECT DISTINCT {column} FROM {view}")]
        known = [value for value in values if value is not None]
        assert known, (view, column)
        for value in known:
            found = _all(engine, query, value=value)
            assert found and _all(engine, query, value=str(value)) == found, (view, column, value)


@views
def test_every_column_can_be_grouped_and_combined(engine: Engine, view: str) -> None:
    for column in _columns(engine, view):
        distinct = _all(engine, f"SELECT DISTINCT {column} FROM {view}")
        grouped = _all(engine, f"SELECT {column} FROM {view} GROUP BY {column}")
        union = _all(engine, f"SELECT {column} FROM {view} UNION SELECT {column} FROM {view}")
        assert len(distinct) == len(grouped) == len(union) == len(set(map(repr, distinct))), (view, column)


def test_group_metadata_has_the_values_that_filters_compare(engine: Engine) -> None:
    found = _all(engine, "SELECT taskgroup_id, value, type FROM group_metadata WHERE key = 'customer'")
    assert {group: (value, kind) for group, value, kind in found} == VALUES
    keys = _all(engine, "SELECT key FROM group_metadata ORDER BY key")
    assert [key for (key,) in keys] == sorted((key for (key,) in keys), key=str.encode)
    assert {key for (key,) in keys} >= {"", "phase", "long " * 100, "😀 \"k'\\u0000"}
