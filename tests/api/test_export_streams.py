"""Exports as streams: read in batches, without holding a connection in between; a failure is visible."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from api.app import create_app
from api.context import context
from api.exports import batches
from api.problem_kinds import PROBLEMS
from recorder.ledger.entries import Entry
from recorder.ledger.poll_outcome import Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.transitions import observe
from recorder.store.engine import check_url, open_engine
from recorder.store.leases import PollResult, claim_due, write_results
from recorder.store.transactions import DatabaseUnavailableError, QueryTimeoutError, reading, writing
from tests.api.export_data import GROUP, GROUPS, VIEWS, csv_rows, populate, stream
from tests.support.recording import INTERVAL, RULES, Recording, active, after

SLOW = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n"


@pytest.mark.ledger(fill=populate)
@pytest.mark.usefixtures("small_batches")
def test_no_connection_is_held_between_batches(flask_client: FlaskClient, app: Flask) -> None:
    with app.app_context():
        pool: Any = context().engine.pool
    for path in VIEWS:
        for export_format in ("csv", "ndjson"):
            response, parts = stream(flask_client, f"{path}?format={export_format}")
            assert next(parts)
            assert pool.checkedout() == 0
            response.close()
            assert list(parts) == []


@pytest.mark.usefixtures("small_batches")
def test_an_export_leaves_out_what_is_recorded_meanwhile(
    flask_client: FlaskClient, recording: Recording
) -> None:
    recording.watch("tgrp_1")
    for number in range(2, 7):
        recording.see("tgrp_1", number, active(running=number))
    for order in ("asc", "desc"):
        path = f"{GROUP}/history?format=ndjson&order={order}&kind=watch,status"
        response, parts = stream(flask_client, path)
        first = next(parts)
        recording.see("tgrp_1", 8 + len(order), active(queued=len(order)))
        seqs = [json.loads(line)["seq"] for line in (first + b"".join(parts)).splitlines()]
        assert seqs == (list(range(1, 7)) if order == "asc" else list(range(7, 0, -1)))
        assert response.headers["X-Total-Items"] == str(len(seqs))


@pytest.mark.ledger(fill=populate)
@pytest.mark.usefixtures("small_batches")
def test_the_number_of_items_is_known_beforehand(flask_client: FlaskClient) -> None:
    for path in VIEWS:
        for question in ("?format=ndjson", "?format=csv", "?format=ndjson&order=desc"):
            if "order" in question and not path.endswith(("/history", "/gaps")):
                continue
            response = flask_client.get(path + question)
            rows = csv.reader(io.StringIO(response.get_data(as_text=True), newline=""))
            count = len(list(rows)) - 1 if "csv" in question else len(response.get_data().splitlines())
            assert count and response.headers["X-Total-Items"] == str(count), path + question
            assert flask_client.head(path + question).headers["X-Total-Items"] == str(count)
    for unknown in (f"{GROUPS}?phase=active", f"{GROUP}/history?from=2026-11-24T12:00:00Z"):
        response = flask_client.get(unknown, headers={"Accept": "application/x-ndjson"})
        assert response.status_code == 200 and "X-Total-Items" not in response.headers


@pytest.mark.ledger(fill=populate)
@pytest.mark.usefixtures("small_batches")
def test_http_1_0_is_told_the_length_beforehand(flask_client: FlaskClient) -> None:
    """There, a response without a length ends with the connection, whole or not; Granian calls it HTTP/1."""
    for protocol, headers in (("HTTP/1", {}), ("HTTP/1.0", {"Accept-Encoding": "gzip"})):
        old = {"SERVER_PROTOCOL": protocol}
        for path in VIEWS:
            for export_format in ("csv", "ndjson"):
                address = f"{path}?format={export_format}"
                usual = flask_client.get(address)
                response = flask_client.get(address, headers=headers, environ_overrides=old)
                assert response.get_data() == usual.get_data()
                assert response.headers["Content-Length"] == str(len(response.get_data()))
                assert "Content-Length" not in usual.headers


def test_a_line_is_one_line_for_every_reader(flask_client: FlaskClient, recording: Recording) -> None:
    odd = "".join(map(chr, [*range(0x20), 0x7F, 0x85, 0x2028, 0x2029])) + "\\u2028"
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, {**active(running=1), "status_message": odd}, metadata={odd: odd})
    for path in (GROUPS, f"{GROUP}/history?kind=status"):
        exported = flask_client.get(path, headers={"Accept": "application/x-ndjson"}).get_data()
        (line,) = exported.decode().splitlines()
        item = json.loads(line)
        assert (item["status"]["status_message"], item["metadata"]) == (odd, {odd: odd})


@pytest.mark.slow
@pytest.mark.ledger(fill=populate)
@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (QueryTimeoutError("too long"), "query-timeout"),
        (DatabaseUnavailableError("away"), "database-unavailable"),
        (RuntimeError("a defect"), "internal-error"),
    ],
)
def test_a_failed_export_does_not_look_complete(
    flask_client: FlaskClient, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    streams = [
        stream(flask_client, f"{GROUP}/history?format={export_format}")[1]
        for export_format in ("csv", "ndjson")
    ]
    table, lines = (next(parts) for parts in streams)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(batches, "read_lines", fail)
    table += b"".join(streams[0])
    header, *_, last = csv.reader(io.StringIO(table.decode(), newline=""), strict=True)
    assert len(last) == len(header) + 1 and "incomplete" in last[0] and kind in last[0]
    import pandas

    with pytest.raises(pandas.errors.ParserError):
        pandas.read_csv(io.BytesIO(table))
    lines += b"".join(streams[1])
    problem = json.loads(lines.splitlines()[-1])
    assert problem["type"] == f"/docs/problems#{kind}" and "incomplete" in problem["detail"]
    refused = flask_client.get(f"{GROUP}/history?format=csv")
    assert (refused.status_code, refused.mimetype) == (PROBLEMS[kind][0], "application/problem+json")


def test_the_timeout_applies_to_each_batch(
    database_url: str, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The query for the second batch never finishes; what came before it remains valid."""
    monkeypatch.setattr(batches, "EXPORT_BATCH", 1)
    for name in ("a", "b", "c"):
        recording.watch(name)
    engine = open_engine(check_url(database_url), read_only=True, timeout_seconds=0.2)
    _, parts = stream(create_app(engine, now=lambda: after(1)).test_client(), f"{GROUPS}?format=ndjson")
    first = json.loads(next(parts))

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def slow_down(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> tuple[str, Any]:
        return (SLOW, ()) if "FROM watches" in statement else (statement, parameters)

    (last,) = parts
    assert first["taskgroup_id"] == "a"
    assert json.loads(last)["type"] == "/docs/problems#query-timeout"
    engine.dispose()


@given(size=st.integers(1, batches.EXPORT_BATCH), length=st.integers(0, 2**31))
def test_the_size_of_the_next_batch(size: int, length: int) -> None:
    next_size = batches.next_size(size, length)
    assert 1 <= next_size <= min(10 * size, batches.EXPORT_BATCH)
    if next_size > 1:
        assert next_size * length <= batches.PART_BYTES * size
    if next_size < min(10 * size, batches.EXPORT_BATCH):
        assert (next_size + 1) * length > batches.PART_BYTES * size


@pytest.mark.ledger(fill=populate)
@pytest.mark.parametrize("path", VIEWS)
def test_the_first_batch_is_small(
    flask_client: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for export_format, header in (("csv", 1), ("ndjson", 0)):
        address = f"{path}?format={export_format}"
        whole = flask_client.get(address).get_data()
        monkeypatch.setattr(batches, "FIRST_BATCH", 1)
        _, parts = stream(flask_client, address)
        first, *others = parts
        monkeypatch.undo()
        assert len(first.splitlines()) == header + 1
        assert others and first + b"".join(others) == whole


def _record_changes(engine: Engine, taskgroup_id: str, count: int, metadata: Any = None) -> None:
    """Record `count` changes, a second apart, in one transaction."""
    with writing(engine) as connection:
        claims = claim_due(
            connection, owner="test", now=after(count), lease_until=after(count + 30), limit=1000
        )
        (claim,) = (claim for claim in claims if claim.watch.taskgroup_id == taskgroup_id)
        watch, entries = claim.watch, list[Entry]()
        for number in range(count):
            body = {"taskgroup_id": taskgroup_id, "metadata": metadata, "status": active(running=number + 1)}
            observation = Observation(
                after(number - 0.25), after(number), parse_body(json.dumps(body).encode())
            )
            step = observe(watch, observation, RULES)
            watch = step.watch
            entries += step.entries
        result = PollResult(claim, entries, watch, after(count + 10), INTERVAL.total_seconds())
        assert write_results(connection, [result]).results == [result]


def _peak_memory(flask_client: FlaskClient, address: str) -> tuple[int, int]:
    """Return the peak memory of reading an export, in bytes, and its number of lines."""
    tracemalloc.start()
    try:
        _, parts = stream(flask_client, address)
        lines = sum(part.count(b"\n") for part in parts)
        return tracemalloc.get_traced_memory()[1], lines
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_an_export(
    flask_client: FlaskClient, engine: Engine, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "EXPORT_BATCH", 100)
    for name, count in (("short", 300), ("long", 3000)):
        recording.watch(name)
        _record_changes(engine, name, count)
    for export_format, expected in (("csv", 3001), ("ndjson", 3000)):
        resource = f"history?kind=status&format={export_format}"
        flask_client.get(f"{GROUPS}/short/{resource}").close()
        short, _ = _peak_memory(flask_client, f"{GROUPS}/short/{resource}")
        long, lines = _peak_memory(flask_client, f"{GROUPS}/long/{resource}")
        assert lines == expected
        assert long < 2 * short
    header, *rows = csv_rows(flask_client, f"{GROUPS}/long/history")
    columns = "CAST(h.seq AS text), h.digest, CAST(h.running AS text)"
    query = f"SELECT {columns} FROM status_history h WHERE h.taskgroup_id = 'long' ORDER BY h.seq"
    with reading(engine) as connection:
        view_rows = [list(row) for row in connection.execute(text(query))]
    columns_at = [header.index(name) for name in ("seq", "digest", "running")]
    assert [[row[column] for column in columns_at] for row in rows] == view_rows
    assert len(rows) == 3000


def test_large_items_are_read_in_small_batches(
    flask_client: FlaskClient, engine: Engine, recording: Recording
) -> None:
    recording.watch("large")
    length = batches.PART_BYTES // 5
    _record_changes(engine, "large", 60, {"text": "x" * length})
    for export_format, expected in (("csv", 61), ("ndjson", 60)):
        peak, lines = _peak_memory(flask_client, f"{GROUPS}/large/history?kind=status&format={export_format}")
        assert lines == expected
        # The first batch has ten items, whose size is not known in advance, in several copies.
        assert peak < 45 * length
