"""The OpenAPI document and the documentation pages."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.errors import MIRROR_PREFIXES
from api.problem_kinds import PROBLEMS
from tests.support.api_client import Client, app_without_database

GROUP_EXPORTS = ("history", "gaps", "completion")
"""The resources of a group that can be exported."""


@pytest.fixture
def app() -> Flask:
    return app_without_database()


def test_the_document_is_valid(client: Client) -> None:
    OpenAPIV31SpecValidator(client.document).validate()
    assert client.document["openapi"].startswith("3.1.")


def test_every_route_is_documented(app: Flask, client: Client) -> None:
    routes = {re.sub(r"<(\w+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}
    pages = {path for path in routes if path.startswith(("/docs", "/static")) or path == "/openapi.json"}
    pages |= {"/", "/groups/{taskgroup_id}", "/completion", "/gaps", "/events", "/audit"}
    # Generators warn of the media type of NDJSON, and none has a type for streams.
    streams = {path for path in routes if path.endswith(".ndjson")}
    assert {path.removesuffix(".ndjson") + ".csv" for path in streams} <= routes
    assert routes - pages - streams == set(client.document["paths"])
    assert {"/metrics", *(f"{prefix}tasks/groups/{{taskgroup_id}}" for prefix in MIRROR_PREFIXES)} <= routes


def operations(client: Client) -> list[tuple[str, str, Any]]:
    """The path, method and description of each operation."""
    paths = client.document["paths"]
    return [(path, method, found) for path, item in paths.items() for method, found in item.items()]


def test_everything_is_described(client: Client) -> None:
    for _, _, found in operations(client):
        assert found["summary"]
        assert all(parameter["description"] for parameter in found["parameters"])
        # The provider's routes accept any parameters, as its clients may send some.
        assert ({"500"} if "provider" in found["tags"] else {"422", "500"}) <= found["responses"].keys()
    for schema in client.document["components"]["schemas"].values():
        for member in schema.get("properties", {}).values():
            if member.get("title", "").endswith("Seconds"):
                assert "second" in json.dumps(member)


def test_history_parameters(client: Client) -> None:
    item = client.document["paths"]["/api/v1/groups/{taskgroup_id}/history"]["get"]
    schemas = {parameter["name"]: parameter["schema"] for parameter in item["parameters"]}
    assert list(schemas) == [
        *("taskgroup_id", "from", "to", "kind", "anomaly", "order", "limit", "cursor", "step")
    ]
    assert schemas["limit"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    assert schemas["from"] == {"type": "string", "format": "date-time"}
    assert re.fullmatch(schemas["kind"]["pattern"], "status,gap")


def test_every_operation_returns_one_type(client: Client) -> None:
    """With several media types, generators type a body as JSON or text, whatever was asked for."""
    exported = {
        f"/api/v1/groups{path}" for path in ("", *(f"/{{taskgroup_id}}/{name}" for name in GROUP_EXPORTS))
    }
    for path, _, found in operations(client):
        assert "format" not in {parameter["name"] for parameter in found["parameters"]}
        for status, response in found["responses"].items():
            (media_type,) = response["content"]
            if status not in {"200", "201"}:
                assert media_type in {"application/json", "application/problem+json"}
            elif path.rpartition(".")[0] in exported:
                assert media_type == "text/csv"
            else:
                assert media_type == ("text/plain" if path == "/metrics" else "application/json")
    assert {f"{path}.csv" for path in exported} <= client.document["paths"].keys()


def test_the_pages_load_nothing_from_other_servers(client: Client) -> None:
    page = client.request("GET", "/docs")
    assert page.mimetype == "text/html"
    text = page.get_data(as_text=True)
    addresses = re.findall(r'(?:href|src)="([^":]*)"', text)
    assert len(addresses) == 4
    for address in addresses:
        assert client.request("GET", f"/{address}").status_code == 200
    assert "://" not in text
    assert "<script>" not in text
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]


def test_every_problem_type_is_described(client: Client) -> None:
    page = client.request("GET", "/docs/problems").get_data(as_text=True)
    assert re.findall(r'id="([^"]+)"', page) == list(PROBLEMS)


def test_response_headers(client: Client) -> None:
    for path, method, found in operations(client):
        responses = found["responses"]
        headers = responses["200"].get("headers", {})
        if method == "post":
            assert headers == {}
            continue
        is_paged = any(parameter["name"] == "cursor" for parameter in found["parameters"])
        expected = {"ETag"} | ({"Link"} if is_paged else set())
        if "503" in responses:
            expected |= {"Age"}
        if "provider" in found["tags"]:
            expected |= {"Last-Modified"}
        if path.endswith(".csv"):
            expected = {"Age", "Content-Disposition", "X-Total-Items"}
        assert set(headers) == (set() if path == "/metrics" else expected), path
