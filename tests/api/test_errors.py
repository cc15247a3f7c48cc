"""Errors: every one is a problem document, and none reveals internals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from recorder.store.transactions import writing
from tests.support.api_client import Client, headers_of
from tests.support.postgres import free_port
from tests.support.recording import Recording, after

GROUPS = "/api/v1/groups"


@pytest.mark.parametrize("resource", ["", "/status", "/history", "/gaps", "/completion", "/runs"])
def test_an_unknown_group(client: Client, resource: str) -> None:
    path = f"{GROUPS}/tgrp%201{resource}"
    assert client.get(path, 404) == {
        "type": "/docs/problems#unknown-group",
        "title": "Unknown group",
        "status": 404,
        "detail": "no group 'tgrp 1' was ever watched",
        "instance": path,
    }


def test_an_invalid_id_is_an_unknown_group(client: Client) -> None:
    for name in ["%00", "a%0Ab", "%7F", "x" * 256, "%FF", "%E2%80%AE"]:
        assert client.get(f"{GROUPS}/{name}", 404)["type"] == "/docs/problems#unknown-group"


@pytest.mark.parametrize(
    "path",
    ["/nope", "/api/v1/groups/", "/api//v1", "/api/v1/groups/a%2Fb", "/api/v1/groups/a/nothing", "/static/x"],
)
def test_an_unknown_path(offline: Client, path: str) -> None:
    assert offline.get(path, 404)["type"] == "/docs/problems#not-found"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
@pytest.mark.parametrize("path", [f"{GROUPS}/a", "/healthz", "/openapi.json", "/docs"])
def test_other_methods_are_not_allowed(offline: Client, method: str, path: str) -> None:
    response = offline.request(method, path)
    assert response.status_code == 405
    assert response.mimetype == "application/problem+json"
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [(GROUPS, {"GET", "HEAD", "OPTIONS", "POST"}), (f"{GROUPS}/a/expectation", {"OPTIONS", "POST"})],
)
def test_routes_that_enrol_allow_posting(offline: Client, method: str, path: str, allowed: set[str]) -> None:
    response = offline.request(method, path)
    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", [GROUPS, "/healthz", "/readyz", "/openapi.json", "/docs", f"{GROUPS}/nope"])
def test_head_matches_get(client: Client, path: str) -> None:
    head, got = client.request("HEAD", path), client.request("GET", path)
    assert (head.status_code, head.get_data()) == (got.status_code, b"")
    assert list(headers_of(head).items()) == list(headers_of(got).items())


def test_an_internal_error_is_only_detailed_in_the_log(app: Flask) -> None:
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
def unavailable(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of an API whose database does not exist."""
    url = "sqlite:////nowhere/hidden.db"
    if request.param == "postgresql":
        url = f"postgresql://user:hidden@127.0.0.1:{free_port()}/recorder"
    engine = open_engine(check_url(url), read_only=True)
    yield Client(create_app(engine, now=lambda: after(0)))
    engine.dispose()


@pytest.mark.parametrize("path", [GROUPS, f"{GROUPS}/a", f"{GROUPS}/a/history", "/readyz"])
def test_an_unavailable_database(unavailable: Client, path: str) -> None:
    with capture_logs():
        response = unavailable.get_response(path, 503)
    assert int(response.headers["Retry-After"]) > 0
    body = response.get_data(as_text=True)
    assert "/docs/problems#database-unavailable" in body
    assert not any(word in body for word in ("hidden", "sqlite", "psycopg", "127.0.0.1"))


def test_the_database_refuses_writes(app: Flask, recording: Recording, engine: Engine) -> None:
    recording.watch("tgrp_1")
    with pytest.raises(Exception, match=r"(?i)read.?only"), writing(_engine_of(app)) as connection:
        connection.execute(text("UPDATE watches SET state = 'stopped'"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT state FROM watches")) == "watching"
