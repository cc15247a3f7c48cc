"""A recorder that is frozen inside a transaction, with rows locked, holds up nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update
from structlog.testing import capture_logs

from recorder.clock import utc_now
from recorder.settings import Settings
from recorder.store.engine import open_engine
from recorder.store.heartbeats import Heartbeat, beat, heartbeats
from recorder.store.leases import claim_due
from recorder.store.tables import recorders, watches
from recorder.store.transactions import reading, writing
from tests.polling.at_work import Simulate, record


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_recorder_frozen_in_a_transaction_holds_up_nobody(
    engine: Engine, simulate: Simulate, settings: Settings
) -> None:
    upstream = simulate()
    ids = [upstream.create(engine, settings) for _ in range(6)]
    long_ago = utc_now() - timedelta(seconds=60)
    with writing(engine) as connection:
        beat(connection, Heartbeat("frozen", "elsewhere", 7, long_ago, long_ago, {}, {}))
        until = utc_now() + timedelta(seconds=8)
        claims = claim_due(connection, owner="frozen", now=utc_now(), lease_until=until, limit=2)
    claimed = {claim.watch.taskgroup_id for claim in claims}
    ages: list[float] = []

    def polled_by_others() -> bool:
        with reading(engine) as connection:
            beats = [one for one in heartbeats(connection) if one.recorder_id != "frozen"]
        ages.extend((utc_now() - one.heartbeat_at).total_seconds() for one in beats)
        answered = upstream.answered()
        # The groups of the frozen recorder are polled again as soon as its lease has ended.
        if thaw.in_transaction() and utc_now() > until:
            thaw.rollback()
        return all(answered[one] >= (1 if one in claimed else 10) for one in ids)

    other = open_engine(engine.url)
    with other.connect() as thaw, capture_logs() as logs:
        mine = watches.c.owner == "frozen"
        thaw.execute(select(watches).where(mine).with_for_update())
        thaw.execute(update(recorders).where(recorders.c.recorder_id == "frozen").values(pid=8))
        record(settings, engine, upstream, polled_by_others)
    other.dispose()
    events = [line["event"] for line in logs]
    assert "took over from dead recorders" in events
    assert "database unavailable, waiting for it to return" not in events
    assert max(ages) < 5
