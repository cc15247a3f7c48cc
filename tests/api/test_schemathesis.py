"""Every operation of the OpenAPI document, asked whatever the document allows and much that it does not.

`SCHEMATHESIS_EXAMPLES=10000` in the environment asks that many random questions of each operation, other ones
on each run; without it there are a few, always the same ones.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from tests.support.api_client import app_without_database
from tests.support.recording import Recording, active, after, settled

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES")
FEW = 40
KNOWN = ["tgrp_1", "a b%ü.", "new", "日"]
BEYOND_A_SCHEMA = {
    "cursor": "is what an answer gave",
    "to": "may not lie before `from`",
    "created_to": "may not lie before `created_from`",
    "step": "may not go with other parameters, nor give too many samples",
    "at": "may not lie in the future",
}
"""What the API asks of parameters and JSON Schema cannot tell."""
EXPORTS, NOT_WITH_EXPORTS = ("csv", "ndjson"), ("limit", "count", "kind")
"""Formats that have the whole selection, and what may not go with them besides."""
ENDS_OF_TIME = ("0001-01-01", "9999-12-31")
"""Days of which a time with an offset may lie in no year from 1 to 9999 of UTC."""


def _fill(recording: Recording) -> None:
    """Groups that are settled, late, never seen, paused, and of which odd things were said."""
    for number, taskgroup_id in enumerate(KNOWN):
        recording.watch(taskgroup_id, number)
    acme = {"customer": "acme"}
    recording.see("tgrp_1", 5, active(running=2), metadata=acme, created_at="2026-11-24T11:00:00Z")
    odd = '{"status": {"num_task_runs": 1e400, "x": "\\u0000", "y": [123456789012345678901234567890, [[]]]}}'
    recording.see_raw("a b%ü.", 6, odd)
    recording.see("日", 7, active(running=1, failed=1))
    recording.see("tgrp_1", 15, settled(completed=2), metadata={**acme, "n": 1})
    recording.fail("tgrp_1", 25)
    recording.pause("日", 70)
    recording.see("tgrp_1", 80, active(running=1))


@pytest.fixture(scope="module")
def asking(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    path = tmp_path_factory.mktemp("schemathesis") / "recorder.db"
    shutil.copyfile(sqlite_template, path)
    url = check_url(f"sqlite:///{path}")
    writer, reader = open_engine(url), open_engine(url, read_only=True)
    _fill(Recording(writer))
    yield create_app(reader, now=lambda: after(200)).test_client()
    writer.dispose()
    reader.dispose()


document = schemathesis.openapi.from_wsgi("/openapi.json", app_without_database())


@pytest.mark.slow
@document.parametrize()
@settings(max_examples=int(EXAMPLES or FEW), derandomize=EXAMPLES is None, deadline=None, database=None)
def test_every_answer_is_what_the_document_says(case: schemathesis.Case, asking: FlaskClient) -> None:
    _require_as_documented(case, asking)
    if "taskgroup_id" in case.path_parameters:
        # Hardly any id that is made up at random is that of a group, nor one that is made up to be wrong.
        case.path_parameters["taskgroup_id"] = KNOWN[len(case.query) % len(KNOWN)]
        _require_as_documented(case, asking, negative_data_rejection)


def _require_as_documented(
    case: schemathesis.Case, asking: FlaskClient, *not_meant: schemathesis.CheckFunction
) -> None:
    # The test client does not unpack what it is sent.
    answer = case.call(session=asking, headers={"Accept-Encoding": "identity"})
    case.validate_response(answer, excluded_checks=[*not_meant, *_not_meant(case, answer)])


def _not_meant(
    case: schemathesis.Case, answer: schemathesis.Response
) -> Iterator[schemathesis.CheckFunction]:
    """Yield the checks that do not hold for this answer, though the API is right."""
    if answer.status_code == 422 and _refused_beyond_a_schema(case, answer):
        yield positive_data_acceptance
    if any(name.startswith("metadata[") for name in case.query):
        # In an address every value is a text, and so one that is allowed.
        yield negative_data_rejection


def _refused_beyond_a_schema(case: schemathesis.Case, answer: schemathesis.Response) -> bool:
    if any(str(value).startswith(ENDS_OF_TIME) for value in case.query.values()):
        return True
    beyond = {*BEYOND_A_SCHEMA, *(NOT_WITH_EXPORTS if case.query.get("format") in EXPORTS else ())}
    return {error["location"] for error in answer.json()["errors"]} <= beyond
