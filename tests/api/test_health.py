"""Liveness and readiness."""

from __future__ import annotations

from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.schema import state_of
from recorder.store.transactions import writing
from tests.support.api_client import Client
from tests.support.recording import after
from tests.support.told_sinks import told_sink

UNREPORTED = (
    *("clock_offset_seconds", "last_poll_at", "last_write_at", "write_failures", "failing_since"),
    *("response_seconds", "write_seconds", "limited_by", "held_until", "upstream"),
)


def test_healthy_and_ready(client: Client, engine: Engine) -> None:
    assert client.get("/healthz") == {"status": "ok"}
    head = state_of(engine).head
    assert client.get("/readyz") == {
        "status": "ready",
        "recording": False,
        "database": {"ok": True, "schema": {"current": head, "head": head}, "deriving": None},
        "recorders": [],
        "rate_budget": {
            "requests_per_second": 20.0,
            "needed_per_second": None,
            "capacity_per_second": None,
            "reached_per_second": None,
            "limited_by": None,
            "stretch": None,
            "recorders": 0,
        },
        "sinks": [],
    }


def test_sinks_that_failed_are_told(client: Client, engine: Engine) -> None:
    told_sink(engine, "ops")
    assert client.get("/readyz")["sinks"] == [
        {
            "name": "ops",
            "kind": "notify",
            "pending": 1,
            "failed": 1,
            "oldest_pending_at": "2026-11-24T12:00:10.000000Z",
            "disabled_at": "2026-11-24T12:00:30.000000Z",
            "last_success_at": "2026-11-24T12:00:10.000000Z",
            "last_error_at": "2026-11-24T12:00:30.000000Z",
            "last_error": "410 Gone",
        }
    ]


def test_recorders_are_listed_by_start_oldest_first(client: Client, engine: Engine) -> None:
    with writing(engine) as connection:
        for name, started, last in (("b", 1, 20), ("a", 2, 95)):
            beat(connection, Heartbeat(name, "host", 7, after(started), after(last), {"polls": 1}, {}))
    first, second = client.get("/readyz")["recorders"]
    assert first == {
        "recorder_id": "b",
        "host": "host",
        "pid": 7,
        "started_at": "2026-11-24T12:00:01.000000Z",
        "heartbeat_at": "2026-11-24T12:00:20.000000Z",
        "alive": False,
        "recording": False,
        **dict.fromkeys(UNREPORTED),
    }
    assert (second["recorder_id"], second["alive"], second["recording"]) == ("a", True, True)


def test_reports_about_the_upstream_and_the_rate(client: Client, engine: Engine) -> None:
    upstream = {
        "state": "failing",
        "trouble": {
            "since": "2026-11-24T12:00:05.000000Z",
            "failures": {"server_error": 3},
            "answers": 0,
            "last_failure": {
                "at": "2026-11-24T12:00:09.000000Z",
                "cause": "server_error",
                "http_status": 503,
                "detail": "503 Service Unavailable",
            },
        },
    }
    rate = {"requests_per_second": 5.0, "needed_per_second": 9.0, "stretch": 2.0}
    rate |= {"capacity_per_second": 4.5, "reached_per_second": 4.4, "limited_by": "concurrency"}  # type: ignore[dict-item]
    with writing(engine) as connection:
        report = {"upstream": upstream, "rate": rate}
        beat(connection, Heartbeat("a", "host", 7, after(1), after(90), {"polls": 1}, report))
    ready = client.get("/readyz")
    assert ready["status"] == "ready"
    assert ready["recorders"][0]["upstream"] == upstream
    assert ready["rate_budget"] == {**rate, "recorders": 1}


def test_an_empty_database_is_not_ready(blank_engine: Engine, blank_database_url: str) -> None:
    assert state_of(blank_engine).blank
    reader = open_engine(check_url(blank_database_url), read_only=True)
    client = Client(create_app(reader))
    problem = client.get("/readyz", 503)
    assert "recorder db upgrade" in problem["detail"]
    assert problem["database"]["ok"] is False
    assert problem["database"]["schema"]["current"] is None
    with capture_logs():
        assert "/readyz" in client.get("/api/v1/groups", 503)["detail"]
    reader.dispose()


def test_a_schema_with_several_heads_is_not_ready(client: Client, engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))
    problem = client.get("/readyz", 503)
    assert problem["database"]["schema"]["current"].startswith("0001, ")
    assert "several Alembic heads" in problem["detail"]


def test_a_newer_schema_is_not_ready(client: Client, engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    problem = client.get("/readyz", 503)
    assert problem["database"]["schema"]["current"] == "9999"
    assert "newer recorder" in problem["detail"]
    assert client.get("/healthz") == {"status": "ok"}
