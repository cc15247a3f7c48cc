"""Requests and log messages while the key is rejected or the rate is insufficient."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from recorder.ledger.entries import Gap, Kind
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.timestamps import parse_time
from recorder.settings import Settings
from recorder.store.groups import list_groups
from recorder.store.heartbeats import heartbeats
from recorder.store.history import HistoryFilter, read_history
from recorder.store.transactions import reading
from tests.polling.recorders import StartUpstream, Upstream, all_settled, record
from tests.support.request_log import read_log

GROUPS = 30


def _polls(upstream: Upstream) -> list[tuple[datetime, int | None]]:
    """Return when groups were polled, and the status of each response."""
    lines = read_log(upstream.log)
    return [(parse_time(line["at"]), line["status"]) for line in lines if line["method"] == "GET"]


def _states(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return [beat.report["upstream"]["state"] for beat in heartbeats(connection)]


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return settings.model_copy(update={"gap_grace": 2.0})


def test_a_rejected_key_stops_all_polls_except_probes(
    engine: Engine, start_upstream: StartUpstream, quick: Settings
) -> None:
    upstream = start_upstream("0-12:401")
    ids = [upstream.create(engine, quick) for _ in range(GROUPS)]
    states: set[str] = set()

    def finished() -> bool:
        states.update(_states(engine))
        return all_settled(engine)

    with capture_logs() as logs:
        record(quick, engine, upstream, finished)
    rejected = [at for at, status in _polls(upstream) if status == 401]
    # All groups are polled once at first; after that, only probes are sent.
    first, probes = rejected[:GROUPS], rejected[GROUPS:]
    assert len(rejected) >= GROUPS and first[-1] - first[0] < timedelta(seconds=3)
    assert 1 <= len(probes) <= 20
    assert all(later - earlier >= timedelta(seconds=0.2) for earlier, later in pairwise(probes))
    assert "key_rejected" in states
    events = [line["event"] for line in logs]
    assert sum("rejects the API key" in event for event in events) == 1
    assert sum("accepts the API key again" in event for event in events) == 1
    for taskgroup_id in ids:
        with reading(engine) as connection:
            items = read_history(connection, taskgroup_id, HistoryFilter(kinds=[Kind.GAP]), 10)
        (gap,) = [item.content for item in items if isinstance(item.content, Gap)]
        assert gap.cause is Cause.UNAUTHORIZED
        assert gap.http_status == 401


def test_an_insufficient_rate_stretches_the_schedule_and_is_reported(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    pace = dict.fromkeys(("poll_interval", "max_interval", "settled_interval"), 0.5)
    slow = settings.model_copy(update={"rate": 20.0, **pace})
    upstream = start_upstream()
    for _ in range(GROUPS):
        upstream.create(engine, slow)
    reports: list[dict[str, float]] = []

    def polled_enough() -> bool:
        with reading(engine) as connection:
            reports.extend(beat.report["rate"] for beat in heartbeats(connection))
        return len(_polls(upstream)) >= 6 * GROUPS

    with capture_logs() as logs:
        record(slow, engine, upstream, polled_enough)
    # 30 groups every 0.5 s need 60 requests per second, but only 20 are allowed.
    assert reports[-1]["needed_per_second"] == pytest.approx(GROUPS / 0.5)
    assert reports[-1]["stretch"] == pytest.approx(GROUPS / 0.5 / (20 * 0.9), abs=0.001)
    warnings = [line for line in logs if "rate does not suffice" in line["event"]]
    assert len(warnings) == 1 and warnings[0]["needed_per_second"] == GROUPS / 0.5
    times = [at for at, _ in _polls(upstream)]
    seconds = (times[-1] - times[0]).total_seconds()
    # Up to one second of unused requests may be sent in a burst.
    assert len(times) - 1 <= 20 * (seconds + 1.5)
    successful = upstream.successful_polls()
    assert len(successful) == GROUPS and max(successful.values()) - min(successful.values()) <= 3
    with reading(engine) as connection:
        groups = list_groups(connection, limit=100)
        kinds = {
            item.kind
            for group in groups
            for item in read_history(connection, group.watch.taskgroup_id, HistoryFilter(), 100)
        }
    assert kinds == {Kind.WATCH, Kind.STATUS}
    stretched = [group.interval_seconds for group in groups if group.interval_seconds is not None]
    assert max(stretched) == pytest.approx(0.5 * reports[-1]["stretch"], abs=0.001)
