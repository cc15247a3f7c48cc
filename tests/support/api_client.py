"""A client that validates every response against the OpenAPI document."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urljoin

from flask import Flask
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from tests.support.recording import after


@cache
def app_without_database() -> Flask:
    """The API with a database that does not exist, for requests that must work without one."""
    return create_app(open_engine(check_url("sqlite:////nowhere/recorder.db"), read_only=True))


def headers_of(response: TestResponse) -> dict[str, str]:
    """Return the headers, except Date, which may differ between two responses."""
    return {name: value for name, value in response.headers.items() if name != "Date"}


@cache
def _document() -> tuple[dict[str, Any], dict[str, Any]]:
    """The OpenAPI document of an API without tokens, and its components in strict form."""
    document = json.loads(app_without_database().test_client().get("/openapi.json").get_data())
    return document, _strict(document["components"])


class Client:
    """Sends requests to an app and rejects responses that do not match its OpenAPI document."""

    def __init__(self, app: Flask) -> None:
        self._client = app.test_client()
        self.document, self._components = _document()

    def get(self, address: str, status: int = 200) -> Any:
        """Return the decoded body of the response, whose status code must be `status`."""
        return json.loads(self.get_response(address, status).get_data())

    def get_response(self, address: str, status: int = 200) -> TestResponse:
        response = self._client.get(address, buffered=True)
        assert response.status_code == status, response.get_data(as_text=True)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-cache"
        self._check(address.partition("?")[0], response)
        return response

    def request(self, method: str, address: str) -> TestResponse:
        return self._client.open(address, method=method, buffered=True)

    def pages(self, address: str) -> list[dict[str, Any]]:
        """Return the page at `address` and all pages after it."""
        pages = [self.get(address)]
        while (next_url := pages[-1]["next"]) is not None:
            pages.append(self.get(urljoin(address, next_url)))
        return pages

    def _check(self, path: str, response: TestResponse) -> None:
        schema = {"$ref": "#/components/schemas/Problem"}
        for template, item in self.document["paths"].items():
            if "get" in item and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                content = item["get"]["responses"][str(response.status_code)]["content"]
                schema = content[response.mimetype]["schema"]
        if response.status_code >= 400:
            assert response.mimetype == "application/problem+json"
        validator = Draft202012Validator(
            {**schema, "components": self._components},
            format_checker=Draft202012Validator.FORMAT_CHECKER,
        )
        validator.validate(json.loads(response.get_data()))


def _strict(schema: Any) -> Any:
    """Return the same schemas with undeclared members forbidden."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        strict["additionalProperties"] = False
    return strict


class Clock:
    """A clock that only moves when it is set."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> datetime:
        return after(self.seconds)
