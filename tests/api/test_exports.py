"""What exports hold: the rows of the views (CSV), and JSON's items, a line each (NDJSON)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from api.exports import batches as exports
from recorder.store.transactions import reading
from tests.api.exporting import GROUP, GROUPS, HOSTILE, SHOWN, VIEWS, items_of, table_of
from tests.support.api_client import Client, Clock
from tests.support.recording import Recording, active, settled

BOOLEANS = {"is_active", "censored", "first_sight"}


def _in_the_view(engine: Engine, view: str, which: str) -> list[list[Any]]:
    """The rows of a view as the page of exports says that a CSV has them; JSON as values."""
    with reading(engine) as connection:
        result = connection.execute(text(f"SELECT * FROM {view} {which}"))
        rows = [dict(row) for row in result.mappings()]
        header = list(result.keys())
    return [header, *([_shown(name, value) for name, value in row.items()] for row in rows)]


def _shown(name: str, value: Any) -> Any:
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


@pytest.mark.usefixtures("filled", "small_batches")
@pytest.mark.parametrize("path", VIEWS)
def test_a_csv_has_what_its_view_has(asking: FlaskClient, engine: Engine, clock: Clock, path: str) -> None:
    clock.seconds = 400
    header, *rows = table_of(asking, path)
    for row in rows:
        for number, name in enumerate(header):
            if name in {"metadata", "anomalies"}:
                row[number] = json.loads(row[number]) if row[number] else None
    in_view = _in_the_view(engine, *VIEWS[path])
    assert header == in_view[0] and len(rows) > 1
    if path == GROUPS:
        rows.sort(key=lambda row: row[0].removeprefix("'").encode())
    assert rows == in_view[1:]


def _items(client: Client, address: str) -> list[dict[str, Any]]:
    """The items of JSON from all pages."""
    if address.startswith(f"{GROUP}/completion"):
        episodes: list[dict[str, Any]] = client.get(address)["episodes"]
        return episodes
    pages = client.pages(address + ("&" if "?" in address else "?") + "limit=3")
    return [item for page in pages for item in page["items"]]


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
def test_an_ndjson_has_the_items_of_all_pages(
    client: Client, asking: FlaskClient, clock: Clock, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(exports, "EXPORT_BATCH", batch)
    clock.seconds = 400
    since = "from=2026-11-24T12:00:10Z&to=2026-11-24T12:02:00Z"
    for address in (
        *VIEWS,
        f"{GROUPS}?phase=active&state=watching,paused",
        f"{GROUPS}?late=true",
        f"{GROUP}/history?{since}",
        f"{GROUP}/history?order=desc",
        f"{GROUP}/history?kind=gap,watch",
        f"{GROUP}/gaps?order=desc",
        f"{GROUP}/gaps?{since}",
    ):
        items = _items(client, address)
        assert items
        assert items_of(asking, address) == items, address


@pytest.mark.usefixtures("filled", "small_batches")
@pytest.mark.parametrize(
    "question", ["from=2026-11-24T12:00:10Z&to=2026-11-24T12:02:00Z", "order=desc", "anomaly=unknown_field"]
)
def test_a_csv_of_a_history_has_its_status_entries(
    client: Client, asking: FlaskClient, clock: Clock, question: str
) -> None:
    clock.seconds = 400
    expected = [str(item["seq"]) for item in _items(client, f"{GROUP}/history?kind=status&{question}")]
    for address in (f"{GROUP}/history?{question}", f"{GROUP}/history?{question}&kind=status"):
        assert [row[1] for row in table_of(asking, address)[1:]] == expected


@pytest.mark.usefixtures("filled", "small_batches")
def test_a_csv_of_groups_is_of_those_asked_for(client: Client, asking: FlaskClient) -> None:
    for question in (
        "state=watching",
        "phase=active",
        "state=paused&metadata.k=v",
        "created_from=2026-11-24T00:00:00Z",
    ):
        expected = [item["taskgroup_id"] for item in _items(client, f"{GROUPS}?{question}")]
        rows = table_of(asking, f"{GROUPS}?{question}")[1:]
        assert [row[0].removeprefix("'") for row in rows] == expected


@pytest.mark.usefixtures("filled")
def test_texts_that_a_spreadsheet_would_run_are_made_inert(asking: FlaskClient) -> None:
    header, *rows = table_of(asking, f"{GROUP}/history")
    assert [row[header.index("status_message")] for row in rows[: len(SHOWN)]] == SHOWN
    assert table_of(asking, GROUPS)[3][0] == "'=cmd()"
    numbers = table_of(asking, f"{GROUPS}?state=paused")[1]
    assert numbers[table_of(asking, GROUPS)[0].index("metadata")] == "-5"
    messages = [item["status"]["status_message"] for item in items_of(asking, f"{GROUP}/history?kind=status")]
    assert messages[: len(HOSTILE)] == HOSTILE


def test_the_bytes_are_the_same_on_every_database(asking: FlaskClient, recording: Recording) -> None:
    recording.watch("=a")
    said = {**active(running=1), "status_message": 'say "hi",\nü'}
    recording.see("=a", 1, said, metadata={"b": 1.50, "a": None})
    for seconds in (12, 22, 32, 42, 52):
        recording.fail("=a", seconds)
    recording.see("=a", 61.5, settled(completed=1))
    digests = [item["digest"] for item in items_of(asking, f"{GROUPS}/=a/history?kind=status")]
    assert asking.get(f"{GROUPS}/=a/history?format=csv").get_data().decode() == (
        "taskgroup_id,seq,observed_at,last_seen_at,polls,phase,num_task_runs,queued,action_required,running,"
        "completed,failed,cancelling,cancelled,is_active,status_message,modified_at,metadata,created_at,"
        "anomalies,digest\r\n"
        "'=a,2,2026-11-24T12:00:01.000000Z,2026-11-24T12:00:01.000000Z,1,active,1,,,1,,,,,true,"
        '"say ""hi"",\nü",2026-11-24T11:59:59.000000Z,"{""a"":null,""b"":1.5}",,"[""bad_type""]",'
        f"{digests[0]}\r\n"
        "'=a,4,2026-11-24T12:01:01.500000Z,2026-11-24T12:01:01.500000Z,1,settled,1,,,,1,,,,false,,"
        f"2026-11-24T11:59:59.000000Z,,,[],{digests[1]}\r\n"
    )
    assert asking.get(f"{GROUPS}/=a/gaps?format=csv").get_data().decode() == (
        "taskgroup_id,seq,gap_from,gap_to,duration_seconds,cause,attempts,unpolled_seconds,http_status,detail\r\n"
        "'=a,3,2026-11-24T12:00:01.000000Z,2026-11-24T12:01:01.500000Z,60.5,server_error,5,0.75,503,busy\r\n"
    )
    assert asking.get(f"{GROUPS}/=a/completion?format=csv").get_data().decode().splitlines()[1:] == [
        "'=a,1,2026-11-24T11:59:59.000000Z,,2026-11-24T11:59:59.000000Z,2026-11-24T12:00:31.125000Z,"
        "2026-11-24T12:00:00.750000Z,2026-11-24T12:01:01.500000Z,32.125,1.75,,false,true,completed,1,1,,,30.125,2"
    ]


def test_an_empty_selection(asking: FlaskClient, recording: Recording, clock: Clock) -> None:
    clock.seconds = 5
    recording.watch("tgrp_1")
    for path in (f"{GROUPS}?phase=settled", *(path for path in VIEWS if path != GROUPS)):
        empty = f"{path}?kind=status" if path.endswith("history") else path
        assert len(table_of(asking, path)) == 1
        assert items_of(asking, empty) == []
