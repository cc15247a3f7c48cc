"""A recorder archives by itself, one recorder at a time, at most once a day."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from recorder.polling.archive_job import TURN, ArchiveJob
from recorder.store.archive_turns import take_turn
from recorder.store.transactions import writing
from tests.support.archives import LATER, file_findings, record_old, restore, tombstone_rows
from tests.support.tampering import findings


def _run(engine: Engine, folder: Path, now: datetime, owner: str = "one") -> list[Path]:
    job = ArchiveJob(engine, folder, timedelta(hours=1), lambda: now, owner)
    try:
        asyncio.run(job.run())
    finally:
        job.close()
    return sorted(folder.glob("*.zst"))


def test_old_groups_are_archived_once_a_day(engine: Engine, tmp_path: Path) -> None:
    record_old(engine)
    (file,) = _run(engine, tmp_path, LATER)
    assert file.name == "archive-20261125T120000Z.ndjson.zst"
    assert len(tombstone_rows(engine)) == 3
    assert findings(engine) == [] and file_findings(engine, file) == []
    restore(engine, file)
    assert _run(engine, tmp_path, LATER + timedelta(hours=23), "two") == [file]
    assert len(_run(engine, tmp_path, LATER + timedelta(hours=24), "two")) == 2


def test_one_recorder_archives_at_a_time(engine: Engine, tmp_path: Path) -> None:
    record_old(engine)
    with writing(engine) as connection:
        assert take_turn(connection, "another", LATER, LATER + TURN)
        assert not take_turn(connection, "one", LATER, LATER + TURN)
    assert _run(engine, tmp_path, LATER) == []
    # The other one has died.
    assert len(_run(engine, tmp_path, LATER + TURN)) == 1


def test_a_folder_that_cannot_be_written_loses_nothing(engine: Engine, tmp_path: Path) -> None:
    record_old(engine)
    assert _run(engine, tmp_path / "missing", LATER) == []
    assert tombstone_rows(engine) == []
    assert _run(engine, tmp_path, LATER + TURN) != []
