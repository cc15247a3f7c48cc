"""Writes that fail while others succeed, as on a full disk, and what is said of that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event
from structlog.testing import capture_logs

from recorder.polling.write_health import STEADY_SECONDS, WriteHealth, WriteKind
from recorder.settings import Settings
from recorder.store.heartbeats import Heartbeat, heartbeats
from recorder.store.transactions import reading
from tests.polling.recorders import StartUpstream, record, statuses

AWAY, BACK = "database unavailable, waiting for it to return", "database is back"
BEATS = 4
"""Heartbeats during which the log could have flapped."""


@contextmanager
def full_disk(engine: Engine) -> Iterator[None]:
    """Make every write of results fail; heartbeats and claims still fit in."""

    def refuse(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE watches") and "json" in statement:
            raise engine.dialect.loaded_dbapi.OperationalError("no space left on device")

    event.listen(engine, "before_cursor_execute", refuse)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", refuse)


def beat_of(engine: Engine) -> Heartbeat | None:
    with reading(engine) as connection:
        return next(iter(heartbeats(connection)), None)


def test_a_full_disk_is_said_once_and_reported_until_it_is_over(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    taskgroup_id = upstream.create(engine, settings)
    failing: set[int] = set()
    reports: list[dict[str, Any]] = []
    disk = full_disk(engine)
    disk.__enter__()

    def over() -> bool:
        beat = beat_of(engine)
        if beat is None:
            return False
        writing = beat.report["writing"]
        if writing["failures"] and len(failing) < BEATS:
            assert not beat.is_recording(beat.heartbeat_at)
            reports.append(writing)
            failing.add(writing["failures"])
            if len(failing) == BEATS:
                disk.__exit__(None, None, None)
        return len(failing) == BEATS and not writing["failures"] and bool(statuses(engine, taskgroup_id))

    with capture_logs() as logs:
        record(settings, engine, upstream, over)
    said = [line for line in logs if line["event"] in {AWAY, BACK}]
    assert [line["event"] for line in said] == [AWAY, BACK]
    assert (said[0]["writes"], said[0]["reason"]) == ("results", "no space left on device")
    assert {report["error"] for report in reports} == {"no space left on device"}
    assert {report["last_write_at"] for report in reports} == {None}
    assert len({report["failing_since"] for report in reports}) == 1


class Health(WriteHealth):
    """With a clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0
        super().__init__(steady=lambda: self.seconds)


@pytest.fixture
def health() -> Health:
    return Health()


def test_another_kind_of_write_does_not_mean_that_the_database_is_back(health: Health) -> None:
    with capture_logs() as logs:
        for _ in range(5):
            health.failed(WriteKind.RESULTS, "full")
            health.succeeded(WriteKind.HEARTBEAT, 0.1)
            health.succeeded(WriteKind.CLAIM, 0.3)
        assert health.as_json()["failures"] == 5
        health.seconds += STEADY_SECONDS
        health.succeeded(WriteKind.RESULTS, 0.2)
    assert [line["event"] for line in logs] == [AWAY, BACK]
    told = health.as_json()
    assert (told["failures"], told["failing_since"], told["error"]) == (0, None, None)
    assert told["last_write_at"] is not None and told["write_seconds"] == pytest.approx(0.2)


def test_the_database_is_back_once_every_kind_of_write_is(health: Health) -> None:
    with capture_logs() as logs:
        health.failed(WriteKind.CLAIM, "locked")
        health.failed(WriteKind.HEARTBEAT, "locked")
        health.succeeded(WriteKind.CLAIM, 0.1)
        health.seconds += STEADY_SECONDS
        health.succeeded(WriteKind.CLAIM, 0.1)
        assert [line["event"] for line in logs] == [AWAY]
        health.succeeded(WriteKind.HEARTBEAT, 0.1)
    assert [line["event"] for line in logs] == [AWAY, BACK]


def test_a_write_that_finds_room_now_and_then_does_not_mean_that_the_database_is_back(health: Health) -> None:
    with capture_logs() as logs:
        for _ in range(5):
            health.failed(WriteKind.RESULTS, "full")
            health.succeeded(WriteKind.RESULTS, 0.1)
            health.seconds += STEADY_SECONDS - 1
        assert health.as_json()["failing_since"] is not None
        health.seconds += 1
        health.succeeded(WriteKind.HEARTBEAT, 0.1)
        health.succeeded(WriteKind.HEARTBEAT, 0.1)
    assert [line["event"] for line in logs] == [AWAY, BACK]
    assert health.as_json()["failing_since"] is None


def test_failures_to_write_results_are_over_when_there_are_none_to_write(health: Health) -> None:
    health.failed(WriteKind.RESULTS, "locked")
    health.seconds += STEADY_SECONDS
    health.nothing_to_write()
    assert health.as_json()["failures"] == 0
