"""What a client accepts: JSON is answered unless the header Accept rules it out, or likes another better."""

from __future__ import annotations

import pytest

from api.middleware.negotiation import accepts, preferred
from tests.support.api_client import app_without_database

JSON = "application/json"

FITTING = [
    "",
    "*/*",
    "*",
    "application/*",
    "application/json",
    "APPLICATION/JSON",
    "application/json; charset=utf-8",
    "application/json;q=.5",
    "application/json;q=0.1, text/html",
    "application/json;q=0, application/json;charset=utf-8",
    "application/json;charset=utf-8, application/json;q=0",
    "*/*;q=0, application/json",
    "text/html, *;q=.2",
    'text/plain;x="a, b", application/json',
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
]
UNFIT = [
    "text/html",
    "text/csv, image/*",
    "application/xml",
    "application/problem+json",
    "application/jsonlines",
    "application/json;q=0",
    "application/json ; Q=0.000",
    "*/*;q=0",
    "*/*, application/json;q=0",
    "application/*;q=0, */*",
]
UNREADABLE = [
    "garbage",
    ";;;",
    ",",
    '"',
    "\xff",
    "application/json;q=much",
    "application/json;q=",
    "=/=;=,*/*",
]


@pytest.mark.parametrize("header", [*FITTING, *UNREADABLE])
def test_json_is_let_through(header: str) -> None:
    assert accepts(header, JSON)


@pytest.mark.parametrize("header", UNFIT)
def test_json_is_ruled_out(header: str) -> None:
    assert not accepts(header, JSON)


@pytest.mark.parametrize("header", [*FITTING, *UNREADABLE])
def test_json_is_preferred_to_what_is_not_named(header: str) -> None:
    assert preferred(header, [JSON, "text/csv"]) == JSON


@pytest.mark.parametrize(
    ("header", "mimetype"),
    [
        ("a/b;q=0.2, a/c;q=0.3, */*;q=0.1", "a/c"),
        ("a/*, a/c", "a/c"),
        ("a/*;q=0.9, a/b;q=0.1", "a/c"),
        ("*/*, a/b;q=0", "a/c"),
        ("*/*, b/*", "b/d"),
        ("*/*", "a/b"),
        ("a/b, a/c", "a/b"),
        ("b/d;q=0.1", "b/d"),
        ("a/b;q=0, a/c;q=0, b/*;q=0", None),
        ("x/y", None),
    ],
)
def test_the_greatest_weight_wins_then_what_is_named_then_the_first(
    header: str, mimetype: str | None
) -> None:
    assert preferred(header, ["a/b", "a/c", "b/d"]) == mimetype


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json"])
@pytest.mark.parametrize("header", [*FITTING, *UNREADABLE])
def test_it_is_answered(path: str, header: str) -> None:
    answer = app_without_database().test_client().get(path, headers={"Accept": header})
    assert (answer.status_code, answer.mimetype) == (200, JSON)


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/api/v1/completion?from=x"])
@pytest.mark.parametrize("header", UNFIT)
def test_it_is_refused_with_what_there_is(path: str, header: str) -> None:
    answer = app_without_database().test_client().get(path, headers={"Accept": header})
    assert (answer.status_code, answer.mimetype) == (406, "application/problem+json")
    problem = answer.get_json()
    assert problem["type"] == "/docs/problems#not-acceptable"
    assert problem["title"] == "Not acceptable"
    assert JSON in problem["detail"]


@pytest.mark.parametrize("path", ["/docs", "/docs/problems"])
@pytest.mark.parametrize("header", ["text/html", "application/json"])
def test_the_pages_are_pages(path: str, header: str) -> None:
    answer = app_without_database().test_client().get(path, headers={"Accept": header})
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
