"""Ledgers recorded by older rules: they verify as they are, and completion follows the new rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine, delete, select, text, update

from recorder.ledger.poll_outcome import Cause
from recorder.store.migrate import downgrade, upgrade
from recorder.store.schema import SchemaError, state_of
from recorder.store.tables import entries, episodes, summaries, watches
from recorder.store.transactions import reading, writing
from tests.support.recording import Recording, active, settled
from tests.support.tampering import findings, unprotect

GROUP = "tgrp_1"
EARLY, LATE, END = (f"2026-11-24T12:{minute}:00Z" for minute in ("00", "20", "40"))


def _status(status: dict[str, Any], modified_at: str) -> dict[str, Any]:
    return {**status, "modified_at": modified_at}


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    """A ledger as revision 0003 has it: an episode, an older state, one a little younger, and another group's
    body in force."""
    recording = Recording(engine)
    recording.watch(GROUP)
    recording.see(GROUP, 5, _status(active(running=5), EARLY))
    recording.see(GROUP, 15, _status(settled(completed=5), END))
    recording.see(GROUP, 25, _status(settled(completed=2), EARLY))
    recording.see(GROUP, 35, _status(settled(completed=3), LATE))
    recording.see(GROUP, 45, _status(settled(completed=5), END))
    other = {"taskgroup_id": "tgrp_2", "status": _status(settled(completed=9), END)}
    recording.see_raw(GROUP, 55, json.dumps(other))
    _make_old(engine)
    return engine


def _make_old(engine: Engine) -> None:
    """Rewrite what the rules derive as the older rules did, which knew no older states."""
    downgrade(engine, "0003", discard_ledger=False)
    unprotect(engine)
    with writing(engine) as connection:
        connection.execute(update(entries).where(entries.c.kind == "status").values(rules=1))
        # It was compared with the state just before it.
        connection.execute(update(entries).where(entries.c.seq == 5).values(anomalies="[]"))
        connection.execute(update(entries).where(entries.c.seq == 7).values(phase="settled"))
        connection.execute(update(watches).values(finished=9, phase="settled"))
        connection.execute(delete(episodes))


def _episodes(engine: Engine) -> list[tuple[Any, ...]]:
    question = text("SELECT episode, censored, runs_completed, polls FROM group_completion ORDER BY episode")
    with reading(engine) as connection:
        return [(row[0], bool(row[1]), *row[2:]) for row in connection.execute(question)]


def _anomalies(engine: Engine) -> list[list[str]]:
    question = text("SELECT anomalies FROM entries WHERE kind = 'status' ORDER BY seq")
    with reading(engine) as connection:
        return [json.loads(anomalies) for anomalies in connection.scalars(question)]


def test_an_upgrade_derives_completion_by_the_new_rules(recorded: Engine) -> None:
    before = _anomalies(recorded)
    upgrade(recorded)
    assert _episodes(recorded) == [(1, False, 5, 2)]
    assert findings(recorded) == []
    assert _anomalies(recorded) == before


def test_recording_goes_on_after_the_upgrade(recorded: Engine) -> None:
    upgrade(recorded)
    recording = Recording(recorded)
    recording.see(GROUP, 60, _status(settled(completed=5), END))
    recording.see(GROUP, 65, _status(active(running=1, completed=5), "2026-11-24T13:00:00Z"))
    assert findings(recorded) == []
    # The older rules took the other group's counts for this one's.
    assert _anomalies(recorded)[-2:] == [["counts_decreased"], []]
    assert _episodes(recorded)[-1] == (2, True, 5, 1)


def test_a_downgrade_has_completion_derived_anew(recorded: Engine) -> None:
    upgrade(recorded)
    downgrade(recorded, "0003", discard_ledger=False)
    with reading(recorded) as connection:
        assert connection.execute(select(summaries.c.seq)).all() == []
    upgrade(recorded)
    assert findings(recorded) == []


def test_a_downgrade_is_refused_once_older_programs_could_not_read_the_ledger(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch(GROUP)
    recording.see(GROUP, 5, active(running=5))
    for at in (15, 25, 35, 45):
        recording.fail(GROUP, at, Cause.STALE)
    recording.see(GROUP, 55, active(running=5))
    with pytest.raises(SchemaError, match="gaps with the cause stale"):
        downgrade(engine, "0003", discard_ledger=False)
    assert findings(engine) == []
    assert state_of(engine).at_head
