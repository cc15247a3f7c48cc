"""Audit and checkpoint responses, against a digest chain recomputed by the tests."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from recorder.ledger.anomalies import Anomaly
from tests.support.api_client import Client
from tests.support.recording import Recording, active, settled
from tests.support.tampering import unprotect

GROUPS = "/api/v1/groups"
CHECKPOINT = "/api/v1/audit/checkpoint"


def _history(client: Client, group: str, extra: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get(f"{GROUPS}/{group}/history?limit=1000{extra}")["items"]
    return items


def _record_anomalies(recording: Recording) -> None:
    """Record a group with three anomalous responses among good ones, and a gap."""
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1, completed=1))
    recording.see("tgrp_1", 10, {**active(running=1), "num_task_runs": 5})
    recording.see("tgrp_1", 20, {**settled(completed=2), "surprise": 1})
    for at in (30, 50, 70):
        recording.fail("tgrp_1", at)
    recording.see("tgrp_1", 90, {**settled(completed=1), "surprise": 1})


def test_audit_of_a_group(client: Client, recording: Recording) -> None:
    _record_anomalies(recording)
    items = _history(client, "tgrp_1")
    assert client.get(f"{GROUPS}/tgrp_1/audit") == {
        "head_seq": len(items),
        "head_digest": items[-1]["digest"],
        "entries": len(items),
        "first_at": items[0]["at"],
        "last_at": items[-1]["at"],
        "anomalies": {"unknown_field": 2, "count_mismatch": 1, "counts_decreased": 2},
    }


def test_audit_of_a_group_never_seen(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    body = client.get(f"{GROUPS}/tgrp_1/audit")
    assert (body["entries"], body["head_seq"], body["anomalies"]) == (1, 1, {})
    assert body["first_at"] == body["last_at"]
    client.get(f"{GROUPS}/tgrp_2/audit", 404)


ANOMALIES = [[anomaly] for anomaly in Anomaly] + [["unknown_field", "count_mismatch"]]


def test_history_filtered_by_anomaly(client: Client, recording: Recording) -> None:
    _record_anomalies(recording)
    for names in ANOMALIES:
        expected = [item for item in _history(client, "tgrp_1") if set(item["anomalies"] or ()) & set(names)]
        assert _history(client, "tgrp_1", f"&anomaly={','.join(names)}") == expected


def test_an_open_gap_has_no_anomalies(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    assert [item["seq"] for item in _history(client, "tgrp_1")] == [1, None]
    assert _history(client, "tgrp_1", "&anomaly=unknown_field") == []


def test_an_unknown_anomaly_is_refused(client: Client) -> None:
    (error,) = client.get(f"{GROUPS}/tgrp_1/history?anomaly=odd", 422)["errors"]
    assert error["location"] == "anomaly" and "'odd' is not one of unknown_status," in error["message"]


def test_a_checkpoint_lists_all_heads_and_their_digest(client: Client, recording: Recording) -> None:
    empty = {"items": [], "entries": 0, "digest": hashlib.sha256().hexdigest()}
    assert client.get(CHECKPOINT) == empty
    for group in ("tgrp_b", "tgrp_a", "Gruppe ä"):
        recording.watch(group)
    recording.see("tgrp_a", 1, active(running=1))
    recording.see("tgrp_a", 9, active(running=1))
    body = client.get(CHECKPOINT)
    assert [item["taskgroup_id"] for item in body["items"]] == ["Gruppe ä", "tgrp_a", "tgrp_b"]
    assert body["entries"] == 4
    assert body["items"][1] == {
        "taskgroup_id": "tgrp_a",
        "seq": 2,
        "digest": _history(client, "tgrp_a")[1]["digest"],
        "last_seen_at": "2026-11-24T12:00:09.000000Z",
        "polls": 2,
    }
    assert (body["items"][2]["last_seen_at"], body["items"][2]["polls"]) == (None, None)
    lines = [json.dumps(item, ensure_ascii=False, separators=(",", ":")) + "\n" for item in body["items"]]
    assert body["digest"] == hashlib.sha256("".join(lines).encode()).hexdigest()


WRONG_DIGEST = f"UPDATE watches SET head_digest = '{'0' * 64}' WHERE taskgroup_id = 'tgrp_b'"
WRONG_SEQ = "UPDATE watches SET head_seq = 1 WHERE taskgroup_id = 'tgrp_b'"
INVALID_TIME = "UPDATE watches SET last_seen_at = 'garbage' WHERE taskgroup_id = 'tgrp_b'"


@pytest.mark.parametrize("statement", [WRONG_DIGEST, WRONG_SEQ])
def test_no_checkpoint_if_a_watch_row_does_not_match_its_newest_entry(
    client: Client, recording: Recording, engine: Engine, statement: str
) -> None:
    for group in ("tgrp_a", "tgrp_b"):
        recording.watch(group)
        recording.see(group, 1, active(running=1))
    with engine.begin() as connection:
        connection.execute(text(statement))
    problem = _broken_ledger(client, CHECKPOINT)
    assert problem["detail"].startswith("tgrp_b: its watch row does not name its newest entry; ")
    assert client.get(f"{GROUPS}/tgrp_b/audit")["entries"] == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_unreadable_watch_row_is_reported_as_a_broken_ledger(
    client: Client, recording: Recording, engine: Engine
) -> None:
    recording.watch("tgrp_b")
    with engine.begin() as connection:
        connection.execute(text(INVALID_TIME))
    problem = _broken_ledger(client, CHECKPOINT)
    assert problem["detail"].startswith("a watch row cannot be read; ")


def test_audit_of_a_ledger_without_its_first_entry(
    client: Client, recording: Recording, engine: Engine
) -> None:
    recording.watch("tgrp_a")
    unprotect(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM entries"))
    problem = _broken_ledger(client, f"{GROUPS}/tgrp_a/audit")
    assert problem["detail"].startswith("tgrp_a: its first entry is missing; ")


def _broken_ledger(client: Client, path: str) -> dict[str, Any]:
    """Return the broken-ledger problem of a response, which must be logged as well."""
    with capture_logs() as log:
        response = client.get_response(path, 503)
    assert int(response.headers["Retry-After"]) > 0
    (line,) = log
    assert line["log_level"] == "error"
    problem: dict[str, Any] = response.get_json()
    assert problem["type"] == "/docs/problems#broken-ledger"
    assert "recorder verify" in problem["detail"]
    return problem


def test_the_etag_changes_when_a_ledger_is_tampered_with(
    app: Flask, recording: Recording, engine: Engine
) -> None:
    _record_anomalies(recording)
    before = {path: app.test_client().get(path) for path in (f"{GROUPS}/tgrp_1/audit", CHECKPOINT)}
    unprotect(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM entries WHERE seq = 3"))
        connection.execute(text("UPDATE entries SET digest = '0' WHERE seq = 6"))
        connection.execute(text("UPDATE watches SET head_digest = '0'"))
    for path, response in before.items():
        assert response.status_code == 200
        again = app.test_client().get(path, headers={"If-None-Match": response.headers["ETag"]})
        assert again.status_code == 200, path
