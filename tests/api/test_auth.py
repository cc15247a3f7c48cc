"""Without tokens, the API accepts only requests whose Host is a loopback name."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from api.app import create_app
from tests.support.api_client import app_without_database

LOOPBACK_HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "localhost:8000",
    "127.0.0.1:8000",
    "[::1]:8000",
    "LOCALHOST",
]


def test_loopback_hosts_are_allowed(engine: Engine) -> None:
    client = create_app(engine).test_client()
    for host in LOOPBACK_HOSTS:
        for path in ("/healthz", "/api/v1/groups", "/docs"):
            assert client.get(path, headers={"Host": host}).status_code == 200, (host, path)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"],
)
@pytest.mark.parametrize("path", ["/healthz", "/api/v1/groups", "/nowhere", "/docs"])
def test_other_hosts_are_refused(host: str, path: str) -> None:
    response = app_without_database().test_client().get(path, headers={"Host": host})
    assert response.status_code == 403
    assert response.mimetype == "application/problem+json"
    assert response.get_json()["type"] == "/docs/problems#foreign-host"
    assert "127.0.0.1" in response.get_json()["detail"]
