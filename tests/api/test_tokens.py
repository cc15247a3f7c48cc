"""An API with tokens, which clients can send in any of three ways."""

from __future__ import annotations

from base64 import b64encode

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy import Engine
from structlog.testing import capture_logs

from api.app import create_app
from recorder.tokens import Scope, new_token

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
def client(engine: Engine) -> FlaskClient:
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


def test_a_valid_token_is_accepted(client: FlaskClient) -> None:
    for headers in GOOD:
        assert client.get("/api/v1/groups", headers=headers).status_code == 200, headers
        assert client.get("/nowhere", headers=headers).status_code == 404


def test_everything_else_is_refused_without_revealing_the_token(client: FlaskClient) -> None:
    for headers in BAD:
        with capture_logs() as logs:
            for path in PATHS:
                response = client.get(path, headers=headers)
                assert response.status_code == 401, headers
                assert response.mimetype == "application/problem+json"
                assert response.get_json()["type"] == "/docs/problems#unauthorized"
                bearer, basic = response.headers.getlist("WWW-Authenticate")
                assert bearer.startswith('Bearer realm="')
                assert basic.startswith('Basic realm="') and basic.endswith(', charset="UTF-8"')
                assert SECRET not in response.get_data(as_text=True)
        assert logs == []


def test_a_probe_reads_health_and_metrics_alone(engine: Engine) -> None:
    secret, token = new_token("probe", Scope.PROBE)
    client = create_app(engine, tokens=[token]).test_client()
    found = {path: client.get(path, headers={"x-api-key": secret}).status_code for path in PATHS}
    assert found == dict.fromkeys(PATHS, 403) | {"/readyz": found["/readyz"]}
    assert found["/readyz"] in (200, 503)
    assert client.get("/metrics", headers={"x-api-key": secret}).status_code == 200
    refusal = client.get("/api/v1/groups", headers={"x-api-key": secret}).get_json()
    assert refusal["type"] == "/docs/problems#insufficient-scope"


def test_healthz_needs_no_token(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "ok"}


def test_any_host_is_allowed_with_a_token(client: FlaskClient) -> None:
    headers = {"Host": "recorder.example", "x-api-key": SECRET}
    assert client.get("/api/v1/groups", headers=headers).status_code == 200


def test_a_repeated_key_is_refused(client: FlaskClient) -> None:
    headers = [("x-api-key", SECRET), ("x-api-key", SECRET)]
    assert client.get("/api/v1/groups", headers=headers).status_code == 401


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "DELETE"])
def test_every_method_needs_a_token(client: FlaskClient, method: str) -> None:
    assert client.open("/api/v1/groups", method=method).status_code == 401


def test_the_document_describes_authentication(client: FlaskClient) -> None:
    document = client.get("/openapi.json", headers={"x-api-key": SECRET}).get_json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["security"] == [{"bearer": []}, {"basic": []}, {"key": []}]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "basic", "key"}
    assert document["paths"]["/healthz"]["get"]["security"] == []
    for path, item in document["paths"].items():
        for method, found in item.items():
            assert ("401" in found["responses"]) is (path != "/healthz")
            assert ("403" in found["responses"]) is (method == "post")


def test_without_tokens_the_document_requires_none(engine: Engine) -> None:
    document = create_app(engine).test_client().get("/openapi.json").get_json()
    assert "security" not in document and "securitySchemes" not in document["components"]
    for item in document["paths"].values():
        for found in item.values():
            assert "403" in found["responses"] and "401" not in found["responses"]
