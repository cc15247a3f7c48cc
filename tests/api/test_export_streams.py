"""Exports as streams: in batches, which hold nothing in between, and do not hide that one is missing."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from typing import Any

import pandas
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from api.app import create_app
from api.context import context
from api.errors import PROBLEMS
from api.exports import batches as exports
from recorder.ledger.entries import Entry
from recorder.ledger.poll_outcome import Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.transitions import observe
from recorder.store.engine import check_url, open_engine
from recorder.store.leases import PollResult, claim_due, write_results
from recorder.store.transactions import DatabaseUnavailableError, QueryTimeoutError, reading, writing
from tests.api.exporting import GROUP, GROUPS, VIEWS, parts_of, table_of
from tests.support.recording import INTERVAL, RULES, Recording, active, after

SLOW = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n"


@pytest.mark.usefixtures("filled", "small_batches")
def test_nothing_is_held_while_the_client_takes_its_time(asking: FlaskClient, app: Flask) -> None:
    with app.app_context():
        pool: Any = context().engine.pool
    for path in VIEWS:
        for form in ("csv", "ndjson"):
            answer, parts = parts_of(asking, f"{path}?format={form}")
            assert next(parts)
            assert pool.checkedout() == 0
            answer.close()
            assert list(parts) == []


@pytest.mark.usefixtures("small_batches")
def test_an_export_goes_on_while_the_recorder_writes(asking: FlaskClient, recording: Recording) -> None:
    recording.watch("tgrp_1")
    for number in range(2, 7):
        recording.see("tgrp_1", number, active(running=number))
    for order in ("asc", "desc"):
        _, parts = parts_of(asking, f"{GROUP}/history?format=ndjson&order={order}&kind=watch,status")
        begun = next(parts)
        recording.see("tgrp_1", 8 + len(order), active(queued=len(order)))
        seqs = [json.loads(line)["seq"] for line in (begun + b"".join(parts)).splitlines()]
        assert seqs == (list(range(1, 8)) if order == "asc" else list(range(7, 0, -1)))


@pytest.mark.slow
@pytest.mark.usefixtures("filled", "small_batches")
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (QueryTimeoutError("too long"), "query-timeout"),
        (DatabaseUnavailableError("away"), "database-unavailable"),
        (RuntimeError("a defect"), "internal-error"),
    ],
)
def test_an_export_that_breaks_off_does_not_look_complete(
    asking: FlaskClient, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    begun = [parts_of(asking, f"{GROUP}/history?format={form}")[1] for form in ("csv", "ndjson")]
    table, lines = (next(parts) for parts in begun)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(exports, "read_lines", fail)
    table += b"".join(begun[0])
    header, *_, last = csv.reader(io.StringIO(table.decode(), newline=""), strict=True)
    assert len(last) == len(header) + 1 and "incomplete" in last[0] and kind in last[0]
    with pytest.raises(pandas.errors.ParserError):
        pandas.read_csv(io.BytesIO(table))
    lines += b"".join(begun[1])
    problem = json.loads(lines.splitlines()[-1])
    assert problem["type"] == f"/docs/problems#{kind}" and "incomplete" in problem["detail"]
    refused = asking.get(f"{GROUP}/history?format=csv")
    assert (refused.status_code, refused.mimetype) == (PROBLEMS[kind][0], "application/problem+json")


def test_the_limit_of_time_is_for_each_batch(
    database_url: str, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second batch never ends by itself; what came before it stands."""
    monkeypatch.setattr(exports, "EXPORT_BATCH", 1)
    for name in ("a", "b", "c"):
        recording.watch(name)
    engine = open_engine(check_url(database_url), read_only=True, timeout_seconds=0.2)
    _, parts = parts_of(create_app(engine, now=lambda: after(1)).test_client(), f"{GROUPS}?format=ndjson")
    first = json.loads(next(parts))

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def slow_down(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> tuple[str, Any]:
        return (SLOW, ()) if "FROM watches" in statement else (statement, parameters)

    (last,) = parts
    assert first["taskgroup_id"] == "a"
    assert json.loads(last)["type"] == "/docs/problems#query-timeout"
    engine.dispose()


@given(size=st.integers(1, exports.EXPORT_BATCH), length=st.integers(0, 2**31))
def test_the_next_batch_is_as_large_as_the_last_one_lets_expect(size: int, length: int) -> None:
    size_then = exports.next_size(size, length)
    assert 1 <= size_then <= min(10 * size, exports.EXPORT_BATCH)
    if size_then > 1:
        assert size_then * length <= exports.PART_BYTES * size
    if size_then < min(10 * size, exports.EXPORT_BATCH):
        assert (size_then + 1) * length > exports.PART_BYTES * size


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("path", VIEWS)
def test_an_export_begins_with_few_items(
    asking: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for form, header in (("csv", 1), ("ndjson", 0)):
        address = f"{path}?format={form}"
        whole = asking.get(address).get_data()
        monkeypatch.setattr(exports, "FIRST_BATCH", 1)
        _, parts = parts_of(asking, address)
        first, *others = parts
        monkeypatch.undo()
        assert len(first.splitlines()) == header + 1
        assert others and first + b"".join(others) == whole


def _see_many(engine: Engine, taskgroup_id: str, count: int, metadata: Any = None) -> None:
    """As many changes, a second apart, in one transaction."""
    with writing(engine) as connection:
        claims = claim_due(
            connection, owner="test", now=after(count), lease_until=after(count + 30), limit=1000
        )
        (claim,) = (claim for claim in claims if claim.watch.taskgroup_id == taskgroup_id)
        watch, entries = claim.watch, list[Entry]()
        for number in range(count):
            said = {"taskgroup_id": taskgroup_id, "metadata": metadata, "status": active(running=number + 1)}
            seen = Observation(after(number - 0.25), after(number), parse_body(json.dumps(said).encode()))
            step = observe(watch, seen, RULES)
            watch = step.watch
            entries += step.entries
        result = PollResult(claim, entries, watch, after(count + 10), INTERVAL.total_seconds())
        assert write_results(connection, [result]).results == [result]


def _peak(asking: FlaskClient, address: str) -> tuple[int, int]:
    """How much memory reading an export takes at most, in bytes, and how many lines it has."""
    tracemalloc.start()
    try:
        _, parts = parts_of(asking, address)
        lines = sum(part.count(b"\n") for part in parts)
        return tracemalloc.get_traced_memory()[1], lines
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_long_export_takes_no_more_memory_than_a_short_one(
    asking: FlaskClient, engine: Engine, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "EXPORT_BATCH", 100)
    for name, count in (("short", 300), ("long", 3000)):
        recording.watch(name)
        _see_many(engine, name, count)
    for form, expected in (("csv", 3001), ("ndjson", 3000)):
        question = f"history?kind=status&format={form}"
        asking.get(f"{GROUPS}/short/{question}").close()
        short, _ = _peak(asking, f"{GROUPS}/short/{question}")
        long, lines = _peak(asking, f"{GROUPS}/long/{question}")
        assert lines == expected
        assert long < 2 * short
    header, *rows = table_of(asking, f"{GROUPS}/long/history")
    columns = "CAST(h.seq AS text), h.digest, CAST(h.running AS text)"
    question = f"SELECT {columns} FROM status_history h WHERE h.taskgroup_id = 'long' ORDER BY h.seq"
    with reading(engine) as connection:
        in_view = [list(row) for row in connection.execute(text(question))]
    places = [header.index(name) for name in ("seq", "digest", "running")]
    assert [[row[place] for place in places] for row in rows] == in_view
    assert len(rows) == 3000


def test_large_items_are_read_few_at_once(asking: FlaskClient, engine: Engine, recording: Recording) -> None:
    recording.watch("large")
    length = exports.PART_BYTES // 5
    _see_many(engine, "large", 60, {"text": "x" * length})
    for form, expected in (("csv", 61), ("ndjson", 60)):
        peak, lines = _peak(asking, f"{GROUPS}/large/history?kind=status&format={form}")
        assert lines == expected
        # The first ten, whose length nobody knows yet, as they are read, worded and put together.
        assert peak < 45 * length
