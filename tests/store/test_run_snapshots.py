"""Snapshots of runs: kept apart from the ledger, fixed by an entry, and proven with it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from sqlalchemy import Engine, text

from recorder.audit.exporter import export_lines
from recorder.ledger.entries import WatchChange
from recorder.ledger.run_claims import noted_digest
from recorder.ledger.timestamps import format_time
from recorder.ledger.watch import WatchState
from recorder.store.groups import find_watch
from recorder.store.history import read_entries
from recorder.store.run_snapshots import ENROLLED_NOTE, find_snapshot, said_of
from recorder.store.tombstones import ArchivedGroupError
from recorder.store.transactions import reading
from tests.support.archives import archive, stop
from tests.support.recording import Recording, active, after, settled
from tests.support.run_claims import backfill, said

EVENTS = [
    said(2, "running", created=1, modified=4, processor="lite"),
    said(10),
    said(1, modified=-1),
    said(3, "new"),
]


def changes(engine: Engine, taskgroup_id: str) -> list[tuple[str, str, str | None]]:
    with reading(engine) as connection:
        entries = [entry.content for entry in read_entries(connection, taskgroup_id)]
    return [
        (content.action.value, content.actor, content.note)
        for content in entries
        if isinstance(content, WatchChange)
    ]


def rows(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [
            dict(row)
            for row in connection.execute(text("SELECT * FROM task_runs ORDER BY run_id")).mappings()
        ]


def test_a_group_that_was_never_watched_is_kept_without_being_polled(engine: Engine) -> None:
    kept = backfill(engine, "tgrp_1", EVENTS, after(20))
    assert (kept.seq, kept.runs) == (2, 4)
    assert changes(engine, "tgrp_1") == [
        ("started", "ann", ENROLLED_NOTE),
        ("noted", "recorder", f"backfill: 4 runs, sha256 {kept.digest}"),
        ("stopped", "ann", None),
    ]
    with reading(engine) as connection:
        group = find_watch(connection, "tgrp_1")
        assert group is not None and group.watch.state is WatchState.STOPPED
        assert find_snapshot(connection, "tgrp_1") == kept


def test_the_digest_is_that_of_what_was_said_in_the_order_of_ids(engine: Engine) -> None:
    again = said(2, "completed", created=1, modified=9)
    kept = backfill(engine, "tgrp_1", [*EVENTS, again], after(20))
    lines = [EVENTS[2], EVENTS[1], again, EVENTS[3]]
    with reading(engine) as connection:
        assert list(said_of(connection, "tgrp_1", kept.seq)) == lines
    assert kept.digest == hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    ((_, _, note),) = [change for change in changes(engine, "tgrp_1") if change[0] == "noted"]
    assert noted_digest(note or "") == kept.digest


def test_the_view_has_the_find_snapshot_alone(engine: Engine) -> None:
    backfill(engine, "tgrp_1", [said(7)], after(15))
    kept = backfill(engine, "tgrp_1", EVENTS, after(20))
    found = [
        (
            row["run_id"],
            row["processor"],
            row["claimed_status"],
            row["claimed_duration_seconds"],
            row["claimed_wait_seconds"],
        )
        for row in rows(engine)
    ]
    assert found == [
        ("trun_1", "core", "completed", None, None),
        ("trun_10", "core", "completed", 10.0, None),
        ("trun_2", "lite", "running", None, 3.0),
        ("trun_3", "core", "new", None, None),
    ]
    first = rows(engine)[0]
    assert first["seq"] == kept.seq == 4
    shown = {
        name: value if isinstance(value, str) else format_time(value)
        for name, value in first.items()
        if name.endswith("_at")
    }
    assert shown == {
        "taken_at": format_time(after(20)),
        "claimed_created_at": format_time(after(0)),
        "claimed_modified_at": format_time(after(-1)),
    }


def test_a_watched_group_goes_on_being_watched(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1))
    kept = backfill(engine, "tgrp_1", EVENTS, after(20))
    recording.see("tgrp_1", 21, active(running=1))
    assert kept.seq == 3
    assert [change[0] for change in changes(engine, "tgrp_1")] == ["started", "noted"]
    with reading(engine) as connection:
        assert [entry.kind.value for entry in read_entries(connection, "tgrp_1")] == [
            *("watch", "status", "watch", "status"),
        ]


def test_exports_know_nothing_of_snapshots(engine: Engine) -> None:
    backfill(engine, "tgrp_1", EVENTS, after(20))
    with reading(engine) as connection:
        lines = [bytes(line) for line in export_lines(connection, ["tgrp_1"])]
    assert len(lines) == 4
    assert not any(b"trun_" in line for line in lines)


def test_a_snapshot_outlives_the_archived_ledger(engine: Engine, tmp_path: Any) -> None:
    recording = Recording(engine)
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, settled(completed=1), metadata={"kept": "no"})
    backfill(engine, "tgrp_1", EVENTS, after(2))
    before = rows(engine)
    stop(engine, "tgrp_1", 3)
    archive(engine, tmp_path / "gone.ndjson", ("kept", "no"))
    assert rows(engine) == before != []
    with pytest.raises(ArchivedGroupError):
        backfill(engine, "tgrp_1", EVENTS, after(30))
    assert rows(engine) == before
