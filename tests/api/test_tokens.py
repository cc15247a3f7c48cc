"""The API with tokens: who sends one may read, in any of three ways."""

from __future__ import annotations

from base64 import b64encode

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy import Engine
from structlog.testing import capture_logs

from api.app import create_app
from recorder.tokens import new_token

SECRET, TOKEN = new_token("ada")
_, OTHER = new_token("bob")
PATHS = [
    "/api/v1/groups",
    "/api/v1/groups/tgrp_1/history",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/docs/swagger-ui.css",
    "/nowhere",
    "/healthz/",
    "/healthzz",
    "/healthz/../readyz",
]


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
    {"Authorization": _basic("zoë", SECRET)},
    {"Authorization": "Basic " + b64encode(b"zo\xeb:" + SECRET.encode()).decode()},
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
    {"Authorization": _basic("anybody", "")},
    {"Authorization": "Basic \xe4\xe4\xe4\xe4"},
    {"Authorization": "Bearer \xff\xfe"},
    {"x-api-key": ""},
    {"x-api-key": "ÿ"},
]


def test_a_valid_token_passes(guarded: FlaskClient) -> None:
    for headers in GOOD:
        assert guarded.get("/api/v1/groups", headers=headers).status_code == 200, headers
        assert guarded.get("/nowhere", headers=headers).status_code == 404


def test_nothing_else_passes_and_nothing_sent_is_repeated(guarded: FlaskClient) -> None:
    for headers in BAD:
        with capture_logs() as logs:
            for path in PATHS:
                answer = guarded.get(path, headers=headers)
                assert answer.status_code == 401, headers
                assert answer.mimetype == "application/problem+json"
                assert answer.get_json()["type"] == "/docs/problems#unauthorized"
                bearer, basic = answer.headers.getlist("WWW-Authenticate")
                assert bearer.startswith('Bearer realm="')
                assert basic.startswith('Basic realm="') and basic.endswith(', charset="UTF-8"')
                assert SECRET not in answer.get_data(as_text=True)
        assert logs == []


def test_whether_it_lives_may_be_asked_by_all(guarded: FlaskClient) -> None:
    assert guarded.get("/healthz").get_json() == {"status": "ok"}


def test_other_hosts_are_answered_where_a_token_guards(guarded: FlaskClient) -> None:
    headers = {"Host": "recorder.example", "x-api-key": SECRET}
    assert guarded.get("/api/v1/groups", headers=headers).status_code == 200


def test_a_key_sent_twice_is_no_token(guarded: FlaskClient) -> None:
    headers = [("x-api-key", SECRET), ("x-api-key", SECRET)]
    assert guarded.get("/api/v1/groups", headers=headers).status_code == 401


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "DELETE"])
def test_other_methods_are_no_way_around(guarded: FlaskClient, method: str) -> None:
    assert guarded.open("/api/v1/groups", method=method).status_code == 401


def test_the_document_says_how_to_send_one(guarded: FlaskClient) -> None:
    document = guarded.get("/openapi.json", headers={"x-api-key": SECRET}).get_json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["security"] == [{"bearer": []}, {"basic": []}, {"key": []}]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "basic", "key"}
    assert document["paths"]["/healthz"]["get"]["security"] == []
    for path, item in document["paths"].items():
        assert ("401" in item["get"]["responses"]) is (path != "/healthz")
        assert "403" not in item["get"]["responses"]


def test_without_tokens_the_document_asks_for_none(engine: Engine) -> None:
    document = create_app(engine).test_client().get("/openapi.json").get_json()
    assert "security" not in document and "securitySchemes" not in document["components"]
    for item in document["paths"].values():
        assert "403" in item["get"]["responses"] and "401" not in item["get"]["responses"]
