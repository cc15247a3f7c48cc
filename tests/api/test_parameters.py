"""Bad parameters: each one is named, before the database is queried."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api_client import Client

GROUPS = "/api/v1/groups"


def _errors(problem: dict[str, Any]) -> dict[str, str]:
    return {error["location"]: error["message"] for error in problem["errors"]}


def test_every_bad_parameter_is_named(offline: Client) -> None:
    problem = offline.get(
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
def test_bad_parameters_elsewhere(offline: Client, address: str) -> None:
    assert offline.get(address, 422)["errors"]
