"""The API with tokens: who sends one may read, in any of three ways."""

from __future__ import annotations

from base64 import b64encode

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine
from structlog.testing import capture_logs

from api.app import create_app
from recorder.tokens import new_token

SECRET, TOKEN = new_token("ada")
_, OTHER = new_token("bob")
PATHS = ["/api/v1/groups", "/api/v1/groups/tgrp_1/history", "/readyz", "/openapi.json", "/docs", "/nowhere"]


@pytest.fixture
def guarded(engine: Engine) -> FlaskClient:
    return create_app(engine, tokens=[OTHER, TOKEN]).test_client()


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


GOOD = [
    {"Authorization": f"Bearer {SECRET}"},
    {"Authorization": f"bearer  {SECRET}"},
    {"Authorization": _basic("anybody", SECRET)},
    {"Authorization": _basic("", SECRET)},
    {"x-api-key": SECRET},
    {"Authorization": "Bearer wrong", "x-api-key": SECRET},
]
BAD = [
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Bearer"},
    {"Authorization": SECRET},
    {"Authorization": f"Digest {SECRET}"},
    {"Authorization": f"Bearer {TOKEN.digest}"},
    {"Authorization": f"Bearer {TOKEN}"},
    {"Authorization": _basic(SECRET, "")},
    {"Authorization": "Basic ???"},
    {"Authorization": "Basic " + b64encode(b"\xff\xfe:\xff").decode()},
    {"Authorization": "Basic " + b64encode(SECRET.encode()).decode()},
    {"x-api-key": ""},
    {"x-api-key": "ÿ"},
]


@pytest.mark.parametrize("headers", GOOD)
def test_a_valid_token_passes(guarded: FlaskClient, headers: dict[str, str]) -> None:
    assert guarded.get("/api/v1/groups", headers=headers).status_code == 200
    assert guarded.get("/nowhere", headers=headers).status_code == 404


@pytest.mark.parametrize("headers", BAD)
def test_nothing_else_passes_and_nothing_sent_is_repeated(
    guarded: FlaskClient, headers: dict[str, str]
) -> None:
    with capture_logs() as logs:
        for path in PATHS:
            answer = guarded.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.mimetype == "application/problem+json"
            assert answer.get_json()["type"] == "/docs/problems#unauthorized"
            schemes = [text.split()[0] for text in answer.headers.getlist("WWW-Authenticate")]
            assert schemes == ["Bearer", "Basic"]
            assert SECRET not in answer.get_data(as_text=True)
    assert logs == []


def test_whether_it_lives_may_be_asked_by_all(guarded: FlaskClient) -> None:
    assert guarded.get("/healthz").get_json() == {"status": "ok"}


def test_other_hosts_are_answered_where_a_token_guards(guarded: FlaskClient) -> None:
    headers = {"Host": "recorder.example", "x-api-key": SECRET}
    assert guarded.get("/api/v1/groups", headers=headers).status_code == 200


def test_the_document_says_how_to_send_one(guarded: FlaskClient, engine: Engine) -> None:
    document = guarded.get("/openapi.json", headers={"x-api-key": SECRET}).get_json()
    assert document["security"] == [{"bearer": []}, {"basic": []}, {"key": []}]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "basic", "key"}
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert "401" in document["paths"]["/readyz"]["get"]["responses"]
    without = create_app(engine).test_client().get("/openapi.json").get_json()
    assert "security" not in without and "securitySchemes" not in without["components"]


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "text/csv, image/*"])
def test_an_accept_that_rules_json_out(engine: Engine, accept: str) -> None:
    answer = create_app(engine).test_client().get("/api/v1/groups", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (406, "application/problem+json")
    assert "application/json" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "application/json;q=0.1, text/html", "text/html,*/*;q=0.8", ""]
)
def test_an_accept_that_lets_json_through(engine: Engine, accept: str) -> None:
    answer = create_app(engine).test_client().get("/api/v1/groups", headers={"Accept": accept})
    assert answer.status_code == 200
