"""Any tampering with a ledger by the owner of the database is found, exactly once and at the right entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, insert, select

from recorder.audit.checkpoints import CheckpointHead
from recorder.store.engine import check_url, open_engine
from recorder.store.tables import (
    entries,
    episodes,
    group_labels,
    labelled_durations,
    milestones,
    summaries,
    watches,
)
from recorder.store.transactions import writing
from tests.support.databases import postgres_database, sqlite_database
from tests.support.recording import Recording, active, after
from tests.support.tampering import (
    LABELS,
    Brief,
    Harm,
    Rows,
    all_of,
    brief,
    changed,
    entry,
    findings,
    forget,
    gone,
    heads_of,
    put_back,
    record,
    renumbered,
    rows_of,
    statement,
    unprotect,
    watch,
)

MISMATCH, MISSING, TRUNCATED = "digest_mismatch", "missing_entry", "truncated"
UNREADABLE, DERIVED = "unreadable", "derived_mismatch"
HEAD = 11
_COLUMNS = ", ".join(f'"{column.name}"' for column in entries.c)


def copied(source: str, target: str) -> Harm:
    """Copy the entry selected by `source`, with `target` as the new group and number."""
    columns = _COLUMNS.replace('"taskgroup_id", "seq"', target)
    return statement(f"INSERT INTO entries ({_COLUMNS}) SELECT {columns} FROM entries WHERE {source}")


ENTRIES: dict[str, tuple[Harm, list[tuple[int, str]]]] = {
    "a count": (entry(2, running=4), [(2, MISMATCH)]),
    "a count of 0 made null": (entry(4, failed=None), [(4, MISMATCH)]),
    "an absent count made 0": (entry(2, queued=0), [(2, MISMATCH)]),
    "a null count made absent": (
        entry(4, extra='{"status":{"set":{"eta":[1.5,null,{"\\u00e9":"\\ud834\\udd1e"}]}}}'),
        [(4, MISMATCH)],
    ),
    "an absent count made null": (entry(2, extra='{"counts":{"set":{"queued":null}}}'), [(2, MISMATCH)]),
    "a flag": (entry(2, is_active=False), [(2, MISMATCH)]),
    "a flag made null": (entry(5, is_active=None), [(5, MISMATCH)]),
    "a total": (entry(5, num_task_runs=4), [(5, MISMATCH)]),
    "the time of an entry": (entry(5, at=after(90.000001)), [(5, MISMATCH)]),
    "the time of a gap's start": (entry(3, gap_from=after(11)), [(3, MISMATCH)]),
    "the time of creation": (entry(2, created_at=after(0)), [(2, MISMATCH)]),
    "the end of an interval": (entry(3, previous_last_seen_at=after(11)), [(3, MISMATCH)]),
    "the polls of an interval": (entry(3, previous_polls=2), [(3, MISMATCH)]),
    "an interval removed": (
        entry(3, previous_polls=None, previous_last_seen_at=None, previous_last_asked_at=None),
        [(3, MISMATCH)],
    ),
    "a message": (entry(4, status_message="one to go"), [(4, MISMATCH)]),
    "metadata": (entry(5, metadata='{"customer":"acmf","long":"x","size":3}'), [(5, MISMATCH)]),
    "what fits no column": (
        entry(4, extra='{"status":{"set":{"eta":[1.5,null,{"é":"𝄟"}]}},"counts":{"set":{"cancelled":null}}}'),
        [(4, MISMATCH)],
    ),
    "a raw text": (entry(8, extra='{"text":"{\\"status\\":{\\"x\\":1e401}}"}'), [(8, MISMATCH)]),
    "the cause of a gap": (entry(3, gap_cause="timeout"), [(3, MISMATCH)]),
    "the detail of a gap": (entry(3, gap_detail="calm"), [(3, MISMATCH)]),
    "the failed polls of a gap": (entry(3, gap_attempts=2), [(3, MISMATCH)]),
    "who paused": (entry(6, watch_actor="bob"), [(6, MISMATCH)]),
    "the note of a pause": (entry(6, watch_note=None), [(6, MISMATCH)]),
    "an action": (entry(6, watch_action="stopped"), [(6, MISMATCH)]),
    "the first entry": (entry(1, watch_actor="eve"), [(1, MISMATCH)]),
    "the last entry": (entry(HEAD, running=3), [(HEAD, MISMATCH)]),
    "a digest": (entry(5, digest="0" * 64), [(5, MISMATCH)]),
    "an invalid digest": (entry(5, digest="none"), [(5, MISMATCH)]),
    "the last digest": (entry(HEAD, digest="f" * 64), [(HEAD, MISMATCH)]),
    "two entries": (all_of(entry(2, running=4), entry(9, running=4)), [(2, MISMATCH), (9, MISMATCH)]),
    "two entries in a row": (all_of(entry(4, running=4), entry(5, failed=4)), [(4, MISMATCH), (5, MISMATCH)]),
    # The next entry no longer matches its predecessor, whichever of the two that is.
    "two entries swapped": (
        renumbered({4: 5, 5: 4}),
        [(4, MISMATCH), (5, MISMATCH), (6, MISMATCH)],
    ),
    "the first deleted": (gone(1), [(1, MISSING)]),
    "one in the middle deleted": (gone(5), [(5, MISSING)]),
    "several deleted": (gone(4, 5, 6, 9), [(4, MISSING), (9, MISSING)]),
    "a gap deleted": (gone(3), [(3, MISSING)]),
    "the last deleted": (gone(HEAD), [(HEAD, TRUNCATED)]),
    "the last three deleted": (gone(9, 10, HEAD), [(9, TRUNCATED)]),
    "all deleted": (gone(*range(1, HEAD + 1)), [(1, TRUNCATED)]),
    "a hole and a cut": (gone(3, HEAD), [(3, MISSING), (HEAD, TRUNCATED)]),
    "a gap deleted and its number closed up": (
        all_of(gone(3), renumbered({seq: seq - 1 for seq in range(4, HEAD + 1)})),
        [*((seq, MISMATCH) for seq in range(3, HEAD)), (HEAD, TRUNCATED)],
    ),
    "the last renumbered": (
        renumbered({HEAD: HEAD + 3}),
        [(HEAD, MISSING)],
    ),
    "an entry replaced with one of another group": (
        all_of(gone(5), copied("taskgroup_id = 'two' AND seq = 5", "'one', 5")),
        [(5, MISMATCH)],
    ),
    "a forged entry after the last": (
        copied("taskgroup_id = 'one' AND seq = 5", "'one', 12"),
        [(12, MISMATCH)],
    ),
    "a kind": (entry(6, kind="gap"), [(6, UNREADABLE)]),
    "an invalid extra": (entry(4, extra="{"), [(4, UNREADABLE)]),
    "an extra of another kind": (entry(4, extra='{"body":[1]}'), [(4, UNREADABLE)]),
    "a raw text that is not a body": (entry(8, extra='{"text":"[]"}'), [(8, UNREADABLE)]),
    "metadata that is not JSON": (entry(5, metadata="{"), [(5, UNREADABLE)]),
    "an unknown cause": (entry(3, gap_cause="rain"), [(3, UNREADABLE)]),
    "an action made null": (entry(6, watch_action=None), [(6, UNREADABLE)]),
    "half an interval": (entry(3, previous_last_seen_at=None), [(3, UNREADABLE)]),
}
"""Changes to the entries of group `one`, with the expected findings."""

DERIVED_COLUMNS: dict[str, tuple[Harm, int]] = {
    "a phase": (entry(2, phase="settled"), 2),
    "the phase in force": (entry(HEAD, phase="settled"), HEAD),
    "a phase made null": (entry(2, phase=None), 2),
    "an unknown phase": (entry(2, phase="asleep"), 2),
    "anomalies": (entry(4, anomalies="[]"), 4),
    "anomalies that depend on the previous entry": (entry(8, anomalies='["inexact_number"]'), 8),
    "anomalies made null": (entry(4, anomalies=None), 4),
    "the version of the rules": (entry(4, rules=99), 4),
    "no version of the rules": (entry(4, rules=None), 4),
    "a count beside a raw text": (entry(8, failed=5), 8),
    "a total beside a raw text": (entry(8, num_task_runs=7), 8),
    "a message beside a raw text": (entry(8, status_message="fine"), 8),
    "a time beside a raw text": (entry(8, modified_at=after(0)), 8),
    "metadata beside a raw text": (entry(8, metadata="{}"), 8),
    "a count of a pause": (entry(6, completed=1), 6),
    "the cause of a status": (entry(5, gap_cause="timeout"), 5),
    "the actor of a gap": (entry(3, watch_actor="eve"), 3),
    "half an interval where there is none": (entry(2, previous_last_seen_at=after(1)), 2),
    "the head's number set back": (watch(head_seq=HEAD - 1), HEAD),
    "the head's digest": (watch(head_digest="0" * 64), HEAD),
    "the head's kind": (watch(head_kind="gap"), HEAD),
    "the head's time": (watch(head_at=after(151)), HEAD),
    "the state": (watch(state="paused"), HEAD),
    "the enrolment": (watch(enrolled_at=after(1)), HEAD),
    "the status in force": (watch(status_seq=10), HEAD),
    "no status in force": (watch(status_seq=None), HEAD),
    "the fingerprint": (watch(fingerprint="0" * 64), HEAD),
    "the phase of the group": (watch(phase="settled"), HEAD),
    "the finished runs": (watch(finished=5), HEAD),
    "the last update": (watch(modified_at=None), HEAD),
    "the open interval removed": (watch(last_asked_at=None, last_seen_at=None, polls=None), HEAD),
    "the open interval ended before it began": (watch(last_seen_at=after(149)), HEAD),
    "an open interval of no polls": (watch(polls=0), HEAD),
    "half an open interval": (watch(last_asked_at=None), HEAD),
    "a group that is watched and never due": (watch(due_at=None), HEAD),
    "the watch row deleted": (statement("DELETE FROM watches WHERE taskgroup_id = 'one'"), HEAD),
    "an episode": (changed(episodes, episodes.c.number == 1, duration_seconds=1), HEAD),
    "the bound of an episode": (changed(episodes, episodes.c.number == 2, completed_latest=after(141)), HEAD),
    "the open episode": (changed(episodes, episodes.c.number == 3, polls=9), HEAD),
    "an episode deleted": (
        statement("DELETE FROM episodes WHERE taskgroup_id = 'one' AND number = 1"),
        HEAD,
    ),
    "a milestone": (changed(milestones, milestones.c.episode == 1, seconds_latest=1), HEAD),
    "the runs of a milestone ahead": (changed(milestones, milestones.c.episode == 3, runs=9), HEAD),
    "a milestone deleted": (
        statement("DELETE FROM milestones WHERE taskgroup_id = 'one' AND episode = 2 AND fraction = 0.9"),
        HEAD,
    ),
    "a milestone too many": (
        statement("INSERT INTO milestones (taskgroup_id, episode, fraction) VALUES ('one', 2, 0.25)"),
        HEAD,
    ),
    "a label": (changed(group_labels, group_labels.c.key == '"customer"', value='"evil"'), HEAD),
    "a long label": (changed(group_labels, group_labels.c.key == '"long"', long_value='"y"'), HEAD),
    "a label deleted": (
        statement("DELETE FROM group_labels WHERE taskgroup_id = 'one' AND key = '\"size\"'"),
        HEAD,
    ),
    "a labelled duration": (
        changed(labelled_durations, labelled_durations.c.number == 1, duration_seconds=1),
        HEAD,
    ),
    "a labelled duration deleted": (
        statement("DELETE FROM labelled_durations WHERE taskgroup_id = 'one' AND number = 2"),
        HEAD,
    ),
    "a summary": (changed(summaries, None, seq=1), HEAD),
    "the text of a summary": (changed(summaries, None, summary="{}"), HEAD),
    "the rules of a summary": (changed(summaries, None, rules=99), HEAD),
    "a summary deleted": (statement("DELETE FROM summaries WHERE taskgroup_id = 'one'"), HEAD),
}
"""Changes to values that digests do not cover, with the entry of group `one` at which they are found."""


@pytest.fixture(scope="module")
def recorded(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, postgres: str, postgres_template: str
) -> Iterator[dict[str, tuple[Engine, Rows]]]:
    """Recorded databases of each kind without write protection, with their rows."""
    path = tmp_path_factory.mktemp("tampering") / "recorder.db"
    with (
        sqlite_database(path, sqlite_template) as file,
        postgres_database(postgres, "tampering", postgres_template) as database,
    ):
        urls = {"sqlite": file, "postgresql": database}
        engines = {kind: open_engine(check_url(url)) for kind, url in urls.items()}
        for engine in engines.values():
            record(engine)
            unprotect(engine)
        yield {kind: (engine, rows_of(engine)) for kind, engine in engines.items()}
        for engine in engines.values():
            engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, recorded: dict[str, tuple[Engine, Rows]]) -> Iterator[Engine]:
    """A recorded database that is restored after the test."""
    engine, rows = recorded[request.param]
    yield engine
    with writing(engine) as connection:
        put_back(connection, None, rows)


Harmed = Callable[[Harm], Brief]


@pytest.fixture
def harmed(engine: Engine) -> Harmed:
    """Tamper with the database and return the findings."""

    def harm(what: Harm) -> Brief:
        with writing(engine) as connection:
            what(connection)
        return brief(findings(engine))

    return harm


def test_an_untouched_database_is_intact(engine: Engine) -> None:
    assert findings(engine) == findings(engine, heads_of(engine)) == []


@pytest.mark.parametrize("name", ENTRIES)
def test_altered_entries(harmed: Harmed, name: str) -> None:
    harm, expected = ENTRIES[name]
    assert harmed(harm) == [("one", *one) for one in expected]


@pytest.mark.parametrize("name", DERIVED_COLUMNS)
def test_altered_values_outside_the_digests(harmed: Harmed, name: str) -> None:
    harm, seq = DERIVED_COLUMNS[name]
    assert harmed(harm) == [("one", seq, DERIVED)]


def test_a_head_that_names_missing_entries(harmed: Harmed) -> None:
    assert harmed(watch(head_seq=15)) == [("one", 12, TRUNCATED)]


def test_an_entry_moved_to_another_group(harmed: Harmed) -> None:
    move = statement(
        "UPDATE entries SET taskgroup_id = 'two', seq = 12 WHERE taskgroup_id = 'one' AND seq = 5"
    )
    assert harmed(move) == [("one", 5, MISSING), ("two", 12, MISMATCH)]


def test_an_entry_moved_to_a_new_group(harmed: Harmed) -> None:
    move = entry(5, taskgroup_id="new")
    assert harmed(move) == [("new", 1, MISSING), ("one", 5, MISSING)]


@pytest.mark.parametrize(
    "table", [summaries, episodes, milestones, group_labels, labelled_durations], ids=str
)
def test_derived_rows_of_a_group_that_was_never_watched(engine: Engine, table: object) -> None:
    with writing(engine) as connection:
        kept = list(connection.execute(select(table).where(table.c.taskgroup_id == "one")))  # type: ignore[attr-defined]
        connection.execute(insert(table), [{**row._mapping, "taskgroup_id": "nobody"} for row in kept])  # type: ignore[arg-type]
    assert brief(findings(engine)) == [("nobody", 1, DERIVED)]


def test_an_altered_entry_has_no_consequential_findings(harmed: Harmed) -> None:
    """A decreasing count is an anomaly of the next entry, but not if the count was altered."""
    assert harmed(entry(5, completed=99)) == [("one", 5, MISMATCH)]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE entries SET at = 'yesterday' WHERE {}", UNREADABLE),
        ("UPDATE entries SET at = '2026-11-24T12:01:30Z' WHERE {}", UNREADABLE),
        ("UPDATE entries SET at = x'00ff' WHERE {}", UNREADABLE),
        ("UPDATE entries SET status_message = CAST(x'ff' AS TEXT) WHERE {}", UNREADABLE),
        ("UPDATE entries SET status_message = x'41' WHERE {}", UNREADABLE),
        ("UPDATE entries SET completed = 'three' WHERE {}", MISMATCH),
        ("UPDATE entries SET completed = 3.5 WHERE {}", MISMATCH),
        ("UPDATE entries SET is_active = 2 WHERE {}", MISMATCH),
        ("UPDATE entries SET digest = x'00' WHERE {}", MISMATCH),
        ("UPDATE entries SET extra = 7 WHERE {}", UNREADABLE),
    ],
)
def test_values_of_the_wrong_type(harmed: Harmed, sql: str, problem: str) -> None:
    harm = statement(sql.format("taskgroup_id = 'one' AND seq = 5"))
    assert harmed(harm) == [("one", 5, problem)]


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "time", ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "12026-01-01 00:00:00+00"]
)
def test_times_outside_the_supported_range(harmed: Harmed, time: str) -> None:
    harm = statement(f"UPDATE entries SET at = '{time}' WHERE taskgroup_id = 'one' AND seq = 5")
    assert harmed(harm) == [("one", 5, UNREADABLE)]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("number", ["'five'", "x'05'"])
def test_entry_numbers_that_are_not_numbers(harmed: Harmed, number: str) -> None:
    harm = statement(f"UPDATE entries SET seq = {number} WHERE taskgroup_id = 'one' AND seq = 5")
    assert harmed(harm) == [("one", 5, MISSING), ("one", HEAD + 1, UNREADABLE)]


# With a checkpoint


def test_a_rewritten_chain(engine: Engine) -> None:
    heads = heads_of(engine)
    with writing(engine) as connection:
        forget(connection, "one")
    recording = Recording(engine)
    recording.watch("one")
    for number in range(1, 12):
        recording.see("one", 10 * number, active(running=number))
    assert findings(engine) == []
    assert brief(findings(engine, heads)) == [("one", HEAD, MISMATCH)]


def test_a_truncated_ledger_with_a_matching_head(engine: Engine) -> None:
    recording = Recording(engine)
    before = rows_of(engine, "one")
    recording.see("one", 170, active(running=1, completed=5))
    recording.see("one", 180, active(running=2, completed=5))
    heads = heads_of(engine)
    with writing(engine) as connection:
        put_back(connection, "one", before)
    assert findings(engine) == []
    (finding,) = findings(engine, heads)
    assert brief([finding]) == [("one", HEAD + 1, TRUNCATED)]
    assert "12 to 13" in finding.detail


def test_a_deleted_group(engine: Engine) -> None:
    heads = heads_of(engine)
    with writing(engine) as connection:
        forget(connection, "one")
    assert findings(engine) == []
    assert brief(findings(engine, heads)) == [("one", 1, TRUNCATED)]


def test_a_checkpoint_of_another_database(engine: Engine) -> None:
    others = {name: CheckpointHead(name, 4, "a" * 64, after(5), 2) for name in ("", "nobody", "two", "zoe")}
    found = findings(engine, others)
    assert brief(found) == [
        ("", 1, TRUNCATED),
        ("nobody", 1, TRUNCATED),
        ("two", 4, MISMATCH),
        ("zoe", 1, TRUNCATED),
    ]
    assert all("another" in finding.detail for finding in found)


@pytest.mark.parametrize("values", [{"polls": 1}, {"last_seen_at": after(155)}], ids=str)
def test_a_shortened_open_interval(engine: Engine, values: dict[str, object]) -> None:
    heads = heads_of(engine)
    with writing(engine) as connection:
        watch(**values)(connection)
    assert findings(engine) == []
    (finding,) = findings(engine, heads)
    assert brief([finding]) == [("one", HEAD, TRUNCATED)]
    assert "shorter than at the checkpoint" in finding.detail


def test_an_interval_shortened_and_then_closed(engine: Engine) -> None:
    recording = Recording(engine)
    before = rows_of(engine, "one")
    recording.see("one", 170, active(running=2, completed=4), metadata=LABELS)
    heads = heads_of(engine)
    with writing(engine) as connection:
        put_back(connection, "one", before)
    recording.see("one", 171, active(running=1, completed=5))
    assert findings(engine) == []
    assert brief(findings(engine, heads)) == [("one", HEAD, TRUNCATED)]


def test_recording_after_the_checkpoint_is_not_a_finding(engine: Engine) -> None:
    heads = heads_of(engine)
    recording = Recording(engine)
    recording.see("one", 170, active(running=2, completed=4), metadata=LABELS)
    recording.see("two", 170, active(running=1, completed=5))
    recording.watch("three", 200)
    assert findings(engine, heads) == []


def test_an_altered_entry_of_the_checkpoint_is_found_once(engine: Engine) -> None:
    heads = heads_of(engine)
    with writing(engine) as connection:
        entry(HEAD, digest="f" * 64)(connection)
    assert brief(findings(engine, heads)) == [("one", HEAD, MISMATCH)]


def test_a_missing_watch_row_is_a_truncation_with_a_checkpoint(engine: Engine) -> None:
    heads = heads_of(engine)
    with writing(engine) as connection:
        connection.execute(delete(watches).where(watches.c.taskgroup_id == "one"))
    assert brief(findings(engine, heads)) == [("one", HEAD, TRUNCATED)]
