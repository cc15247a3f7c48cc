"""Derived rows are the same whether they are written with the ledger or rebuilt from it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, delete, select, text, update

from recorder.completion.summary import SUMMARY_RULES
from recorder.ledger.entries import Action
from recorder.store.enrolment import Deadline, cease_watching
from recorder.store.leases import write_results
from recorder.store.migrate import upgrade
from recorder.store.rebuilding import rebuild_all
from recorder.store.tables import episodes, group_labels, labelled_durations, milestones, summaries
from recorder.store.transactions import reading, writing
from tests.support.store_samples import at, body, claim_one, enrol, failed, finished, poll, seen

DERIVED = (summaries, episodes, milestones, group_labels, labelled_durations)
LONG = "x" * 5000


def _rows(engine: Engine) -> list[list[tuple[Any, ...]]]:
    with reading(engine) as connection:
        return [
            [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in DERIVED
        ]


def _labels(engine: Engine, taskgroup_id: str) -> dict[str, str]:
    with reading(engine) as connection:
        rows = connection.execute(
            select(group_labels).where(group_labels.c.taskgroup_id == taskgroup_id)
        ).all()
    return {row.key: row.long_value or row.value for row in rows}


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    """A group with two episodes, gaps and a pause, an active group, and one that was never seen."""
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    for seconds in (12, 20, 40):
        poll(engine, "tgrp_1", failed(seconds))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 5), 61.5))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 5, total=7), 80))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 5, total=7), 95))
    cease_watching(
        engine,
        "tgrp_1",
        Action.PAUSED,
        actor="ann",
        note=None,
        now=lambda: at(100),
        deadline=Deadline(0),
    )
    enrol(engine, "Gruppe ä", seconds=200)
    poll(engine, "Gruppe ä", seen(body("Gruppe ä", 2), 201))
    enrol(engine, "tgrp_never", seconds=300)
    return engine


@pytest.mark.parametrize(
    "harm",
    [
        *(delete(table) for table in DERIVED),
        update(episodes).values(duration_seconds=1),
        update(milestones).values(seconds=1),
        update(summaries).values(rules=SUMMARY_RULES + 1),
        update(group_labels).values(value='"somebody else"'),
    ],
    ids=str,
)
def test_a_rebuild_restores_the_derived_rows(recorded: Engine, harm: Any) -> None:
    written = _rows(recorded)
    assert [len(rows) for rows in written] == [3, 3, 15, 2, 1]
    with writing(recorded) as connection:
        connection.execute(harm)
    assert _rows(recorded) != written
    assert list(rebuild_all(recorded)) == [3]
    assert _rows(recorded) == written


@pytest.mark.parametrize(
    "harm", [delete(summaries), update(summaries).values(rules=SUMMARY_RULES + 1)], ids=str
)
def test_an_upgrade_rebuilds_missing_and_outdated_summaries(recorded: Engine, harm: Any) -> None:
    written = _rows(recorded)
    with writing(recorded) as connection:
        connection.execute(harm)
    upgrade(recorded)
    assert _rows(recorded) == written


def test_a_missing_summary_is_rebuilt_with_the_next_entry(recorded: Engine) -> None:
    with writing(recorded) as connection:
        for table in DERIVED:
            connection.execute(delete(table).where(table.c.taskgroup_id == "Gruppe ä"))
    poll(recorded, "Gruppe ä", seen(body("Gruppe ä", 5), 220))
    written = _rows(recorded)
    assert [len(rows) for rows in written] == [3, 3, 15, 2, 2]
    assert list(rebuild_all(recorded)) == [3]
    assert _rows(recorded) == written


def _changes(engine: Engine, taskgroup_id: str, completed: int, total: int, seconds: float) -> list[Any]:
    """Return the changes of one poll: (group, numbers of opened episodes, numbers of ended episodes)."""
    claim = claim_one(engine, taskgroup_id, seconds - 0.5)
    result = finished(claim, seen(body(taskgroup_id, completed, total=total), seconds))
    with writing(engine) as connection:
        changes = write_results(connection, [result]).changes
    return [
        (change.taskgroup_id, list(change.opened), [episode.number for episode in change.ended])
        for change in changes
    ]


@pytest.mark.parametrize("stale", [False, True])
def test_a_write_reports_which_episodes_it_opened_and_ended(engine: Engine, stale: bool) -> None:
    enrol(engine, "tgrp_1")
    steps = [
        ((1, 5, 1), [("tgrp_1", [1], [])]),
        ((2, 5, 12), [("tgrp_1", [], [])]),
        ((2, 5, 25), []),
        ((5, 5, 50), [("tgrp_1", [], [1])]),
        ((5, 6, 360), [("tgrp_1", [2], [])]),
        ((6, 6, 372), [("tgrp_1", [], [2])]),
        ((9, 9, 690), [("tgrp_1", [3], [3])]),
    ]
    for (completed, total, seconds), expected in steps:
        if stale:
            with writing(engine) as connection:
                connection.execute(update(summaries).values(rules=SUMMARY_RULES + 1))
        assert _changes(engine, "tgrp_1", completed, total, seconds) == expected


def test_labels_are_the_scalars_of_the_newest_metadata(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    first = {"a": "1", "b": 1, "c": True, "d": None, "e": [1], "f": 1.5, "g\0": "x\0y", "long": LONG}
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1, metadata=first), 1))
    expected = {'"a"': '"1"', '"b"': "1", '"c"': "true", '"f"': "1.5", '"g\\u0000"': '"x\\u0000y"'}
    assert _labels(engine, "tgrp_1") == {**expected, '"long"': f'"{LONG}"'}
    poll(engine, "tgrp_1", seen(body("tgrp_1", 2, metadata={"b": 2}), 12))
    assert _labels(engine, "tgrp_1") == {'"b"': "2"}
    poll(engine, "tgrp_1", seen(body("tgrp_1", 3, metadata="none"), 30))
    assert _labels(engine, "tgrp_1") == {}


def test_long_keys_are_stored_by_their_digest(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1, metadata={LONG: LONG}), 1))
    with reading(engine) as connection:
        ((key, value),) = connection.execute(text("SELECT key, value FROM group_labels")).all()
    assert key.startswith("sha256:") and value.startswith("sha256:") and key == value
