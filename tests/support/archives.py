"""Groups that can be archived, and archives of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, select, text

from recorder.audit.archive.archiver import Removed, WrittenArchive, remove_ledgers, write_ledgers
from recorder.audit.archive.file_check import check_archive
from recorder.audit.archive.restore import plan_restore, restore_groups
from recorder.audit.archive.selection import ArchiveFilter, ArchivePlan, plan_archive
from recorder.audit.verify.findings import Finding
from recorder.ledger.entries import Action
from recorder.store.archive_tables import tombstones
from recorder.store.engine import open_engine
from recorder.store.enrolment import Deadline, cease_watching
from recorder.store.tables import entries
from recorder.store.transactions import reading, writing
from tests.support.recording import Recording, active, after, settled

LATER = after(86400)


def stop(engine: Engine, taskgroup_id: str, at: float) -> None:
    cease_watching(
        engine,
        taskgroup_id,
        Action.STOPPED,
        actor="ada",
        note=None,
        now=lambda: after(at),
        deadline=Deadline(0),
    )


def record_old(engine: Engine) -> None:
    """Record groups: `done` settled and `cut` did not, and both are stopped; so is `unseen`, which never
    answered; `live` is watched."""
    recording = Recording(engine)
    for number, name in enumerate(("done", "cut", "live")):
        members = {
            "metadata": {"customer": "acme", "batch": number, "long": "é" * 300},
            "created_at": "2026-11-24T11:59:30Z",
        }
        recording.watch(name, number)
        recording.see(name, number + 10, active(running=3), **members)
        recording.see(name, number + 20, active(running=2, completed=1), **members)
        recording.fail(name, number + 30.25)
        recording.see(name, number + 80, active(running=1, completed=2), **members)
        if name != "cut":
            recording.see(name, number + 90, settled(completed=3), **members)
    recording.watch("unseen", 5)
    for name in ("done", "cut", "unseen"):
        stop(engine, name, 120)


@contextmanager
def reader_of(engine: Engine) -> Iterator[Engine]:
    reader = open_engine(engine.url, read_only=True, primary=True)
    try:
        yield reader
    finally:
        reader.dispose()


def plan(engine: Engine, *labels: tuple[str, str], before: float = 1000) -> ArchivePlan:
    with reader_of(engine) as reader:
        return plan_archive(reader, ArchiveFilter(after(before), labels), LATER, lambda *_: None)


def written(engine: Engine, path: Path, chosen: ArchivePlan | None = None) -> WrittenArchive:
    """Write an archive whose groups all stay."""
    chosen = plan(engine) if chosen is None else chosen
    with reader_of(engine) as reader:
        return write_ledgers(reader, chosen, path, lambda *_: None)


def archive(engine: Engine, path: Path, *labels: tuple[str, str], before: float = 1000) -> list[Removed]:
    """Archive what can be archived."""
    chosen = plan(engine, *labels, before=before)
    return list(remove_ledgers(engine, written(engine, path, chosen), lambda: LATER))


def restore(engine: Engine, path: Path) -> int:
    """Bring the groups of an archive back; return how many there were."""
    planned = plan_restore(engine, path, lambda _: None)
    return sum(done.groups for done in restore_groups(engine, path, planned))


def file_findings(engine: Engine, path: Path, heads: Any = None) -> list[Finding]:
    with reader_of(engine) as reader:
        return check_archive(reader, path, heads or {}, lambda _: None).findings


def tombstone_rows(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        found = connection.execute(select(tombstones).order_by(tombstones.c.taskgroup_id))
        return [dict(row._mapping) for row in found]


def unguard(engine: Engine) -> None:
    """Turn off every trigger, as the owner of the tables can."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            for table in ("entries", "tombstones"):
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
            return
        for name in list(connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))):
            connection.execute(text(f"DROP TRIGGER {name}"))


def entry_rows(engine: Engine, taskgroup_id: str) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        mine = select(entries).where(entries.c.taskgroup_id == taskgroup_id).order_by(entries.c.seq)
        return [dict(row._mapping) for row in connection.execute(mine)]


def put_entries(engine: Engine, rows: list[dict[str, Any]]) -> None:
    with writing(engine) as connection:
        connection.execute(insert(entries), rows)
