"""Groups are archived and brought back, on both databases: nothing else changes."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text, update

from recorder.audit.archive import archiver
from recorder.audit.archive.archiver import ArchiveError, remove_ledgers
from recorder.audit.archive.part_file import part_file
from recorder.audit.archive.selection import HeldBack
from recorder.audit.export_format import ImportRefusedError
from recorder.completion.statistics import Durations
from recorder.store.durations import Selection, durations_of
from recorder.store.enrolment import watch_group
from recorder.store.rebuilding import rebuild_all
from recorder.store.tables import watches
from recorder.store.tombstones import ArchivedGroupError, find_tombstone
from recorder.store.transactions import reading, writing
from tests.support.archives import (
    LATER,
    archive,
    file_findings,
    plan,
    record_old,
    restore,
    stop,
    tombstone_rows,
    written,
)
from tests.support.audit_ledgers import random_ledgers, write
from tests.support.recording import RULES, Recording, after
from tests.support.tampering import Rows, findings, heads_of, rows_of

NAMES = ["cut", "done", "unseen"]
DERIVED = ("summaries", "episodes", "milestones", "group_labels", "labelled_durations")


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    record_old(engine)
    return engine


def _statistics(engine: Engine) -> list[Any]:
    """Return everything that statistics are computed from, in any selection."""
    selections = [
        Selection(**dict(zip(("since_created", "prospective", "group_by"), choice, strict=True)))
        for choice in ((a, b, c) for a in (False, True) for b in (False, True) for c in (None, "customer"))
    ]
    selections += [Selection(labels=(("batch", "1"),)), Selection(from_=after(10), until=after(12))]
    with reading(engine) as connection:
        found = [durations_of(connection, selection) for selection in selections]
        views = ("group_completion", "group_milestones")
        rows = [sorted(map(repr, connection.execute(text(f"SELECT * FROM {view}")))) for view in views]
    return [[(cohort.value, _lists(cohort.durations)) for cohort in one.cohorts] for one in found] + [
        [one.as_of for one in found],
        *rows,
    ]


def _lists(durations: Durations) -> list[tuple[Any, ...]]:
    columns = (durations.seconds, durations.earliest, durations.latest, durations.censored)
    return sorted(zip(*(map(repr, column.tolist()) for column in columns), strict=True))


def _without(rows: Rows, names: list[str]) -> dict[str, list[Any]]:
    return {table: [row for row in found if row.taskgroup_id not in names] for table, found in rows.items()}


def _sorted(rows: Rows) -> dict[str, list[str]]:
    """Return rows in an order that does not depend on where a database puts them."""
    return {table: sorted(map(repr, found)) for table, found in rows.items()}


@pytest.mark.parametrize("name", ["old.zst", "old.ndjson.gz", "old.ndjson"])
def test_entries_go_and_statistics_stay(recorded: Engine, tmp_path: Path, name: str) -> None:
    before, statistics = rows_of(recorded), _statistics(recorded)
    (removed,) = archive(recorded, tmp_path / name)
    assert (removed.groups, removed.changed) == (3, 0)
    after_it = rows_of(recorded)
    gone = {table: _without(before, NAMES)[table] for table in ("watches", "entries")}
    assert {table: after_it[table] for table in gone} == gone
    assert {table: after_it[table] for table in DERIVED} == {table: before[table] for table in DERIVED}
    assert _statistics(recorded) == statistics
    assert list(rebuild_all(recorded)) == [1] and _statistics(recorded) == statistics
    assert findings(recorded) == [] and file_findings(recorded, tmp_path / name) == []


def test_a_tombstone_says_what_went(recorded: Engine, tmp_path: Path) -> None:
    rows = [row for row in rows_of(recorded)["entries"] if row.taskgroup_id == "done"]
    archive(recorded, tmp_path / "old.zst")
    digest = hashlib.sha256((tmp_path / "old.zst").read_bytes()).hexdigest()
    with reading(recorded) as connection:
        found = find_tombstone(connection, "done")
        (viewed,) = connection.execute(
            text("SELECT * FROM archived_groups WHERE taskgroup_id = 'done'")
        ).mappings()
    assert found is not None
    head = rows[-1]
    assert (found.head_seq, found.head_digest, found.entries) == (head.seq, head.digest, len(rows))
    assert (found.first_at, found.last_at) == (rows[0].at, head.at)
    assert (found.archived_at, found.archive_sha256) == (LATER, digest)
    assert list(viewed) == list(found.members()) and viewed["head_digest"] == head.digest
    subprocess.run(["sha256sum", "-c", "old.zst.sha256"], cwd=tmp_path, check=True, capture_output=True)


def test_an_archive_is_an_export(recorded: Engine, tmp_path: Path) -> None:
    archive(recorded, tmp_path / "old.gz")
    lines = list(map(json.loads, gzip.decompress((tmp_path / "old.gz").read_bytes()).splitlines()))
    assert [line["open"]["taskgroup_id"] for line in lines if "open" in line] == NAMES


def test_everything_comes_back(recorded: Engine, tmp_path: Path) -> None:
    before, statistics, heads = rows_of(recorded), _statistics(recorded), heads_of(recorded)
    archive(recorded, tmp_path / "old.zst")
    assert findings(recorded, heads) == []
    assert restore(recorded, tmp_path / "old.zst") == 3
    assert _sorted(rows_of(recorded)) == _sorted(before) and tombstone_rows(recorded) == []
    assert _statistics(recorded) == statistics and findings(recorded, heads) == []
    assert restore(recorded, tmp_path / "old.zst") == 0
    assert file_findings(recorded, tmp_path / "old.zst", heads) == []


def test_random_ledgers_come_back(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several transactions, each of whole groups."""
    monkeypatch.setattr(archiver, "_REST_SECONDS", 0)
    monkeypatch.setattr(archiver, "_MOST_GROUPS", 3)
    write(engine, random_ledgers(7, 10, 30, oddity=0.3, trouble=0.3))
    for name in {row.taskgroup_id for row in rows_of(engine)["watches"][:7]}:
        stop(engine, name, 2 * 10**6)
    before = rows_of(engine)
    chosen = plan(engine, before=10**9)
    removed = list(remove_ledgers(engine, written(engine, tmp_path / "a.zst", chosen), lambda: LATER))
    assert len(removed) > 1 and sum(one.groups for one in removed) == len(chosen.ids) > 3
    assert file_findings(engine, tmp_path / "a.zst") == [] and findings(engine) == []
    restore(engine, tmp_path / "a.zst")
    after_it = rows_of(engine)
    # The members of an odd body may come back in another order, which no digest covers.
    for rows in (before, after_it):
        rows["entries"][:] = [(*row[:6], row.rules, row.anomalies, row.digest) for row in rows["entries"]]
    assert _sorted(after_it) == _sorted(before) and findings(engine) == []


def test_what_holds_groups_back(recorded: Engine) -> None:
    recording = Recording(recorded)
    recording.watch("asleep", 200)
    recording.pause("asleep", 201)
    recording.watch("young", 210)
    stop(recorded, "young", 10**6)
    found = plan(recorded)
    assert list(found.ids) == NAMES and found.size > 1000
    assert found.entries == sum(row.taskgroup_id in NAMES for row in rows_of(recorded)["entries"])
    assert found.held_back == {HeldBack.WATCHED: 1, HeldBack.PAUSED: 1, HeldBack.RECENT: 1}
    assert list(plan(recorded, ("batch", "0")).ids) == ["done"]


def test_a_damaged_group_is_held_back(recorded: Engine) -> None:
    """Its episodes could not be derived again once its entries are gone."""
    with writing(recorded) as connection:
        connection.execute(text("UPDATE episodes SET polls = 99 WHERE taskgroup_id = 'done'"))
    found = plan(recorded)
    assert (list(found.ids), list(found.damaged)) == (["cut", "unseen"], ["done"])
    assert found.held_back[HeldBack.DAMAGED] == 1


def test_a_group_that_changes_meanwhile_stays(recorded: Engine, tmp_path: Path) -> None:
    file = written(recorded, tmp_path / "old.zst")
    watch_group(recorded, "done", actor="ada", note=None, now=lambda: after(300), rules=RULES)
    before = rows_of(recorded, "done")
    (removed,) = remove_ledgers(recorded, file, lambda: LATER)
    assert (removed.groups, removed.changed) == (2, 1)
    assert rows_of(recorded, "done") == before
    assert findings(recorded) == [] and file_findings(recorded, file.path) == []


def test_a_group_that_is_being_polled_stays(recorded: Engine, tmp_path: Path) -> None:
    """The answer would be lost."""
    file = written(recorded, tmp_path / "old.zst")
    with writing(recorded) as connection:
        claimed = update(watches).where(watches.c.taskgroup_id == "done")
        connection.execute(claimed.values(owner="r", lease_until=LATER + timedelta(seconds=1)))
    assert plan(recorded).held_back[HeldBack.POLLED] == 1
    (removed,) = remove_ledgers(recorded, file, lambda: LATER)
    assert (removed.groups, removed.changed) == (2, 1)


def test_a_group_that_stayed_is_archived_into_another_file(recorded: Engine, tmp_path: Path) -> None:
    """Both files prove what was archived into them, and bring it back, in any order."""
    before, heads = rows_of(recorded), heads_of(recorded)
    first, later = tmp_path / "first.zst", tmp_path / "later.zst"
    file = written(recorded, first)
    with writing(recorded) as connection:
        claimed = update(watches).where(watches.c.taskgroup_id == "done")
        connection.execute(claimed.values(owner="r", lease_until=LATER + timedelta(seconds=1)))
    list(remove_ledgers(recorded, file, lambda: LATER))
    with writing(recorded) as connection:
        connection.execute(update(watches).values(owner=None, lease_until=None))
    archive(recorded, later)
    assert file_findings(recorded, first, heads) == file_findings(recorded, later, heads) == []
    assert (restore(recorded, first), [row["taskgroup_id"] for row in tombstone_rows(recorded)]) == (
        2,
        ["done"],
    )
    assert restore(recorded, later) == 1
    assert _sorted(rows_of(recorded)) == _sorted(before) and findings(recorded, heads) == []


def test_a_file_that_no_tombstone_names_proves_nothing(recorded: Engine, tmp_path: Path) -> None:
    first = written(recorded, tmp_path / "first.gz").path
    archive(recorded, tmp_path / "later.zst")
    assert {one.taskgroup_id for one in file_findings(recorded, first)} == set(NAMES)
    with pytest.raises(ImportRefusedError, match="SHA-256"):
        restore(recorded, first)


def test_what_a_killed_process_left_is_deleted(recorded: Engine, tmp_path: Path) -> None:
    """Unlike a file that is being written at this moment."""
    abandoned, empty = tmp_path / ".recorder-archive-1.part", tmp_path / ".recorder-archive-2.part"
    abandoned.write_text("half of an archive")
    empty.touch()
    with part_file(tmp_path) as (file, path):
        file.write(b"something")
        file.flush()
        assert not abandoned.exists()
        archive(recorded, tmp_path / "old.zst")
        assert path.exists()
    assert {one.name for one in tmp_path.iterdir()} == {"old.zst", "old.zst.sha256", empty.name}


@pytest.mark.parametrize("name", ["old.zst", "old.zst.sha256"])
def test_an_existing_file_is_never_overwritten(recorded: Engine, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="never overwritten"):
        written(recorded, tmp_path / "old.zst")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_nothing_goes_if_the_file_is_not_what_was_written(
    recorded: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_of(recorded)

    def write_less(path: Path, lines: Any) -> str:
        path.write_bytes(b"".join(list(lines)[:-1]))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(archiver, "write_archive", write_less)
    with pytest.raises(ArchiveError, match="does not verify"):
        archive(recorded, tmp_path / "old.ndjson")
    assert rows_of(recorded) == before and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_failure_at_any_moment_loses_nothing(recorded: Engine, tmp_path: Path, seed: int) -> None:
    """Whatever does not have its entries has a tombstone that names the whole file."""
    chance, path = random.Random(seed), tmp_path / "old.zst"
    stopped_after = chance.randrange(1, 40)
    count = 0

    def fail(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == stopped_after:
            raise KeyboardInterrupt

    event.listen(recorded, "before_execute", fail)
    try:
        archive(recorded, path)
    except KeyboardInterrupt:
        pass
    finally:
        event.remove(recorded, "before_execute", fail)
    archived = [row["taskgroup_id"] for row in tombstone_rows(recorded)]
    assert archived in ([], NAMES) and findings(recorded) == []
    if path.exists():
        assert file_findings(recorded, path) == []
    assert not archived or restore(recorded, path) == 3


def test_an_archived_group_is_not_enrolled(recorded: Engine, tmp_path: Path) -> None:
    archive(recorded, tmp_path / "old.zst")
    before = rows_of(recorded)
    with pytest.raises(ArchivedGroupError, match="import --restore"):
        watch_group(recorded, "done", actor="ada", note=None, now=lambda: after(300), rules=RULES)
    with pytest.raises(ArchivedGroupError):
        stop(recorded, "done", 400)
    assert rows_of(recorded) == before


def test_a_foreign_file_is_not_restored(recorded: Engine, tmp_path: Path) -> None:
    archive(recorded, tmp_path / "old.gz")
    other = tmp_path / "other.ndjson"
    other.write_bytes(gzip.decompress((tmp_path / "old.gz").read_bytes()))
    with pytest.raises(ImportRefusedError, match="SHA-256"):
        restore(recorded, other)
    other.write_bytes(other.read_bytes().replace(b'"actor":"ada"', b'"actor":"eve"'))
    with pytest.raises(ImportRefusedError, match="line 1"):
        restore(recorded, other)
    assert len(tombstone_rows(recorded)) == 3
