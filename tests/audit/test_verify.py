"""Verification has no false findings, for random and growing ledgers and any size of snapshot."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, func, select, text

from recorder.audit.checkpoints import CheckpointHead
from recorder.audit.verify import runner as verification
from recorder.audit.verify.findings import Finding, ProblemKind
from recorder.audit.verify.runner import verify
from recorder.audit.verify.tasks import tasks_of
from recorder.store.engine import open_engine
from recorder.store.tables import entries
from recorder.store.transactions import reading, writing
from tests.support.audit_ledgers import RandomLedger, random_ledgers, write
from tests.support.recording import Recording, active, settled
from tests.support.tampering import all_of, brief, entry, findings, gone, heads_of, record, unprotect


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the number of entries read in one snapshot."""
    return lambda size: monkeypatch.setattr(verification, "ENTRIES_AT_ONCE", size)


@pytest.fixture(scope="module")
def ledgers() -> list[RandomLedger]:
    """Many short and unusual ledgers, and a long, ordinary one."""
    odd = random_ledgers(1, groups=20, entries_each=400, oddity=0.25, trouble=0.15)
    usual = random_ledgers(2, groups=1, entries_each=2000, oddity=0.01, trouble=0.02, first=20)
    return [*odd, *usual]


@pytest.mark.slow
def test_ten_thousand_random_entries_are_intact(engine: Engine, ledgers: list[RandomLedger]) -> None:
    write(engine, ledgers)
    with reading(engine) as connection:
        kinds = dict(connection.execute(select(entries.c.kind, func.count()).group_by(entries.c.kind)).all())
        raw = connection.scalar(select(func.count()).where(entries.c.extra.like('{"text"%')))
    assert sum(kinds.values()) >= 10_000
    assert min(*kinds.values(), raw) > 100
    assert findings(engine, heads_of(engine)) == []


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 11, 12])
def test_findings_do_not_depend_on_the_size_of_a_snapshot(
    engine: Engine, cut: Callable[[int], None], size: int
) -> None:
    heads = heads_of(engine)
    assert findings(engine, heads) == []
    cut(size)
    assert findings(engine, heads) == []
    unprotect(engine)
    with writing(engine) as connection:
        all_of(entry(2, running=9), entry(4, digest="0" * 64), gone(6, 7, 11), entry(9, kind="gap"))(
            connection
        )
        connection.execute(text("UPDATE episodes SET polls = 99 WHERE taskgroup_id = 'two' AND number = 1"))
    found = findings(engine, heads)
    cut(10_000)
    assert sorted(found) == findings(engine, heads)
    assert [seq for name, seq, _ in brief(sorted(found)) if name == "one"] == [2, 4, 6, 9, 11]


@pytest.mark.ledger(fill=record)
@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 10_000])
def test_concurrent_recording_causes_no_findings(
    engine: Engine, cut: Callable[[int], None], size: int
) -> None:
    """Verification may see a snapshot between any two of the recorder's entries."""
    cut(size)
    heads = heads_of(engine)
    done = threading.Event()
    writer = threading.Thread(target=_go_on_recording, args=(engine, done))
    writer.start()
    rounds = 0
    try:
        while not done.is_set() or rounds < 2:
            assert findings(engine, heads) == []
            rounds += 1
    finally:
        writer.join()
    assert findings(engine, heads_of(engine)) == []


def _go_on_recording(engine: Engine, done: threading.Event) -> None:
    recording = Recording(engine)
    try:
        for step in range(20):
            at = 200 + 10 * step
            for name in ("one", "two", f"new {step}"):
                if name.startswith("new"):
                    recording.watch(name, at)
                runs = active(running=step + 1) if step % 5 else settled(completed=step + 1)
                recording.see(name, at + 1, runs, metadata={"step": step // 3})
    finally:
        done.set()


def test_groups_are_read_between_writes_of_another(
    engine: Engine, cut: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that grows between snapshots is read to its end."""
    cut(2)
    recording = Recording(engine)
    recording.watch("one")
    for step in range(1, 6):
        recording.see("one", 10 * step, active(running=step))
    reader = open_engine(engine.url, read_only=True)
    step, read = 6, 0
    for checked in verify(reader, tasks_of(reader)):
        assert checked.findings == ()
        read += checked.entries
        if step < 9:
            recording.see("one", 10 * step, active(running=step))
            step += 1
    reader.dispose()
    assert read == 9


@pytest.mark.ledger(fill=record)
def test_the_size_of_snapshots_is_limited(engine: Engine, cut: Callable[[int], None]) -> None:
    cut(5)
    reader = open_engine(engine.url, read_only=True)
    pieces = list(verify(reader, tasks_of(reader)))
    reader.dispose()
    assert [piece.entries for piece in pieces] == [5, 5, 5, 5, 3]
    assert sum(piece.groups for piece in pieces) == 3


@pytest.mark.ledger(fill=record)
def test_selected_groups_only(engine: Engine) -> None:
    unprotect(engine)
    with writing(engine) as connection:
        entry(5, failed=7)(connection)
    assert brief(findings(engine, ids=["one"])) == [("one", 5, "digest_mismatch")]
    assert findings(engine, ids=["two", "never seen"]) == []


def test_ids_sort_by_their_bytes(engine: Engine) -> None:
    names = ["Z", "a", "é", "\ufffd", "😀"]
    recording = Recording(engine)
    for name in reversed(names):
        recording.watch(name)
    unprotect(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE entries SET watch_actor = 'eve'"))
    assert brief(findings(engine)) == [(name, 1, "digest_mismatch") for name in names]


@pytest.mark.slow
def test_more_groups_than_are_read_at_once(engine: Engine) -> None:
    write(engine, random_ledgers(3, groups=205, entries_each=2, oddity=0, trouble=0))
    heads = heads_of(engine)
    lost = {f"tgrp_{number:06}x": CheckpointHead("", 1, "0" * 64, None, None) for number in range(0, 205, 7)}
    reader = open_engine(engine.url, read_only=True)
    pieces = list(verify(reader, tasks_of(reader, None, heads | lost)))
    reader.dispose()
    assert sum(piece.groups for piece in pieces) == 205 + len(lost)
    assert [one.taskgroup_id for piece in pieces for one in piece.findings] == sorted(lost)


def test_invalid_utf_8_in_a_finding_is_escaped() -> None:
    members = Finding("a\udcff", 1, ProblemKind.UNREADABLE, "b\udcfe").members()
    assert (members["taskgroup_id"], members["detail"]) == ("a\\udcff", "b\\udcfe")


def test_entries_after_an_altered_one_are_not_compared_with_it(engine: Engine) -> None:
    """Without the second status, the third would have fewer finished runs than its predecessor."""
    recording = Recording(engine)
    recording.watch("one")
    for step, completed in enumerate((5, 2, 3), 1):
        recording.see("one", 10 * step, active(running=1, completed=completed))
    unprotect(engine)
    with writing(engine) as connection:
        entry(3, status_message="altered")(connection)
    assert brief(findings(engine)) == [("one", 3, "digest_mismatch")]
