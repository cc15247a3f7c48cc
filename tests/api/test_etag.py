"""Conditional requests: an ETag changes whenever the body does, and 304 saves the body otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api.app import create_app
from api.middleware import etag
from recorder.store.events import publish_events
from recorder.store.transactions import writing
from tests.support.api_client import Client, Clock, headers_of
from tests.support.archives import archive, stop
from tests.support.databases import Engines, postgres_database, sqlite_database
from tests.support.recording import Recording, active, after, settled

PATHS = [
    "/api/v1/groups?count=true",
    "/api/v1/groups?phase=active",
    "/api/v1/groups/tgrp_1",
    "/api/v1/groups/tgrp_1/status",
    "/api/v1/groups/tgrp_1/status?at=2026-11-24T12:00:30Z",
    "/api/v1/groups/tgrp_1/history",
    "/api/v1/groups/tgrp_1/history?order=desc&limit=1",
    "/api/v1/groups/tgrp_1/history?step=10",
    "/api/v1/groups/tgrp_1/gaps",
    "/api/v1/groups/tgrp_1/runs",
    "/api/v1/groups/tgrp_1/completion",
    "/api/v1/groups/tgrp_1/audit",
    "/api/v1/completion",
    "/api/v1/completion?group_by=metadata.customer",
    "/api/v1/completion/curve",
    "/api/v1/audit/checkpoint",
    "/v1/tasks/groups/tgrp_1",
    "/healthz",
    "/readyz",
    "/openapi.json",
]


def _steps(recording: Recording, clock: Clock) -> list[Callable[[], None]]:
    """Return steps that each change some response."""

    def later(seconds: float) -> None:
        clock.seconds = seconds

    return [
        lambda: later(35),
        lambda: recording.see("tgrp_1", 36, active(running=2)),
        lambda: recording.see("tgrp_1", 40, active(running=1, completed=1)),
        lambda: recording.fail("tgrp_1", 55),
        lambda: later(90),
        lambda: recording.fail("tgrp_1", 95),
        lambda: recording.see("tgrp_1", 100, active(running=1, completed=1)),
        lambda: recording.watch("tgrp_2", 101),
        lambda: recording.see("tgrp_2", 102, active(running=1), metadata={"customer": "acme"}),
        lambda: recording.see("tgrp_2", 110, settled(completed=1), metadata={"customer": "acme"}),
        lambda: recording.see("tgrp_2", 120, settled(completed=1), metadata={"customer": "globex"}),
        lambda: recording.pause("tgrp_1", 125),
        lambda: recording.expect("tgrp_1", 127, runs=9, by=after(900)),
        lambda: recording.watch("tgrp_1", 130),
        lambda: recording.see("tgrp_1", 131, settled(completed=2)),
        lambda: later(500),
    ]


@pytest.mark.slow
def test_the_etag_changes_whenever_the_body_does(app: Flask, recording: Recording, clock: Clock) -> None:
    clock.seconds = 30.5
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 30, active(running=2))
    client = app.test_client()
    changed = dict.fromkeys(PATHS, 0)
    before = {path: client.get(path) for path in PATHS}
    for step in _steps(recording, clock):
        step()
        for path in PATHS:
            conditional = client.get(path, headers={"If-None-Match": before[path].headers["ETag"]})
            full = client.get(path)
            assert full.headers["ETag"].startswith('W/"')
            if conditional.status_code == 304:
                assert full.get_data() == before[path].get_data(), path
                assert conditional.get_data() == b"" and "Content-Type" not in conditional.headers
                assert conditional.headers["ETag"] == full.headers["ETag"]
                assert conditional.headers["Cache-Control"] == "no-cache"
            else:
                assert (conditional.status_code, conditional.get_data()) == (200, full.get_data())
                changed[path] += 1
            before[path] = full
    assert {path for path, count in changed.items() if not count} == {"/healthz", "/readyz", "/openapi.json"}


@pytest.fixture(params=["sqlite", "postgresql"])
def two_lives(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """The URLs of two fresh databases, as one database before and after a restore."""
    get = request.getfixturevalue
    with ExitStack() as stack:
        if request.param == "sqlite":
            template = get("sqlite_template")
            found = [sqlite_database(tmp_path / f"{name}.db", template) for name in ("one", "other")]
        else:
            server, template = get("postgres"), get("postgres_template")
            found = [postgres_database(server, name, template) for name in ("one", "other")]
        yield [stack.enter_context(database) for database in found]


def _responses(url: str, engines: Engines, ended: dict[str, Any], customer: str) -> list[TestResponse]:
    """Record a life that differs in `ended` and `customer` alone; its newest entry is always the same."""
    with engines.open(url) as writer, engines.open(url, read_only=True) as reader:
        recording = Recording(writer)
        recording.watch("tgrp_1")
        recording.watch("tgrp_2", 1)
        recording.see("tgrp_1", 10, active(running=2), metadata={"customer": customer})
        recording.see("tgrp_1", 20, ended, metadata={"customer": customer})
        recording.see("tgrp_2", 30, active(running=1))
        client = create_app(reader, now=lambda: after(35)).test_client()
        return [client.get(path) for path in PATHS]


def test_no_etag_is_that_of_another_life_with_the_same_counts_and_times(
    two_lives: list[str], kept_engines: Engines
) -> None:
    later = {**settled(failed=1, completed=1), "modified_at": "2026-11-24T12:00:15Z"}
    one = _responses(two_lives[0], kept_engines, settled(completed=2), "acme")
    other = _responses(two_lives[1], kept_engines, later, "globex")
    same = {
        path
        for path, first, second in zip(PATHS, one, other, strict=True)
        if first.headers["ETag"] == second.headers["ETag"] and first.get_data() == second.get_data()
    }
    assert same == {"/healthz", "/readyz", "/openapi.json", "/api/v1/groups?phase=active"}
    for path, first, second in zip(PATHS, one, other, strict=True):
        assert path in same or first.headers["ETag"] != second.headers["ETag"], path


LOOKING_BACK = [
    *("/api/v1/completion", "/api/v1/completion?group_by=metadata.customer", "/api/v1/completion/curve"),
    *("/api/v1/events", "/completion", "/events"),
]


def _looks_back(url: str, engines: Engines, archived: Path, seconds: float) -> list[TestResponse]:
    """Record and archive a group that took `seconds`; what is watched from then on is always the same."""
    with engines.open(url) as writer, engines.open(url, read_only=True) as reader:
        recording = Recording(writer)
        recording.watch("old")
        recording.see("old", 1, active(running=1))
        recording.see("old", 1 + seconds, settled(completed=1))
        stop(writer, "old", 30)
        assert archive(writer, archived)
        recording.watch("tgrp_1", 1001)
        recording.see("tgrp_1", 1002, active(running=1))
        with writing(writer) as connection:
            publish_events(connection)
        client = create_app(reader, now=lambda: after(1010)).test_client()
        return [client.get(path) for path in LOOKING_BACK]


def test_no_etag_is_that_of_another_life_with_other_archived_groups_and_events(
    two_lives: list[str], kept_engines: Engines, tmp_path: Path
) -> None:
    one = _looks_back(two_lives[0], kept_engines, tmp_path / "one.gz", 10)
    other = _looks_back(two_lives[1], kept_engines, tmp_path / "other.gz", 20)
    for path, first, second in zip(LOOKING_BACK, one, other, strict=True):
        assert first.status_code == second.status_code == 200
        assert first.headers["ETag"] != second.headers["ETag"], path


def test_an_unchanged_body_is_not_sent_again(client: Client, recording: Recording, app: Flask) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 80, active(running=2))
    for path in PATHS:
        if "step" not in path:
            tag = client.get_response(path, 200).headers["ETag"] if path.startswith("/api") else None
            tag = tag or app.test_client().get(path).headers["ETag"]
            for sent in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
                assert app.test_client().get(path, headers={"If-None-Match": sent}).status_code == 304, path


def test_an_upgrade_of_the_rules_changes_every_etag(
    client: Client, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another rule for episodes or phases changes bodies that are made of the same ledger."""
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 6, active(running=1))
    paths = [f"/api/v1/groups/tgrp_1{part}" for part in ("", "/completion", "/gaps")]
    paths += ["/api/v1/completion", "/api/v1/completion/curve", "/api/v1/groups"]
    tags = [client.get_response(path).headers["ETag"] for path in paths]
    *same, rules = etag.MADE_BY
    monkeypatch.setattr(etag, "MADE_BY", (*same, rules + 1))
    changed = [client.get_response(path).headers["ETag"] for path in paths]
    assert not {*tags} & {*changed}


def test_every_address_has_its_own_etag(app: Flask, recording: Recording) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 80, active(running=2))
    assert len({app.test_client().get(path).headers["ETag"] for path in PATHS}) == len(PATHS)


def test_head_matches_get(app: Flask, recording: Recording) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 80, active(running=2))
    for path in [*PATHS, "/docs", "/api/v1/groups/nobody", "/nowhere"]:
        got, head = app.test_client().get(path), app.test_client().head(path)
        assert (head.status_code, head.get_data()) == (got.status_code, b""), path
        assert headers_of(head) == headers_of(got)
        got.close()


def test_invalid_requests_are_refused_despite_if_none_match(app: Flask, recording: Recording) -> None:
    recording.watch("tgrp_1")
    for number in range(3):
        recording.see("tgrp_1", 80 + number, active(running=1 + number))
    recording.watch("tgrp_2")
    client = app.test_client()
    history = client.get("/api/v1/groups/tgrp_1/history?limit=1").get_json()["next"]
    groups = client.get("/api/v1/groups?limit=1").get_json()["next"]
    for cursor, path in [
        (history, "/api/v1/groups/tgrp_2/history"),
        (history, "/api/v1/groups/tgrp_1/gaps"),
        (groups, "/api/v1/groups/tgrp_1/history"),
        (history, "/api/v1/groups"),
    ]:
        foreign = f"{path}?cursor={cursor.partition('cursor=')[2]}"
        assert client.get(foreign, headers={"If-None-Match": "*"}).status_code == 422, foreign
    future = "/api/v1/groups/tgrp_1/status?at=2999-01-01T00:00:00Z"
    assert client.get(future, headers={"If-None-Match": "*"}).status_code == 422
