"""Counting the watched groups by what their poll intervals depend on."""

from __future__ import annotations

from sqlalchemy import Engine

from recorder.ledger.status_fields import Phase
from recorder.store.transactions import reading
from recorder.store.workload import QuietGroups, workload
from tests.support.store_samples import at, body, enrol, poll, seen

DAY = 86400


def _record(engine: Engine, taskgroup_id: str, since: float, *responses: tuple[float, int]) -> None:
    """Record responses, each some seconds after `since`, with a number of completed runs of 5."""
    enrol(engine, taskgroup_id, since)
    for seconds, completed in responses:
        poll(engine, taskgroup_id, seen(body(taskgroup_id, completed), since + seconds))


def test_groups_are_counted_by_how_long_they_have_been_quiet(engine: Engine) -> None:
    _record(engine, "tgrp_settled", 0, (1, 5), (14, 5), (34, 5))
    _record(engine, "tgrp_active", 1000, (1, 1), (14, 1))
    _record(engine, "tgrp_interrupted", 2000, (1, 1), (200, 1))
    _record(engine, "tgrp_changed", 3000, (1, 1), (200, 2))
    for number in range(2):
        enrol(engine, f"tgrp_new{number}", 4000)

    def counted(seconds: float) -> set[QuietGroups]:
        with reading(engine) as connection:
            return set(workload(connection, at(seconds)))

    assert counted(4001) == {
        QuietGroups(None, 0, False, 0, 2),
        QuietGroups(Phase.SETTLED, 3, False, 0, 1),
        QuietGroups(Phase.ACTIVE, 2, False, 0, 1),
        QuietGroups(Phase.ACTIVE, 1, True, 1.5**18, 1),
        QuietGroups(Phase.ACTIVE, 1, False, 0, 1),
    }
    (settled,) = (each for each in counted(DAY) if each.phase is Phase.SETTLED)
    assert DAY / 1.5 < settled.quiet_seconds <= DAY
