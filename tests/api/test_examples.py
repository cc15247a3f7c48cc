"""The examples in the API's document are real answers."""

from __future__ import annotations

import json

from sqlalchemy import Engine

from tests.api.client import app_without_database
from tests.api.examples import ADDRESSES, FILE, answers, app_over, record


def test_examples_are_what_is_answered(engine: Engine) -> None:
    record(engine)
    assert json.loads(FILE.read_text(encoding="utf-8")) == answers(app_over(engine)), (
        "write them anew: python -m tests.api.examples"
    )


def test_every_operation_has_its_example() -> None:
    document = app_without_database().test_client().get("/openapi.json").get_json()
    shown = {}
    for item in document["paths"].values():
        content = item["get"]["responses"]["200"]["content"]["application/json"]
        shown[item["get"]["operationId"]] = content["example"]
    assert shown == json.loads(FILE.read_text(encoding="utf-8"))
    assert shown.keys() == ADDRESSES.keys()
