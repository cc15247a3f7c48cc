"""Groups are derived anew in batches, whoever stops it and whoever writes meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from recorder.completion.summary import SUMMARY_RULES, Summary, summarize
from recorder.ledger.entries import Entry
from recorder.store import rebuilding
from recorder.store.clock_events import find_overdue, find_short, find_stalled
from recorder.store.derived import summary_of
from recorder.store.durations import Selection, durations_of
from recorder.store.rebuilding import rebuild_left
from recorder.store.tables import episodes, group_labels, labelled_durations, milestones, summaries
from recorder.store.transactions import reading, writing
from recorder.store.underived import UnderivedError, deriving
from tests.support.recording import Recording, active, after, settled
from tests.support.underived_groups import GROUPS, make_older, record_groups

DERIVED = (summaries, episodes, milestones, group_labels, labelled_durations)


pytestmark = pytest.mark.ledger(fill=record_groups)


def _rows(engine: Engine) -> list[list[tuple[Any, ...]]]:
    with reading(engine) as connection:
        return [
            [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in DERIVED
        ]


def test_what_was_interrupted_goes_on_with_what_is_left(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "BATCH_GROUPS", 2)
    written = _rows(engine)
    make_older(engine)
    begun = rebuild_left(engine)
    assert next(begun).members() == {"groups_done": 2, "groups_total": 5}
    begun.close()
    with reading(engine) as connection:
        assert deriving(connection) == rebuilding.Deriving(2, 5)
        with pytest.raises(UnderivedError, match="2 of 5 groups are done"):
            durations_of(connection, Selection())
    assert [found.done for found in rebuild_left(engine)] == [2, 3]
    assert _rows(engine) == written
    assert list(rebuild_left(engine)) == []
    with reading(engine) as connection:
        assert deriving(connection) is None


def test_two_share_the_work(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "BATCH_GROUPS", 1)
    written = _rows(engine)
    make_older(engine)
    one, other = rebuild_left(engine), rebuild_left(engine)
    assert next(one).done == 1
    assert list(other)[-1] == rebuilding.Deriving(4, 4)
    derived: list[str] = []
    monkeypatch.setattr(rebuilding, "_rebuild", lambda _, batch: derived.extend(batch) or iter(()))
    assert list(one)[-1].done == 5 and derived == []
    assert _rows(engine) == written


def test_an_entry_that_is_written_meanwhile_is_in_the_result(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_older(engine)
    recording, seen = Recording(engine), list[str]()

    def interrupted(summary: Summary, entries: Iterable[Entry]) -> Any:
        found = summarize(summary, entries)
        if not seen:
            seen.append(GROUPS[-1])
            recording.see(GROUPS[-1], 100, settled(completed=2))
        return found

    monkeypatch.setattr(rebuilding, "summarize", interrupted)
    for _ in rebuild_left(engine):
        pass
    incremental = _rows(engine)
    assert seen and len(incremental[1]) == 5
    with reading(engine) as connection:
        assert summary_of(connection, GROUPS[-1]).seq == 4
    make_older(engine)
    for _ in rebuild_left(engine):
        pass
    assert _rows(engine) == incremental


def test_nothing_is_told_of_groups_that_are_still_to_be_derived(engine: Engine) -> None:
    recording = Recording(engine)
    recording.expect(GROUPS[0], 30, runs=5, by=after(40))
    recording.see(GROUPS[0], 50, settled(completed=2))
    recording.see(GROUPS[-1], 1000, active(running=2))
    later = after(1100)

    def told() -> list[str]:
        with reading(engine) as connection:
            found = [
                *find_short(connection, timedelta(seconds=30), after(85)),
                *find_overdue(connection, later),
                *find_stalled(connection, timedelta(seconds=600), later),
            ]
        return [f"{event.type.value} {event.subject}" for event in found]

    before = told()
    assert [line.partition(" ")[0] for line in before] == ["group.short", "group.overdue", "group.stalled"]
    with writing(engine) as connection:
        connection.execute(update(summaries).values(rules=SUMMARY_RULES - 1))
    assert told() == []
    for _ in rebuild_left(engine):
        pass
    assert told() == before
