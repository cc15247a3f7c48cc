"""A database with ledgers of every kind, ways to tamper with it as its owner could, and verification."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Table,
    delete,
    insert,
    select,
    text,
    true,
    update,
)

from recorder.audit.checkpoints import CheckpointHead, read_heads
from recorder.audit.verify.findings import Finding
from recorder.audit.verify.runner import verify
from recorder.audit.verify.tasks import tasks_of
from recorder.ledger.chain import GENESIS, digest_of
from recorder.store.engine import open_engine
from recorder.store.enrolment import resume_watching
from recorder.store.mapping import entry_of
from recorder.store.tables import (
    entries,
    episodes,
    group_labels,
    labelled_durations,
    milestones,
    summaries,
    watches,
)
from recorder.store.transactions import reading, writing
from tests.support.recording import RULES, Recording, active, after, settled
from tests.support.records import made_record

Brief = list[tuple[str, int, str]]
TABLES = (watches, entries, summaries, episodes, milestones, group_labels, labelled_durations)
INEXACT = (
    '{"taskgroup_id": "one", "status": {"num_task_runs": 1e400, "task_run_status_counts": {"failed": 4}}}'
)
ODD = {
    **active(running=2, completed=1, failed=0),
    "status_message": "two to go",
    "eta": [1.5, None, {"é": "𝄞"}],
}
ODD["task_run_status_counts"]["cancelled"] = None
LABELS = {"customer": "acme", "size": 3, "long": "x" * 300}


def record(engine: Engine) -> None:
    """Fill a database; group `one` has an entry of every kind and is active at the end.

    Its entries: 1 started, 2 status, 3 gap, 4 status (unusual), 5 status (settled), 6 paused, 7 resumed,
    8 status (raw text), 9 status, 10 status (settled), 11 status, seen by two polls.
    """
    recording = Recording(engine)
    for name in ("one", "two"):
        recording.watch(name)
        recording.see(name, 10, active(running=3), metadata=LABELS, created_at="2026-11-24T11:59:00.000000Z")
        recording.fail(name, 20.25)
        recording.see(name, 80, {**ODD}, metadata=LABELS)
        recording.see(name, 90, settled(completed=3), metadata=LABELS)
        recording.pause(name, 95)
        resume_watching(engine, name, actor="ann", note=None, now=lambda: after(120), rules=RULES)
        recording.see_raw(name, 121, INEXACT)
        recording.see(name, 130, active(running=1, completed=3), metadata=LABELS)
        recording.see(name, 140, settled(completed=4), metadata=LABELS)
        recording.see(name, 150, active(running=2, completed=4), metadata=LABELS)
        recording.see(name, 160, active(running=2, completed=4), metadata=LABELS)
    recording.watch("never seen")


def unprotect(engine: Engine) -> None:
    """Disable the triggers that reject changes, as the owner of the tables can."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE entries DISABLE TRIGGER ALL"))
            return
        for name in ("update", "delete", "replace"):
            connection.execute(text(f"DROP TRIGGER entries_refuse_{name}"))


def heads_of(engine: Engine) -> dict[str, CheckpointHead]:
    """Return the heads that a checkpoint would store."""
    with reading(engine) as connection:
        return {head.taskgroup_id: head for head in read_heads(connection)}


def findings(
    engine: Engine, heads: Mapping[str, CheckpointHead] | None = None, ids: list[str] | None = None
) -> list[Finding]:
    """Verify over read-only connections."""
    reader = open_engine(engine.url, read_only=True)
    try:
        tasks = tasks_of(reader, ids, heads)
        return [finding for checked in verify(reader, tasks) for finding in checked.findings]
    finally:
        reader.dispose()


def brief(found: list[Finding]) -> Brief:
    return [(finding.taskgroup_id, finding.seq, finding.problem.value) for finding in found]


Rows = Mapping[str, list[Row[Any]]]


def rows_of(engine: Engine, taskgroup_id: str | None = None) -> Rows:
    """Return all rows of a group, or of all groups."""
    with reading(engine) as connection:
        return {
            table.name: list(connection.execute(select(table).where(_of(table, taskgroup_id))))
            for table in TABLES
        }


def put_back(connection: Connection, taskgroup_id: str | None, rows: Rows) -> None:
    """Restore a group, or all groups, to the given rows."""
    for table in TABLES:
        connection.execute(delete(table).where(_of(table, taskgroup_id)))
        if rows[table.name]:
            connection.execute(insert(table), [dict(row._mapping) for row in rows[table.name]])


def _of(table: Table, taskgroup_id: str | None) -> ColumnElement[bool]:
    return true() if taskgroup_id is None else table.c.taskgroup_id == taskgroup_id


def forget(connection: Connection, taskgroup_id: str) -> None:
    """Delete all rows of a group."""
    put_back(connection, taskgroup_id, {table.name: [] for table in TABLES})


Harm = Callable[[Connection], None]


def entry(seq: int, **values: Any) -> Harm:
    """Change an entry of group `one`."""
    return changed(entries, entries.c.seq == seq, **values)


def watch(**values: Any) -> Harm:
    """Change the watch row of group `one`."""
    return changed(watches, None, **values)


def changed(table: Any, which: Any, **values: Any) -> Harm:
    """Change rows of group `one`."""

    def harm(connection: Connection) -> None:
        statement = update(table).where(table.c.taskgroup_id == "one").values(values)
        assert connection.execute(statement if which is None else statement.where(which)).rowcount

    return harm


def gone(*seqs: int) -> Harm:
    """Delete entries of group `one`."""

    def harm(connection: Connection) -> None:
        mine = entries.c.taskgroup_id == "one"
        assert connection.execute(delete(entries).where(mine, entries.c.seq.in_(seqs))).rowcount == len(seqs)

    return harm


def renumbered(numbers: Mapping[int, int]) -> Harm:
    """Give entries of group `one` other numbers."""

    def harm(connection: Connection) -> None:
        mine = entries.c.taskgroup_id == "one"
        # Move rows to unused numbers first, since numbers must be unique at all times.
        for old in numbers:
            connection.execute(update(entries).where(mine, entries.c.seq == old).values(seq=old + 1000))
        for old, new in numbers.items():
            connection.execute(update(entries).where(mine, entries.c.seq == old + 1000).values(seq=new))

    return harm


def rechained(taskgroup_id: str = "one") -> Harm:
    """Recompute the digests of a group and the head in its watch row, as a forger would."""

    def harm(connection: Connection) -> None:
        mine, digest = entries.c.taskgroup_id == taskgroup_id, GENESIS
        for row in connection.execute(select(entries).where(mine).order_by(entries.c.seq)).all():
            digest = digest_of(digest, made_record(entry_of(row)))
            this = mine, entries.c.seq == row.seq
            connection.execute(update(entries).where(*this).values(digest=digest))
        head = update(watches).where(watches.c.taskgroup_id == taskgroup_id)
        connection.execute(head.values(head_digest=digest))

    return harm


def statement(sql: str) -> Harm:
    """Execute a statement, which must change rows."""

    def harm(connection: Connection) -> None:
        assert connection.execute(text(sql)).rowcount

    return harm


def all_of(*harms: Harm) -> Harm:
    def harm(connection: Connection) -> None:
        for one in harms:
            one(connection)

    return harm
