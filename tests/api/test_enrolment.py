"""Enrolling groups over HTTP: what is written, who may, and what is refused."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, delete, select, text, update
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from api.app import create_app
from api.bodies import MOST_BODY_BYTES
from api.enrolling import EnrolmentDatabase
from recorder.ledger.entries import MOST_RUNS, Action
from recorder.store.batches import Deadline
from recorder.store.engine import check_url, open_engine
from recorder.store.enrolment import cease_watching
from recorder.store.tables import watches
from recorder.store.transactions import writing
from recorder.tokens import Scope, new_token
from tests.support.api_client import app_without_database
from tests.support.archives import archive, record_old
from tests.support.databases import Engines
from tests.support.recording import RULES, Recording, after, settled

GROUPS = "/api/v1/groups"
SECRET, TOKEN = new_token("batches", Scope.ENROL)
READER_SECRET, READER_TOKEN = new_token("ada")
JSON = {"Content-Type": "application/json"}


def enrolling_app(reader: Engine, writer: Engine) -> Flask:
    database = EnrolmentDatabase(writer, RULES, lambda: after(100))
    return create_app(reader, now=lambda: after(100), tokens=[READER_TOKEN, TOKEN], enrolment=database)


class Enroller:
    """Sends requests with a token for enrolling."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()

    def post(self, path: str, body: Any, **headers: str) -> TestResponse:
        sent = {"x-api-key": SECRET, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.client.post(path, json=body, headers=sent)

    def enrol(self, body: Any, status: int = 201) -> Any:
        response = self.post(GROUPS, body)
        assert response.status_code == status, response.get_data(as_text=True)
        return response.get_json()

    def expect(self, taskgroup_id: str, body: Any, status: int = 200, **headers: str) -> Any:
        response = self.post(f"{GROUPS}/{taskgroup_id}/expectation", body, **headers)
        assert response.status_code == status, response.get_data(as_text=True)
        return response.get_json()

    def get(self, path: str) -> Any:
        return self.client.get(path, headers={"x-api-key": READER_SECRET}).get_json()

    def watch_entries(self, taskgroup_id: str) -> list[tuple[str, str, str | None]]:
        items = self.get(f"{GROUPS}/{taskgroup_id}/history?kind=watch")["items"]
        return [(each["watch"]["action"], each["watch"]["actor"], each["watch"]["note"]) for each in items]


@pytest.fixture
def enroller(engine: Engine, kept_engines: Engines, database_url: str) -> Iterator[Enroller]:
    with kept_engines.open(database_url, read_only=True) as reader:
        yield Enroller(enrolling_app(reader, engine))


@pytest.fixture(scope="module")
def offline() -> Enroller:
    """For requests that are refused before a database is needed."""
    engine = open_engine(check_url("sqlite:////nowhere/recorder.db"))
    return Enroller(enrolling_app(engine, engine))


@pytest.fixture
def recording(engine: Engine) -> Recording:
    return Recording(engine)


def stop(engine: Engine, action: Action = Action.STOPPED) -> None:
    cease_watching(engine, "a", action, actor="bob", note=None, now=lambda: after(90), deadline=Deadline(0))


def test_a_group_is_enrolled_once(enroller: Enroller) -> None:
    body = {
        "taskgroup_id": "a b%ü",
        "note": "March",
        "expected_runs": 3,
        "expected_by": "2026-12-01T00:00:00Z",
    }
    with capture_logs() as log:
        group = enroller.enrol(body)
        assert enroller.enrol(body, 200) == group
    assert (group["taskgroup_id"], group["state"], group["status"]) == ("a b%ü", "watching", None)
    assert group["expected"] == {"runs": 3, "by": "2026-12-01T00:00:00.000000Z"}
    path = f"{GROUPS}/a%20b%25%C3%BC"
    assert enroller.get(path) == group
    assert enroller.watch_entries("a%20b%25%C3%BC") == [
        ("started", "batches", "March"),
        ("expected", "batches", None),
    ]
    assert [(line["event"], line["taskgroup_id"], line["by"]) for line in log] == [
        ("enrolled", "a b%ü", "batches")
    ]


def test_several_groups_are_answered_in_their_order(enroller: Enroller) -> None:
    enroller.enrol({"taskgroup_id": "b"})
    items = [{"taskgroup_id": name} for name in ("c", "b", "a", "c")]
    found = enroller.enrol({"items": items})
    assert [group["taskgroup_id"] for group in found["items"]] == ["c", "b", "a", "c"]
    assert enroller.enrol({"items": items}, 200) == found
    assert enroller.watch_entries("b") == [("started", "batches", None)]


def test_a_thousand_groups_at_once(enroller: Enroller) -> None:
    items = [{"taskgroup_id": f"tgrp_{number}"} for number in range(1000)]
    assert len(enroller.enrol({"items": items})["items"]) == 1000
    refused = enroller.enrol({"items": [*items, {"taskgroup_id": "one more"}]}, 422)
    assert refused["errors"] == [{"location": "items", "message": "has more than 1,000 items"}]


@pytest.mark.parametrize("before", ["paused", "stopped", "gone", "retired"])
def test_a_group_that_is_not_watched_is_resumed(
    enroller: Enroller, engine: Engine, recording: Recording, before: str
) -> None:
    recording.watch("a")
    stop(engine, Action(before))
    assert enroller.enrol({"taskgroup_id": "a", "note": "again"})["state"] == "watching"
    assert enroller.watch_entries("a")[1:] == [(before, "bob", None), ("resumed", "batches", "again")]


def test_what_is_expected_of_a_watched_group_is_changed(enroller: Enroller) -> None:
    enroller.enrol({"taskgroup_id": "a", "expected_runs": 3})
    found = enroller.enrol({"taskgroup_id": "a", "expected_runs": 5, "note": "more"}, 200)
    assert found["expected"] == {"runs": 5, "by": None}
    assert enroller.enrol({"taskgroup_id": "a", "expected_runs": None}, 200) == found
    assert enroller.watch_entries("a")[-1] == ("expected", "batches", "more")


def test_expectations_are_set_added_to_and_taken_back(enroller: Enroller) -> None:
    enroller.enrol({"taskgroup_id": "a"})

    def expected(body: Any) -> Any:
        return enroller.expect("a", body)["expected"]

    assert expected({"add_runs": 3}) == {"runs": 3, "by": None}
    assert expected({"add_runs": 2, "by": "2026-12-01T01:00:00+01:00"}) == {
        "runs": 5,
        "by": "2026-12-01T00:00:00.000000Z",
    }
    assert expected({"runs": 4}) == {"runs": 4, "by": "2026-12-01T00:00:00.000000Z"}
    assert expected({"runs": None, "by": None}) is None
    assert [entry[0] for entry in enroller.watch_entries("a")] == ["started", *["expected"] * 4]


def test_a_request_with_a_key_counts_once(enroller: Enroller, engine: Engine) -> None:
    enroller.enrol({"items": [{"taskgroup_id": "a"}, {"taskgroup_id": "b"}]})
    for _ in range(2):
        assert enroller.expect("a", {"add_runs": 3}, Idempotency_Key="k")["expected"]["runs"] == 3
    assert enroller.expect("b", {"add_runs": 1}, Idempotency_Key="k")["expected"]["runs"] == 1
    assert enroller.expect("a", {"add_runs": 3}, Idempotency_Key="l")["expected"]["runs"] == 6
    refused = enroller.expect("a", {"add_runs": 4}, 422, Idempotency_Key="k")
    assert [error["location"] for error in refused["errors"]] == ["Idempotency-Key"]
    stop(engine)
    assert enroller.expect("a", {"add_runs": 3}, Idempotency_Key="k")["expected"]["runs"] == 6
    assert len(enroller.watch_entries("a")) == 4


def test_nothing_can_be_expected_of_a_group_that_is_not_watched(
    enroller: Enroller, engine: Engine, recording: Recording
) -> None:
    assert enroller.expect("nobody", {"add_runs": 1}, 404)["type"] == "/docs/problems#unknown-group"
    assert enroller.expect("%00", {"add_runs": 1}, 404)["type"] == "/docs/problems#unknown-group"
    recording.watch("a")
    stop(engine, Action.PAUSED)
    assert enroller.expect("a", {"add_runs": 1})["state"] == "paused"
    stop(engine)
    refused = enroller.expect("a", {"add_runs": 1}, 409, Idempotency_Key="k")
    assert (refused["type"], refused["detail"]) == (
        "/docs/problems#not-watched",
        "'a' is stopped; enrol it again first",
    )
    enroller.enrol({"taskgroup_id": "a"})
    assert enroller.expect("a", {"add_runs": 1}, Idempotency_Key="k")["expected"]["runs"] == 2


def test_more_runs_than_can_be_expected(enroller: Enroller) -> None:
    enroller.enrol({"taskgroup_id": "a", "expected_runs": MOST_RUNS})
    refused = enroller.expect("a", {"add_runs": 1}, 422, Idempotency_Key="k")
    assert [error["location"] for error in refused["errors"]] == ["add_runs"]


def test_a_poll_in_flight_is_waited_for(
    enroller: Enroller, engine: Engine, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording.watch("a")
    _set_owner(engine, "one")
    owners = []

    def end_poll(_: Deadline) -> bool:
        with writing(engine) as connection:
            owners.append(connection.scalar(select(watches.c.owner)))
        _set_owner(engine, None)
        return False

    monkeypatch.setattr(Deadline, "passed", property(end_poll))
    assert enroller.expect("a", {"add_runs": 1}, Idempotency_Key="k")["expected"]["runs"] == 1
    assert enroller.enrol({"taskgroup_id": "a", "expected_runs": 5}, 200)["expected"]["runs"] == 5
    assert owners == ["one"]


def _set_owner(engine: Engine, owner: str | None) -> None:
    with writing(engine) as connection:
        connection.execute(update(watches).values(owner=owner))


def test_a_broken_ledger_is_named(enroller: Enroller, engine: Engine) -> None:
    enroller.enrol({"taskgroup_id": "b"})
    with writing(engine) as connection:
        connection.execute(delete(watches))
    refused = enroller.enrol({"items": [{"taskgroup_id": name} for name in "abc"]}, 503)
    assert refused["type"] == "/docs/problems#broken-ledger"
    assert [error["location"] for error in refused["errors"]] == ["items/1/taskgroup_id"]
    assert {group["taskgroup_id"] for group in enroller.get(GROUPS)["items"]} == {"a", "c"}


BAD_BODIES = [
    ("", "body"),
    ("{", "body"),
    ("[]", "body"),
    ("null", "body"),
    ('"a"', "body"),
    ("[" * 100_000, "body"),
    ('{"a":' * 100_000, "body"),
    ('{"taskgroup_id": "a", "taskgroup_id": "b"}', "body"),
    ('{"taskgroup_id": "a", "expected_runs": NaN}', "body"),
    ('{"taskgroup_id": "a", "expected_runs": %s}' % ("9" * 5000), "body"),
    (b'{"taskgroup_id": "\xff"}', "body"),
    ("{}", "taskgroup_id"),
    ('{"taskgroup_id": null}', "taskgroup_id"),
    ('{"taskgroup_id": ["a"]}', "taskgroup_id"),
    ('{"taskgroup_id": ""}', "taskgroup_id"),
    ('{"taskgroup_id": "a/b"}', "taskgroup_id"),
    ('{"taskgroup_id": ".."}', "taskgroup_id"),
    ('{"taskgroup_id": "\\u0000"}', "taskgroup_id"),
    ('{"taskgroup_id": "\\ud800"}', "taskgroup_id"),
    (json.dumps({"taskgroup_id": "g" * 256}), "taskgroup_id"),
    ('{"taskgroup_id": "a", "expected_runs": 0}', "expected_runs"),
    ('{"taskgroup_id": "a", "expected_runs": true}', "expected_runs"),
    ('{"taskgroup_id": "a", "expected_runs": 1.5}', "expected_runs"),
    ('{"taskgroup_id": "a", "expected_runs": "3"}', "expected_runs"),
    ('{"taskgroup_id": "a", "expected_runs": 9007199254740992}', "expected_runs"),
    ('{"taskgroup_id": "a", "expected_by": "tomorrow"}', "expected_by"),
    ('{"taskgroup_id": "a", "expected_by": 5}', "expected_by"),
    ('{"taskgroup_id": "a", "note": "two\\nlines"}', "note"),
    ('{"taskgroup_id": "a", "note": {}}', "note"),
    ('{"taskgroup_id": "a", "notes": "x"}', "notes"),
    ('{"taskgroup_id": "a", "items": []}', "items"),
    ('{"items": {}}', "items"),
    ('{"items": [3]}', "items/0"),
]


@pytest.mark.parametrize(("body", "location"), BAD_BODIES)
def test_bad_bodies(offline: Enroller, body: str | bytes, location: str) -> None:
    response = offline.client.post(GROUPS, data=body, headers={"x-api-key": SECRET, **JSON})
    assert response.status_code == 422
    problem = response.get_json()
    assert problem["type"] == "/docs/problems#bad-body"
    assert location in {error["location"] for error in problem["errors"]}
    assert len(problem["detail"]) < 500


def test_every_bad_item_is_named_and_none_enrolled(enroller: Enroller) -> None:
    items = [{"taskgroup_id": "a"}, {"taskgroup_id": "b/c"}, {"id": "d"}, {"taskgroup_id": "e", "note": 1}]
    refused = enroller.enrol({"items": items}, 422)
    assert [error["location"] for error in refused["errors"]] == [
        "items/1/taskgroup_id",
        "items/2/taskgroup_id",
        "items/2/id",
        "items/3/note",
    ]
    assert "did you mean taskgroup_id?" not in refused["errors"][0]["message"]
    assert enroller.get(GROUPS)["items"] == []


def test_members_that_are_in_the_wrong_place_or_unknown(offline: Enroller) -> None:
    item = {"taskgroup_id": "a", "colour": 1, "item": 2, "nots": 3}
    errors = offline.enrol({"items": [item], "note": "x", "colour": 1}, 422)["errors"]
    assert {error["location"]: error["message"] for error in errors} == {
        "note": "does not go beside items; give it in each of them",
        "colour": "is not a member here; the members are items",
        "items/0/nots": "is not a member here; did you mean note?",
        **dict.fromkeys(
            ("items/0/colour", "items/0/item"),
            "is not a member here; the members are taskgroup_id, note, expected_runs, expected_by",
        ),
    }


def test_one_group_in_two_ways(offline: Enroller) -> None:
    items = [{"taskgroup_id": "a"}, {"taskgroup_id": "b"}, {"taskgroup_id": "a", "note": "other"}]
    errors = offline.enrol({"items": items}, 422)["errors"]
    assert errors == [
        {"location": "items/2/taskgroup_id", "message": "is that of items/0, which says otherwise"}
    ]


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, "body"),
        ({"runs": 1, "add_runs": 1}, "body"),
        ({"add_runs": 0}, "add_runs"),
        ({"add_runs": None}, "add_runs"),
        ({"runs": -1}, "runs"),
        ({"by": "90m"}, "by"),
        ({"run": 1}, "run"),
    ],
)
def test_bad_expectations(offline: Enroller, body: Any, location: str) -> None:
    errors = offline.expect("a", body, 422)["errors"]
    assert location in {error["location"] for error in errors}


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb"])
def test_bad_keys(offline: Enroller, key: str) -> None:
    errors = offline.expect("a", {"add_runs": 1}, 422, Idempotency_Key=key)["errors"]
    assert [error["location"] for error in errors] == ["Idempotency-Key"]


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=utf-16",
    ],
)
def test_only_json_is_taken(offline: Enroller, content_type: str | None) -> None:
    """A form of another page can send each of these types without asking."""
    headers = {"x-api-key": SECRET} | ({} if content_type is None else {"Content-Type": content_type})
    response = offline.client.post(GROUPS, data='{"taskgroup_id": "a"}', headers=headers)
    assert (response.status_code, response.get_json()["type"]) == (
        415,
        "/docs/problems#unsupported-media-type",
    )


def test_a_compressed_body_is_not_taken(offline: Enroller) -> None:
    assert offline.post(GROUPS, {"taskgroup_id": "a"}, Content_Encoding="gzip").status_code == 415


def test_a_large_body_is_not_read(offline: Enroller) -> None:
    response = offline.client.post(
        GROUPS, data=b" " * (MOST_BODY_BYTES + 1), headers={"x-api-key": SECRET, **JSON}
    )
    assert (response.status_code, response.get_json()["type"]) == (413, "/docs/problems#content-too-large")


@pytest.mark.parametrize(("more", "status"), [(0, 422), (1, 413), (MOST_BODY_BYTES, 413)])
def test_a_large_body_of_unknown_length_is_not_cut_off(offline: Enroller, more: int, status: int) -> None:
    body = b"{}".ljust(MOST_BODY_BYTES + more)
    response = offline.client.post(
        GROUPS,
        input_stream=BytesIO(body),
        headers={"x-api-key": SECRET, **JSON},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.status_code == status


def test_unknown_parameters_and_types_are_refused(offline: Enroller) -> None:
    assert offline.post(f"{GROUPS}?note=x", {"taskgroup_id": "a"}).status_code == 422
    assert offline.post(GROUPS, {"taskgroup_id": "a"}, Accept="text/html").status_code == 406


@pytest.mark.parametrize("path", [GROUPS, f"{GROUPS}/a/expectation"])
def test_who_may_enrol(offline: Enroller, path: str) -> None:
    def answer(app: Flask, secret: str | None = None, **headers: str) -> tuple[int, str]:
        sent = headers if secret is None else {**headers, "x-api-key": secret}
        response = app.test_client().post(path, json={"taskgroup_id": "a"}, headers=sent)
        problem = response.get_json()
        assert response.mimetype == "application/problem+json"
        assert problem["type"] != "/docs/problems#enrolment-off" or "--enrol" in problem["detail"]
        return response.status_code, problem["type"].partition("#")[2]

    engine = open_engine(check_url("sqlite:////nowhere/recorder.db"))
    without, reading_only = app_without_database(), create_app(engine, tokens=[READER_TOKEN])
    both = offline.client.application
    assert answer(without) == (403, "enrolment-off")
    assert answer(without, Host="rebound.example") == (403, "foreign-host")
    assert answer(reading_only) == (401, "unauthorized")
    assert answer(reading_only, READER_SECRET) == (403, "enrolment-off")
    assert answer(both) == (401, "unauthorized")
    assert answer(both, Host="rebound.example") == (401, "unauthorized")
    assert answer(both, READER_SECRET) == (403, "insufficient-scope")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_origin_cannot_use_the_password_of_a_browser(
    offline: Enroller, headers: dict[str, str]
) -> None:
    basic = {"Authorization": "Basic " + b64encode(f"ada:{SECRET}".encode()).decode()}
    response = offline.client.post(GROUPS, json={"taskgroup_id": "a"}, headers=basic | headers)
    assert (response.status_code, response.get_json()["type"]) == (403, "/docs/problems#foreign-origin")
    preflight = {**headers, "Access-Control-Request-Method": "POST"}
    answer = offline.client.options(GROUPS, headers=preflight)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_pages_of_our_own_may_enrol(enroller: Enroller) -> None:
    body = {"taskgroup_id": "a"}
    assert enroller.post(GROUPS, body, Origin="http://localhost").status_code == 201
    assert enroller.post(GROUPS, body, Sec_Fetch_Site="same-origin").status_code == 200


def test_an_origin_that_may_read_may_not_enrol(offline: Enroller) -> None:
    origin = "https://reports.example"
    app = create_app(app_engine(), tokens=[TOKEN], cors_origins=[origin])
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = app.test_client().options(GROUPS, headers=headers)
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD"


def app_engine() -> Engine:
    return open_engine(check_url("sqlite:////nowhere/recorder.db"), read_only=True)


def test_without_a_database_or_its_schema(offline: Enroller, enroller: Enroller, engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    for one in (offline, enroller):
        with capture_logs():
            response = one.post(GROUPS, {"taskgroup_id": "a"})
        assert (response.status_code, response.get_json()["type"]) == (
            503,
            "/docs/problems#database-unavailable",
        )
        assert int(response.headers["Retry-After"]) > 0


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    engine = open_engine(check_url(f"sqlite:///{tmp_path}/recorder.db"))
    with capture_logs():
        Enroller(enrolling_app(engine, engine)).enrol({"taskgroup_id": "a"}, 503)
    assert list(tmp_path.iterdir()) == []


def test_a_reading_token_reads_and_nothing_it_asks_for_writes(
    enroller: Enroller, engine: Engine, recording: Recording
) -> None:
    """Every route is asked in every way with a reading token; the database has not changed by a byte."""
    recording.watch("a")
    recording.see("a", 1, settled(completed=1))
    before = _contents(engine)
    app = enroller.client.application
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<taskgroup_id>", "a")
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            if "<" not in path:
                enroller.client.open(
                    path, method=method, json={"taskgroup_id": "b"}, headers={"x-api-key": READER_SECRET}
                )
    assert _contents(engine) == before
    assert app.extensions["recorder"].engine is not engine


def _contents(engine: Engine) -> list[Any]:
    tables = ("watches", "entries", "request_keys", "summaries", "events")
    with engine.connect() as connection:
        return [connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables]


def test_basic_passwords_and_bearer_tokens_enrol_too(enroller: Enroller) -> None:
    basic = "Basic " + b64encode(f"any:{SECRET}".encode()).decode()
    for number, value in enumerate((basic, f"Bearer {SECRET}")):
        response = enroller.client.post(
            GROUPS, json={"taskgroup_id": str(number)}, headers={"Authorization": value}
        )
        assert response.status_code == 201


def test_archived_groups_are_refused_and_none_of_the_others_is_enrolled(
    enroller: Enroller, engine: Engine, tmp_path: Path
) -> None:
    record_old(engine)
    archive(engine, tmp_path / "old.zst")
    one = enroller.enrol({"taskgroup_id": "done"}, 410)
    assert one["tombstone"]["taskgroup_id"] == "done"
    assert enroller.expect("done", {"runs": 3}, 410)["tombstone"]["taskgroup_id"] == "done"
    several = enroller.enrol({"items": [{"taskgroup_id": "new"}, {"taskgroup_id": "done"}]}, 422)
    assert [error["location"] for error in several["errors"]] == ["items/1/taskgroup_id"]
    assert enroller.get(f"{GROUPS}/new")["status"] == 404
