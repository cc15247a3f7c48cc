"""Random requests for every operation of the OpenAPI document, both valid and invalid.

With `SCHEMATHESIS_EXAMPLES=10000` in the environment, each operation gets that many requests, different ones
in each run. By default there are only a few, and always the same ones.
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
from api.enrolling import EnrolmentDatabase
from recorder.store.engine import check_url, open_engine
from recorder.tokens import Scope, new_token
from tests.support.api_client import app_without_database
from tests.support.examples import examples
from tests.support.recording import RULES, Recording, active, after, settled

SECRET, TOKEN = new_token("fuzz", Scope.ENROL)
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES")
IDS = ["tgrp_1", "a b%ü.", "new", "日"]
BEYOND_A_SCHEMA = {
    "cursor": "must come from a response",
    "to": "may not be before `from`",
    "created_to": "may not be before `created_from`",
    "step": "may not be combined with other parameters, nor give too many samples",
    "at": "may not be in the future",
    "taskgroup_id": "may not be a path step such as `..`",
    "compare": "needs the parameters that say what to compare with",
    "group_by": "may not be combined with `compare`",
    "note": "is one line of printable characters",
    "Idempotency-Key": "has printable characters, and belongs to one request",
    "add_runs": "may not make more than a number's worth of runs",
    **dict.fromkeys(("expected_by", "by"), "lie in the years 1 to 9999 in UTC"),
    **dict.fromkeys(("than_from", "than_to", "value", "than_value"), "belong to one kind of `compare`"),
}
"""Rules for parameters that JSON Schema cannot express."""
EXPORTS, NOT_WITH_EXPORTS = ("csv", "ndjson"), ("limit", "count", "kind")
"""Formats that return the whole selection, and more parameters that cannot be combined with them."""
CALENDAR_LIMITS = ("0001-01-01", "9999-12-31")
"""Days on which a time with an offset may be outside the years 1 to 9999 in UTC."""


def _populate(recording: Recording) -> None:
    """Record groups that are settled, late, never seen, paused, and with an odd body."""
    for number, taskgroup_id in enumerate(IDS):
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
def flask_client(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    folder = tmp_path_factory.mktemp("schemathesis")
    # What is enrolled has not been seen, and the provider's routes would say so of random ids.
    recorded, enrolled = (shutil.copyfile(sqlite_template, folder / name) for name in ("a.db", "b.db"))
    writers = [open_engine(check_url(f"sqlite:///{path}")) for path in (recorded, enrolled)]
    reader = open_engine(check_url(f"sqlite:///{recorded}"), read_only=True)
    for writer in writers:
        _populate(Recording(writer))
    database = EnrolmentDatabase(writers[1], RULES, lambda: after(200))
    app = create_app(reader, now=lambda: after(200), tokens=[TOKEN], enrolment=database)
    yield app.test_client()
    for engine in (*writers, reader):
        engine.dispose()


document = schemathesis.openapi.from_wsgi("/openapi.json", app_without_database())


@pytest.mark.slow
@document.parametrize()
@settings(
    max_examples=int(EXAMPLES or examples(0.5)), derandomize=EXAMPLES is None, deadline=None, database=None
)
def test_responses_match_the_document(case: schemathesis.Case, flask_client: FlaskClient) -> None:
    _check(case, flask_client)
    if "taskgroup_id" in case.path_parameters:
        # Random IDs hardly ever name a group, nor do those that are meant to be invalid.
        case.path_parameters["taskgroup_id"] = IDS[len(case.query) % len(IDS)]
        _check(case, flask_client, negative_data_rejection)


def _check(case: schemathesis.Case, flask_client: FlaskClient, *excluded: schemathesis.CheckFunction) -> None:
    # The test client does not decompress responses.
    headers = {"Accept-Encoding": "identity", "x-api-key": SECRET}
    response = case.call(session=flask_client, headers=headers)
    case.validate_response(response, excluded_checks=[*excluded, *_inapplicable(case, response)])


def _inapplicable(
    case: schemathesis.Case, response: schemathesis.Response
) -> Iterator[schemathesis.CheckFunction]:
    """Yield the checks that do not apply to this response, though the API is right."""
    if response.status_code == 422 and _refused_beyond_a_schema(case, response):
        yield positive_data_acceptance
    if any(name.startswith("metadata[") for name in case.query):
        # In a URL every value is text, which is always allowed.
        yield negative_data_rejection


def _refused_beyond_a_schema(case: schemathesis.Case, response: schemathesis.Response) -> bool:
    if any(str(value).startswith(CALENDAR_LIMITS) for value in case.query.values()):
        return True
    beyond = {*BEYOND_A_SCHEMA, *(NOT_WITH_EXPORTS if case.query.get("format") in EXPORTS else ())}
    locations = (error["location"] for error in response.json()["errors"])
    return {location.rpartition("/")[2] for location in locations} <= beyond
