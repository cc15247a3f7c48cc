"""Bad parameters: each one is named, before the database is asked at all."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.support.api_client import Client, app_without_database

GROUPS = "/api/v1/groups"


@pytest.fixture
def app() -> Flask:
    return app_without_database()


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
    "limit", ["", "0", "1001", "-1", "1.0", "1e2", "ten", "%201", "1_0", "%D9%A1", "9" * 5000, "+1", "true"]
)
def test_bad_limits(offline: Client, limit: str) -> None:
    assert "from 1 to 1000" in _errors(offline.get(f"{GROUPS}?limit={limit}", 422))["limit"]


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
def test_bad_times(offline: Client, time: str) -> None:
    for name in ("from", "to"):
        problem = offline.get(f"{GROUPS}/tgrp_1/history?{name}={time}", 422)
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
def test_bad_questions_about_a_history(offline: Client, question: str, location: str) -> None:
    assert list(_errors(offline.get(f"{GROUPS}/tgrp_1/history?{question}", 422))) == [location]


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
def test_bad_questions_about_the_rest(offline: Client, address: str) -> None:
    assert offline.get(address, 422)["errors"]
