"""Content negotiation: JSON is returned unless the Accept header excludes it or prefers another type."""

from __future__ import annotations

import pytest

from api.middleware.negotiation import accepts, preferred
from tests.support.api_client import app_without_database

JSON = "application/json"

ACCEPTING_JSON = [
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
EXCLUDING_JSON = [
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
MALFORMED = [
    "garbage",
    ";;;",
    ",",
    '"',
    "\xff",
    "application/json;q=much",
    "application/json;q=",
    "=/=;=,*/*",
]


@pytest.mark.parametrize("header", [*ACCEPTING_JSON, *MALFORMED])
def test_json_is_accepted(header: str) -> None:
    assert accepts(header, JSON)


@pytest.mark.parametrize("header", EXCLUDING_JSON)
def test_json_is_excluded(header: str) -> None:
    assert not accepts(header, JSON)


@pytest.mark.parametrize("header", [*ACCEPTING_JSON, *MALFORMED])
def test_json_is_preferred_to_types_not_named(header: str) -> None:
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
def test_the_greatest_weight_wins_then_the_type_named_then_the_first(
    header: str, mimetype: str | None
) -> None:
    assert preferred(header, ["a/b", "a/c", "b/d"]) == mimetype


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json"])
@pytest.mark.parametrize("header", [*ACCEPTING_JSON, *MALFORMED])
def test_acceptable_requests(path: str, header: str) -> None:
    response = app_without_database().test_client().get(path, headers={"Accept": header})
    assert (response.status_code, response.mimetype) == (200, JSON)


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/api/v1/completion?from=x"])
@pytest.mark.parametrize("header", EXCLUDING_JSON)
def test_a_refusal_names_the_available_types(path: str, header: str) -> None:
    response = app_without_database().test_client().get(path, headers={"Accept": header})
    assert (response.status_code, response.mimetype) == (406, "application/problem+json")
    problem = response.get_json()
    assert problem["type"] == "/docs/problems#not-acceptable"
    assert problem["title"] == "Not acceptable"
    assert JSON in problem["detail"]


@pytest.mark.parametrize("path", ["/docs", "/docs/problems"])
@pytest.mark.parametrize("header", ["text/html", "application/json"])
def test_the_documentation_is_html(path: str, header: str) -> None:
    response = app_without_database().test_client().get(path, headers={"Accept": header})
    assert (response.status_code, response.mimetype) == (200, "text/html")
