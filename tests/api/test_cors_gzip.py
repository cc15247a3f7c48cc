"""OPTIONS, pages of other origins, compression, and queries that take too long."""

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
def shared(app: Flask) -> FlaskClient:
    """An API that pages of an origin may read, and that wants a token."""
    with app.app_context():
        engine = context().engine
    token = Token("a", "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b")
    return create_app(engine, tokens=[token], cors_origins=[ORIGIN]).test_client()


@pytest.mark.parametrize(
    "path", [GROUPS, f"{GROUPS}/nobody/history", "/healthz", "/v1/tasks/groups/x", "/docs"]
)
def test_options_says_what_may_be_done(app: Flask, path: str) -> None:
    answer = app.test_client().options(path)
    assert (answer.status_code, answer.get_data()) == (204, b"")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert "Content-Type" not in answer.headers
    assert app.test_client().options("/nowhere").status_code == 404
    assert app.test_client().post(path).status_code == 405


def test_without_origins_no_page_may_read(app: Flask) -> None:
    answer = app.test_client().get(GROUPS, headers={"Origin": ORIGIN})
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_pages_of_an_origin_may_read(shared: FlaskClient) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    preflight = shared.options(GROUPS, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    answer = shared.get(GROUPS, headers={"Origin": ORIGIN, "x-api-key": "secret"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert "Origin" in answer.headers["Vary"]
    refused = shared.get(GROUPS, headers={"Origin": ORIGIN})
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, ORIGIN)
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_token_is_wanted_for_options_that_no_browser_asks(shared: FlaskClient) -> None:
    asked = {"Access-Control-Request-Method": "GET"}
    assert shared.options(GROUPS).status_code == 401
    assert shared.options(GROUPS, headers=asked | {"Origin": "https://evil.example"}).status_code == 401
    assert shared.options(GROUPS, headers={"x-api-key": "secret"}).status_code == 204


def test_pages_of_another_origin_may_not(shared: FlaskClient) -> None:
    answer = shared.get(GROUPS, headers={"Origin": f"{ORIGIN}.evil", "x-api-key": "secret"})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


def test_long_answers_are_compressed_for_who_takes_it(app: Flask, recording: Recording) -> None:
    client = app.test_client()
    recording.watch("tgrp_1")
    assert "Content-Encoding" not in client.get("/healthz", headers={"Accept-Encoding": "gzip"}).headers
    for seq in range(20):
        recording.see("tgrp_1", 1 + seq, active(running=seq + 1))
    path = f"{GROUPS}/tgrp_1/history"
    plain, packed = client.get(path), client.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.get_data()) == plain.get_data()
    assert len(packed.get_data()) < len(plain.get_data()) / 2
    assert int(packed.headers["Content-Length"]) == len(packed.get_data())
    assert "Accept-Encoding" in plain.headers["Vary"] and "Accept-Encoding" in packed.headers["Vary"]
    assert plain.headers["ETag"] == packed.headers["ETag"]
    refusing = client.get(path, headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in refusing.headers
    head = client.head(path, headers={"Accept-Encoding": "gzip"})
    assert headers_of(head) == headers_of(packed)


@pytest.fixture
def slow(database_url: str) -> Iterator[Client]:
    """An API whose every query of groups never ends by itself."""
    engine = open_engine(check_url(database_url), read_only=True, timeout_seconds=0.2)

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def slow_down(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> tuple[str, Any]:
        return (SLOW, ()) if "FROM watches" in statement else (statement, parameters)

    yield Client(create_app(engine))
    engine.dispose()


def test_a_query_that_takes_too_long_is_given_up(slow: Client) -> None:
    for path in (GROUPS, f"{GROUPS}/tgrp_1", "/api/v1/audit/checkpoint"):
        answer = slow.answer(path, 503)
        assert answer.get_json()["type"] == "/docs/problems#query-timeout"
        assert answer.headers["Retry-After"]
    assert slow.get("/readyz")["status"] == "ready"
