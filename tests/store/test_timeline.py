"""Reading the timeline of part of a ledger."""

from __future__ import annotations

from sqlalchemy import Engine

from recorder.store.groups import find_group
from recorder.store.timeline import read_timeline
from recorder.store.transactions import reading
from tests.support.recording import Recording, active, after, settled


def test_the_last_status_read_lasts_until_it_was_last_seen(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 10, active(running=2))
    recording.see("tgrp_1", 20, active(running=2))
    recording.see("tgrp_1", 30, active(running=1, completed=1))
    for at in (45, 60, 75):
        recording.fail("tgrp_1", at)
    recording.see("tgrp_1", 90, settled(completed=2))
    with reading(engine) as connection:
        group = find_group(connection, "tgrp_1")
        assert group is not None
        marks, _ = read_timeline(connection, group.watch, range(1, 4), after(125))
    assert [(mark.seq, mark.until) for mark in marks] == [(1, after(0)), (2, after(20)), (3, after(30))]
