"""The examples in the OpenAPI document are real responses."""

from __future__ import annotations

import json

from sqlalchemy import Engine

from tests.api.examples import ADDRESSES, FILE, example_responses, record_groups
from tests.support.api_client import app_without_database


def test_examples_are_up_to_date(engine: Engine) -> None:
    record_groups(engine)
    assert json.loads(FILE.read_text(encoding="utf-8")) == example_responses(engine), (
        "regenerate them: python -m tests.api.examples"
    )


def test_every_response_has_an_example() -> None:
    document = app_without_database().test_client().get("/openapi.json").get_json()
    examples = json.loads(FILE.read_text(encoding="utf-8"))
    shown = {}
    for found in (found for item in document["paths"].values() for found in item.values()):
        if "requestBody" in found:
            name = f"{found['operationId']} body"
            shown[name] = found["requestBody"]["content"]["application/json"]["example"]
            assert shown[name] == examples[name]
        for status, response in found["responses"].items():
            ((_, content), *_) = response["content"].items()
            name = found["operationId"] if status in {"200", "201"} else status
            is_example = status in {"200", "201"} and "$ref" in content["schema"]
            if is_example or content["schema"].get("$ref", "").endswith("/Problem"):
                shown[name] = content["example"]
                assert content["example"] == examples[name]
    # This document is that of an API without tokens.
    assert shown.keys() == examples.keys() - {"401"}
    assert ADDRESSES.keys() < shown.keys()
