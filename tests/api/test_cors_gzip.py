"""OPTIONS, CORS, compression and slow queries."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from api.app import create_app
from api.context import context
from recorder.store.engine import check_url, open_engine
from recorder.tokens import Token
from tests.support.api_client import Client, headers_of
from tests.support.recording import Recording, active

GROUPS = "/api/v1/groups"
ORIGIN = "https://reports.example.org"
SLOW = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def cors_client(app: Flask) -> FlaskClient:
    """A client of an API that requires a token and lets pages from one origin read it."""
    with app.app_context():
        engine = context().engine
    token = Token("a", "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b")
    return create_app(engine, tokens=[token], cors_origins=[ORIGIN]).test_client()


@pytest.mark.parametrize("path", [f"{GROUPS}/nobody/history", "/healthz", "/v1/tasks/groups/x", "/docs"])
def test_options_lists_the_allowed_methods(app: Flask, path: str) -> None:
    response = app.test_client().options(path)
    assert (response.status_code, response.get_data()) == (204, b"")
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert "Content-Type" not in response.headers
    assert app.test_client().options("/nowhere").status_code == 404
    assert app.test_client().post(path).status_code == 405


def test_options_of_a_route_that_enrols(app: Flask) -> None:
    response = app.test_client().options(GROUPS)
    assert (response.status_code, response.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    refused = app.test_client().put(GROUPS)
    assert refused.status_code == 405
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_no_origin_is_allowed_by_default(app: Flask) -> None:
    response = app.test_client().get(GROUPS, headers={"Origin": ORIGIN})
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


def test_a_configured_origin_is_allowed(cors_client: FlaskClient) -> None:
    preflight_headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    preflight = cors_client.options(GROUPS, headers=preflight_headers)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    response = cors_client.get(GROUPS, headers={"Origin": ORIGIN, "x-api-key": "secret"})
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert "Origin" in response.headers["Vary"]
    refused = cors_client.get(GROUPS, headers={"Origin": ORIGIN})
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, ORIGIN)
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_only_a_cors_preflight_needs_no_token(
    cors_client: FlaskClient,
) -> None:
    preflight_headers = {"Access-Control-Request-Method": "GET"}
    assert cors_client.options(GROUPS).status_code == 401
    assert (
        cors_client.options(
            GROUPS, headers=preflight_headers | {"Origin": "https://evil.example"}
        ).status_code
        == 401
    )
    assert cors_client.options(GROUPS, headers={"x-api-key": "secret"}).status_code == 204


def test_other_origins_are_not_allowed(cors_client: FlaskClient) -> None:
    response = cors_client.get(GROUPS, headers={"Origin": f"{ORIGIN}.evil", "x-api-key": "secret"})
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Origin" in response.headers["Vary"]


def test_long_responses_are_compressed_on_request(app: Flask, recording: Recording) -> None:
    client = app.test_client()
    recording.watch("tgrp_1")
    assert "Content-Encoding" not in client.get("/healthz", headers={"Accept-Encoding": "gzip"}).headers
    for seq in range(20):
        recording.see("tgrp_1", 1 + seq, active(running=seq + 1))
    path = f"{GROUPS}/tgrp_1/history"
    plain, compressed = client.get(path), client.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.get_data()) == plain.get_data()
    assert len(compressed.get_data()) < len(plain.get_data()) / 2
    assert int(compressed.headers["Content-Length"]) == len(compressed.get_data())
    assert "Accept-Encoding" in plain.headers["Vary"] and "Accept-Encoding" in compressed.headers["Vary"]
    assert plain.headers["ETag"] == compressed.headers["ETag"]
    uncompressed = client.get(path, headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in uncompressed.headers
    head = client.head(path, headers={"Accept-Encoding": "gzip"})
    assert headers_of(head) == headers_of(compressed)


@pytest.fixture
def slow_client(database_url: str) -> Iterator[Client]:
    """A client of an API whose queries for groups would never finish."""
    engine = open_engine(check_url(database_url), read_only=True, timeout_seconds=0.2)

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def slow_down(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> tuple[str, Any]:
        return (SLOW, ()) if "FROM watches" in statement else (statement, parameters)

    yield Client(create_app(engine))
    engine.dispose()


def test_a_slow_query_times_out(slow_client: Client) -> None:
    for path in (GROUPS, f"{GROUPS}/tgrp_1", "/api/v1/audit/checkpoint"):
        response = slow_client.get_response(path, 503)
        assert response.get_json()["type"] == "/docs/problems#query-timeout"
        assert response.headers["Retry-After"]
    assert slow_client.get("/readyz")["status"] == "ready"
