"""The page on the API matches the OpenAPI document."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api.problem_kinds import PROBLEMS
from tests.support.api_client import Client, app_without_database
from tests.support.pages import first_codes, headings, page, section, table

PAGE = "docs/reference/api.md"
UNDOCUMENTED_ROUTES = {"/openapi.json", "/docs", "/docs/problems"}
"""Routes missing from the document: the document itself and the pages about it."""

APP = app_without_database()
DOCUMENT: dict[str, Any] = Client(APP).document
EXPORTED = {path.removesuffix(".csv") for path in DOCUMENT["paths"] if path.endswith(".csv")}
"""Routes with exports, which have the same parameters without those for pages."""
OPERATIONS: dict[str, Any] = {
    f"{method.upper()} {path}": found
    for path, item in DOCUMENT["paths"].items()
    for method, found in item.items()
    if not path.endswith(".csv")
}
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
DESCRIBED_SCHEMAS = {
    match[1]: heading for heading in headings(page(PAGE)) if (match := re.search(r"\(`(\w+)`\)$", heading))
}


def test_headings_match_the_routes() -> None:
    described = {
        match[1] for heading in headings(page(PAGE)) if (match := re.match(r"`((?:GET|POST) .*)`$", heading))
    }
    assert described == OPERATIONS.keys() | {f"GET {path}" for path in UNDOCUMENTED_ROUTES}


def test_exports_are_listed() -> None:
    text = section(page(PAGE), "Exports")
    assert {path for path in EXPORTED if f"`{path}.csv`" in text} == EXPORTED


def test_undocumented_routes_exist() -> None:
    client = APP.test_client()
    for path in UNDOCUMENTED_ROUTES:
        with client.get(path) as response:
            assert response.status_code == 200


@pytest.mark.parametrize("heading", sorted(OPERATIONS))
def test_parameters(heading: str) -> None:
    described = first_codes(table(PAGE, f"`{heading}`"))
    own = [parameter["name"] for parameter in OPERATIONS[heading]["parameters"]]
    assert [name for name in described if name != "format"] == own
    assert ("format" in described) == (heading.removeprefix("GET ") in EXPORTED)


@pytest.mark.parametrize("schema", DESCRIBED_SCHEMAS)
def test_members_of_responses(schema: str) -> None:
    assert first_codes(table(PAGE, DESCRIBED_SCHEMAS[schema])) == list(SCHEMAS[schema]["properties"])


def test_every_type_is_mentioned() -> None:
    text = page(PAGE)
    objects = {name for name, schema in SCHEMAS.items() if schema.get("type") == "object"}
    assert objects >= DESCRIBED_SCHEMAS.keys()
    assert {name for name in objects if f"`{name}`" not in text} == set()


def test_problems() -> None:
    described = [row[:2] for row in table(PAGE, "Problems")]
    assert described == [[f"`{kind}`", str(status.value)] for kind, (status, _, _) in PROBLEMS.items()]
