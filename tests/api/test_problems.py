"""Errors: every one is a problem, and none gives away what is inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from api import create_app
from recorder.store.engine import check_url, open_engine
from recorder.store.transactions import writing
from tests.api.client import Client
from tests.api.recording import Recording, after
from tests.postgres import free_port

GROUPS = "/api/v1/groups"


def _errors(problem: dict[str, Any]) -> dict[str, str]:
    return {error["location"]: error["message"] for error in problem["errors"]}


@pytest.mark.parametrize("resource", ["", "/status", "/history", "/completion"])
def test_an_unknown_group(client: Client, resource: str) -> None:
    path = f"{GROUPS}/tgrp%201{resource}"
    assert client.get(path, 404) == {
        "type": "/docs/problems#unknown-group",
        "title": "Unknown group",
        "status": 404,
        "detail": "no group 'tgrp 1' was ever watched",
        "instance": path,
    }


@pytest.mark.parametrize("name", ["%00", "a%0Ab", "%7F", "x" * 256, "%FF", "%E2%80%AE"])
def test_what_can_name_no_group_is_unknown(client: Client, name: str) -> None:
    assert client.get(f"{GROUPS}/{name}", 404)["type"] == "/docs/problems#unknown-group"


@pytest.mark.parametrize(
    "path",
    ["/nope", "/api/v1/groups/", "//healthz", "/api/v1/groups/a%2Fb", "/api/v1/groups/a/gaps", "/static/x"],
)
def test_an_unknown_path(client: Client, path: str) -> None:
    assert client.get(path, 404)["type"] == "/docs/problems#not-found"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", [GROUPS, "/healthz", "/openapi.json", "/docs"])
def test_methods_that_are_not_allowed(client: Client, method: str, path: str) -> None:
    response = client.request(method, path)
    assert response.status_code == 405
    assert response.mimetype == "application/problem+json"
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", [GROUPS, "/healthz", "/readyz", "/openapi.json", "/docs", f"{GROUPS}/nope"])
def test_head_is_get_without_a_body(client: Client, path: str) -> None:
    head, got = client.request("HEAD", path), client.request("GET", path)
    assert (head.status_code, head.get_data()) == (got.status_code, b"")
    assert list(head.headers) == list(got.headers)


def test_every_bad_parameter_is_named(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    problem = client.get(
        f"{GROUPS}/tgrp_1/history?from=2026-11-24T12:00:00+01:00&to=yesterday&kind=gap,gaps&order=up"
        "&limit=0&cursor=x&Limit=3&at=1&at=2",
        422,
    )
    assert problem["type"] == "/docs/problems#bad-parameter"
    errors = _errors(problem)
    assert errors.keys() == {"from", "to", "kind", "order", "limit", "cursor", "Limit", "at"}
    assert "%2B" in errors["from"]
    assert "RFC 3339" in errors["to"]
    assert "'gaps' is not one of watch, status, gap" in errors["kind"]
    assert "did you mean limit?" in errors["Limit"]
    assert errors["at"] == "is given 2 times; give it once"
    assert all(f"{name} {message}" in problem["detail"] for name, message in errors.items())


@pytest.mark.parametrize(
    "limit", ["", "0", "1001", "-1", "1.0", "1e2", "ten", "%201", "1_0", "%D9%A1", "9" * 5000, "+1", "true"]
)
def test_bad_limits(client: Client, limit: str) -> None:
    assert "from 1 to 1000" in _errors(client.get(f"{GROUPS}?limit={limit}", 422))["limit"]


@pytest.mark.parametrize(
    "time",
    [
        "",
        "now",
        "1700000000",
        "2026-11-24",
        "2026-11-24T12:00:00",
        "2026-W48-2T12:00:00Z",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00%2B23:59",
        "2026-11-24T12:00:00%2B24:00",
        "2026-11-24T12:00:00Z%00",
    ],
)
def test_bad_times(client: Client, time: str) -> None:
    for name in ("from", "to"):
        problem = client.get(f"{GROUPS}/tgrp_1/history?{name}={time}", 422)
        assert _errors(problem) == {
            name: "is not an RFC 3339 time with an offset, such as 2026-11-24T12:16:00Z"
        }


@pytest.mark.parametrize(
    ("question", "location"),
    [
        ("from=2026-11-24T12:00:01Z&to=2026-11-24T12:00:00Z", "to"),
        ("order=asc&order=asc", "order"),
        ("order=ASC", "order"),
        ("kind=", "kind"),
        ("kind=gap,", "kind"),
        ("from_=2026-11-24T12:00:01Z", "from_"),
        ("{x}=1", "{x}"),
    ],
)
def test_bad_questions_about_a_history(client: Client, question: str, location: str) -> None:
    assert list(_errors(client.get(f"{GROUPS}/tgrp_1/history?{question}", 422))) == [location]


@pytest.mark.parametrize(
    "address",
    [
        f"{GROUPS}?x=1",
        f"{GROUPS}?phase=done",
        f"{GROUPS}?state=active",
        f"{GROUPS}/a?x=1",
        f"{GROUPS}/a/status?at=1",
        f"{GROUPS}/a/completion?x",
        "/healthz?x=1",
        "/readyz?x=1",
        "/openapi.json?x=1",
    ],
)
def test_bad_questions_about_the_rest(client: Client, address: str) -> None:
    assert client.get(address, 422)["errors"]


def test_a_defect_is_named_in_the_log_only(app: Flask) -> None:
    def broken() -> Any:
        raise RuntimeError("the secret")

    client = Client(create_app(_engine_of(app), now=broken))
    with capture_logs() as log:
        problem = client.get(GROUPS, 500)
    assert "secret" not in json.dumps(problem)
    (line,) = log
    assert line["instance"] == problem["instance"]
    assert str(line["exc_info"]) == "the secret"


def _engine_of(app: Flask) -> Engine:
    engine: Engine = app.extensions["recorder"].engine
    return engine


@pytest.fixture(params=["sqlite", "postgresql"])
def absent(request: pytest.FixtureRequest) -> Iterator[Client]:
    """The API over a database that is not there."""
    url = "sqlite:////nowhere/hidden.db"
    if request.param == "postgresql":
        url = f"postgresql://user:hidden@127.0.0.1:{free_port()}/recorder"
    engine = open_engine(check_url(url), read_only=True)
    yield Client(create_app(engine, now=lambda: after(0)))
    engine.dispose()


@pytest.mark.parametrize("path", [GROUPS, f"{GROUPS}/a", f"{GROUPS}/a/history", "/readyz"])
def test_a_database_that_is_away(absent: Client, path: str) -> None:
    with capture_logs():
        response = absent.answer(path, 503)
    assert int(response.headers["Retry-After"]) > 0
    body = response.get_data(as_text=True)
    assert "/docs/problems#database-unavailable" in body
    assert not any(word in body for word in ("hidden", "sqlite", "psycopg", "127.0.0.1"))


def test_the_database_itself_refuses_writes(app: Flask, recording: Recording, engine: Engine) -> None:
    recording.watch("tgrp_1")
    with pytest.raises(Exception, match=r"(?i)read.?only"), writing(_engine_of(app)) as connection:
        connection.execute(text("UPDATE watches SET state = 'stopped'"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT state FROM watches")) == "watching"
