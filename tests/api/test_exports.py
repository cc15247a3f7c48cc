"""The content of exports: CSV has the rows of the SQL views, NDJSON the same items as JSON pages."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from api.exports import batches
from recorder.store.transactions import reading
from tests.api.export_data import CSV_CELLS, GROUP, GROUPS, HOSTILE, VIEWS, csv_rows, ndjson_items, populate
from tests.support.api_client import Client, Clock
from tests.support.recording import Recording, active, settled

BOOLEANS = {"is_active", "censored", "first_sight"}


def _view_rows(engine: Engine, view: str, clauses: str) -> list[list[Any]]:
    """Return the rows of a view as CSV represents them, with JSON columns parsed."""
    with reading(engine) as connection:
        result = connection.execute(text(f"SELECT * FROM {view} {clauses}"))
        rows = [dict(row) for row in result.mappings()]
        header = list(result.keys())
    return [header, *([_cell(name, value) for name, value in row.items()] for row in rows)]


def _cell(name: str, value: Any) -> Any:
    if name in {"metadata", "anomalies"}:
        return json.loads(value) if isinstance(value, str) else value
    if value is None:
        return ""
    if name in BOOLEANS:
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return "'" + value
    return str(value)


@pytest.mark.ledger(fill=populate)
@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("path", VIEWS)
def test_csv_matches_its_view(flask_client: FlaskClient, engine: Engine, clock: Clock, path: str) -> None:
    clock.seconds = 400
    header, *rows = csv_rows(flask_client, path)
    for row in rows:
        for number, name in enumerate(header):
            if name in {"metadata", "anomalies"}:
                row[number] = json.loads(row[number]) if row[number] else None
    view_rows = _view_rows(engine, *VIEWS[path])
    assert header == view_rows[0] and len(rows) > 1
    if path == GROUPS:
        rows.sort(key=lambda row: row[0].removeprefix("'").encode())
    assert rows == view_rows[1:]


def _items(client: Client, address: str) -> list[dict[str, Any]]:
    """Return the items of all pages of JSON."""
    if address.startswith(f"{GROUP}/completion"):
        episodes: list[dict[str, Any]] = client.get(address)["episodes"]
        return episodes
    pages = client.pages(address + ("&" if "?" in address else "?") + "limit=3")
    return [item for page in pages for item in page["items"]]


@pytest.mark.ledger(fill=populate)
@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
def test_ndjson_has_the_items_of_all_pages(
    client: Client, flask_client: FlaskClient, clock: Clock, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(batches, "EXPORT_BATCH", batch)
    clock.seconds = 400
    period = "from=2026-11-24T12:00:10Z&to=2026-11-24T12:02:00Z"
    for address in (
        *VIEWS,
        f"{GROUPS}?phase=active&state=watching,paused",
        f"{GROUPS}?late=true",
        f"{GROUP}/history?{period}",
        f"{GROUP}/history?order=desc",
        f"{GROUP}/history?kind=gap,watch",
        f"{GROUP}/gaps?order=desc",
        f"{GROUP}/gaps?{period}",
    ):
        items = _items(client, address)
        assert items
        assert ndjson_items(flask_client, address) == items, address


@pytest.mark.ledger(fill=populate)
@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    "query", ["from=2026-11-24T12:00:10Z&to=2026-11-24T12:02:00Z", "order=desc", "anomaly=unknown_field"]
)
def test_csv_of_a_history_has_status_entries_only(
    client: Client, flask_client: FlaskClient, clock: Clock, query: str
) -> None:
    clock.seconds = 400
    expected = [str(item["seq"]) for item in _items(client, f"{GROUP}/history?kind=status&{query}")]
    for address in (f"{GROUP}/history?{query}", f"{GROUP}/history?{query}&kind=status"):
        assert [row[1] for row in csv_rows(flask_client, address)[1:]] == expected


@pytest.mark.ledger(fill=populate)
@pytest.mark.usefixtures("small_batches")
def test_csv_of_groups_applies_filters(client: Client, flask_client: FlaskClient) -> None:
    for query in (
        "state=watching",
        "phase=active",
        "state=paused&metadata.k=v",
        "created_from=2026-11-24T00:00:00Z",
    ):
        expected = [item["taskgroup_id"] for item in _items(client, f"{GROUPS}?{query}")]
        rows = csv_rows(flask_client, f"{GROUPS}?{query}")[1:]
        assert [row[0].removeprefix("'") for row in rows] == expected


@pytest.mark.ledger(fill=populate)
def test_formulas_are_made_inert(flask_client: FlaskClient) -> None:
    header, *rows = csv_rows(flask_client, f"{GROUP}/history")
    assert [row[header.index("status_message")] for row in rows[: len(CSV_CELLS)]] == CSV_CELLS
    assert csv_rows(flask_client, GROUPS)[3][0] == "'=cmd()"
    numbers = csv_rows(flask_client, f"{GROUPS}?state=paused")[1]
    assert numbers[csv_rows(flask_client, GROUPS)[0].index("metadata")] == "-5"
    messages = [
        item["status"]["status_message"]
        for item in ndjson_items(flask_client, f"{GROUP}/history?kind=status")
    ]
    assert messages[: len(HOSTILE)] == HOSTILE


def test_csv_is_identical_on_both_databases(flask_client: FlaskClient, recording: Recording) -> None:
    recording.watch("=a")
    status = {**active(running=1), "status_message": 'say "hi",\nü'}
    recording.see("=a", 1, status, metadata={"b": 1.50, "a": None})
    for seconds in (12, 22, 32, 42, 52):
        recording.fail("=a", seconds)
    recording.see("=a", 61.5, settled(completed=1))
    digests = [item["digest"] for item in ndjson_items(flask_client, f"{GROUPS}/=a/history?kind=status")]
    assert flask_client.get(f"{GROUPS}/=a/history?format=csv").get_data().decode() == (
        "taskgroup_id,seq,observed_at,last_seen_at,polls,phase,num_task_runs,queued,action_required,running,"
        "completed,failed,cancelling,cancelled,is_active,status_message,modified_at,metadata,created_at,"
        "anomalies,digest\r\n"
        "'=a,2,2026-11-24T12:00:01.000000Z,2026-11-24T12:00:01.000000Z,1,active,1,,,1,,,,,true,"
        '"say ""hi"",\nü",2026-11-24T11:59:59.000000Z,"{""a"":null,""b"":1.5}",,"[""bad_type""]",'
        f"{digests[0]}\r\n"
        "'=a,4,2026-11-24T12:01:01.500000Z,2026-11-24T12:01:01.500000Z,1,settled,1,,,,1,,,,false,,"
        f"2026-11-24T11:59:59.000000Z,,,[],{digests[1]}\r\n"
    )
    assert flask_client.get(f"{GROUPS}/=a/gaps?format=csv").get_data().decode() == (
        "taskgroup_id,seq,gap_from,gap_to,duration_seconds,cause,attempts,unpolled_seconds,http_status,detail\r\n"
        "'=a,3,2026-11-24T12:00:01.000000Z,2026-11-24T12:01:01.500000Z,60.5,server_error,5,0.75,503,busy\r\n"
    )
    assert flask_client.get(f"{GROUPS}/=a/completion?format=csv").get_data().decode().splitlines()[1:] == [
        "'=a,1,2026-11-24T11:59:59.000000Z,,2026-11-24T11:59:59.000000Z,2026-11-24T12:00:31.125000Z,"
        "2026-11-24T12:00:00.750000Z,2026-11-24T12:01:01.500000Z,32.125,1.75,,false,true,completed,1,1,,,30.125,2"
    ]


def test_an_empty_selection(flask_client: FlaskClient, recording: Recording, clock: Clock) -> None:
    clock.seconds = 5
    recording.watch("tgrp_1")
    for path in (f"{GROUPS}?phase=settled", *(path for path in VIEWS if path != GROUPS)):
        filtered = f"{path}?kind=status" if path.endswith("history") else path
        assert len(csv_rows(flask_client, path)) == 1
        assert ndjson_items(flask_client, filtered) == []


@pytest.mark.ledger(fill=populate)
def test_exports_have_paths_of_their_own(flask_client: FlaskClient) -> None:
    for path in VIEWS:
        for form, accept in (("csv", "text/csv"), ("ndjson", "application/x-ndjson")):
            own, usual = flask_client.get(f"{path}.{form}"), flask_client.get(f"{path}?format={form}")
            assert own.status_code == 200 and own.get_data() == usual.get_data()
            assert own.mimetype == accept
            assert flask_client.get(f"{path}.{form}", headers={"Accept": accept}).status_code == 200
            refused = flask_client.get(f"{path}.{form}", headers={"Accept": "application/json"})
            assert refused.status_code == 406
            for parameter in ("format=json", f"format={form}", "limit=5", "colour=red"):
                assert flask_client.get(f"{path}.{form}?{parameter}").status_code == 422, parameter
