"""A recorder that is frozen inside a transaction, with rows locked, holds up nobody."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from recorder.clock import utc_now
from recorder.settings import Settings
from recorder.store.heartbeats import Heartbeat, beat, heartbeats
from recorder.store.leases import claim_due
from recorder.store.transactions import reading, writing
from tests.polling.recorders import StartUpstream, record


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_recorder_frozen_in_a_transaction_holds_up_nobody(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
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
        answered = upstream.successful_polls()
        # The groups of the frozen recorder are polled again as soon as its lease has ended.
        if utc_now() > until:
            locks.rollback()
        return all(answered[one] >= (1 if one in claimed else 10) for one in ids)

    # Opened without our limits, so that the server does not end it.
    with psycopg.connect(engine.url.set(drivername="postgresql").render_as_string(False)) as locks:
        locks.execute("SELECT * FROM watches WHERE owner = 'frozen' FOR UPDATE")
        locks.execute("UPDATE recorders SET pid = 8 WHERE recorder_id = 'frozen'")
        with capture_logs() as logs:
            record(settings, engine, upstream, polled_by_others)
    events = [line["event"] for line in logs]
    assert "took over from dead recorders" in events
    assert "database unavailable, waiting for it to return" not in events
    assert max(ages) < 5
