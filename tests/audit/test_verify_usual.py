"""The fast way of reading an entry comes to the same as the exact one, which is its oracle."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from recorder.audit.verify.fold import Fold
from recorder.audit.verify.raw_rows import as_stored
from recorder.audit.verify.usual import UsualReader, anomalies_of_usual
from recorder.completion.summary import NOTHING, summarize
from recorder.ledger.entries import Entry, Interval, StatusContent
from recorder.ledger.replay import Replay, replay_entry, status_said
from recorder.ledger.response_body import parse_body
from recorder.ledger.status_fields import RUN_STATUSES
from recorder.ledger.timestamps import format_time
from recorder.store.mapping import entry_row
from recorder.store.tables import entries
from tests.support.audit_ledgers import random_ledgers
from tests.support.json_texts import bodies, text_of

NAMES = [column.name for column in entries.c]
TIMES = st.datetimes(timezones=st.just(UTC)).map(format_time)
EDGES = [2**53 - 1, -(2**53) + 1, 2**53, -(2**53), 2**63 - 1]
WHOLE = st.integers(0, 5) | st.integers(-(2**53) + 1, 2**53 - 1) | st.sampled_from(EDGES)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
COUNTS = st.dictionaries(st.sampled_from(RUN_STATUSES), WHOLE)
METADATA = st.none() | st.dictionaries(
    st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=5) | TEXTS,
    TEXTS | st.booleans() | WHOLE | st.sampled_from([1.5, None, [], {"a": 1}]),
    max_size=4,
)
PLAIN = st.fixed_dictionaries(
    {
        "taskgroup_id": st.just("tgrp_1"),
        "metadata": METADATA,
        "created_at": st.none() | TIMES,
        "status": st.fixed_dictionaries(
            {
                "num_task_runs": WHOLE,
                "task_run_status_counts": COUNTS,
                "is_active": st.booleans(),
                "status_message": st.none() | TEXTS,
                "modified_at": st.none() | TIMES,
            }
        ),
    }
)
"""Bodies that are usual, or nearly so."""


def stored(entry: Entry) -> dict[str, Any]:
    """An entry's row as it lies in the database."""
    row = as_stored(entry_row(entry))
    return {name: row[name] for name in NAMES}


def entry_of(raw: str, at: str, previous: tuple[str, str, int] | None) -> Entry:
    asked, seen, polls = previous or (at, at, 0)
    interval = Interval(_moment(asked), _moment(seen), polls) if previous else None
    said = status_said(Replay(), "tgrp_1", parse_body(raw.encode()), _moment(at), interval)
    return Entry("tgrp_1", 2, _moment(at), interval, said, "d" * 64)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@given(
    raw=PLAIN.map(json.dumps) | bodies(st.just("tgrp_1")).map(lambda body: text_of(body, False)),
    at=TIMES,
    previous=st.none() | st.tuples(TIMES, TIMES, WHOLE),
)
def test_a_usual_entry_is_read_as_the_exact_way_reads_it(
    raw: str, at: str, previous: tuple[str, str, int] | None
) -> None:
    entry = entry_of(raw, at, previous)
    row = stored(entry)
    usual = UsualReader().read(tuple(row.values()))
    if usual is None:
        return
    assert isinstance(entry.content, StatusContent)
    record = {
        "v": 1,
        "taskgroup_id": "tgrp_1",
        "seq": 2,
        "kind": "status",
        "at": at,
        "previous": previous and dict(zip(("last_asked_at", "last_seen_at", "polls"), previous, strict=True)),
        "upstream": json.loads(raw),
    }
    assert usual.form == rfc8785.dumps(record)
    assert replace(usual.entry(), content=replace(usual.entry().content, anomalies=())) == replace(
        entry, content=replace(entry.content, anomalies=())
    )


@given(
    body=PLAIN,
    at=TIMES,
    previous=st.none() | st.tuples(TIMES, TIMES, st.integers(1, 9)),
    before=st.none() | PLAIN,
)
def test_its_phase_and_anomalies_are_those_of_the_rules(
    body: dict[str, Any], at: str, previous: tuple[str, str, int] | None, before: dict[str, Any] | None
) -> None:
    fold = Fold()
    if before is not None:
        fold.take(replace(entry_of(json.dumps(before), at, None), seq=1))
    entry = entry_of(json.dumps(body), at, previous)
    usual = UsualReader().read(tuple(stored(entry).values()))
    if usual is not None:
        assert isinstance(entry.content, StatusContent)
        said = status_said(fold.replay, "tgrp_1", entry.content.body, entry.at, entry.previous)
        assert usual.phase is said.reading.phase
        assert tuple(anomalies_of_usual(usual, fold.before)) == said.anomalies


def test_most_plain_entries_are_usual() -> None:
    (ledger,) = random_ledgers(4, groups=1, entries_each=300, oddity=0, trouble=0)
    reader = UsualReader()
    assert all(reader.read(tuple(stored(entry).values())) for entry in ledger.entries[1:])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("extra", "{}"),
        ("rules", 2),
        ("rules", None),
        ("gap_cause", "timeout"),
        ("watch_note", ""),
        ("kind", "gap"),
        ("at", "2026-11-24T12:00:00Z"),
        ("at", None),
        ("created_at", "2026-13-24T12:00:00.000000Z"),
        ("modified_at", b"2026"),
        ("is_active", None),
        ("is_active", 2),
        ("num_task_runs", None),
        ("num_task_runs", 2**53),
        ("completed", 1.0),
        ("completed", True),
        ("previous_polls", 7),
        ("previous_last_seen_at", "2026-11-24T12:00:00.000000Z"),
        ("metadata", '{"a": 1}'),
        ("metadata", '{"a":1,"a":1}'),
        ("metadata", '{"a":1.5}'),
        # Here the order of UTF-16, which is that of RFC 8785, is another than that of code points.
        ("metadata", '{"\ue000":1,"\U0001f600":2}'),
        ("metadata", "{"),
        ("metadata", 7),
        ("status_message", b"x"),
        ("status_message", "\udcff"),
    ],
)
def test_what_is_not_usual_goes_the_exact_way(column: str, value: Any) -> None:
    (ledger,) = random_ledgers(4, groups=1, entries_each=2, oddity=0, trouble=0)
    row = stored(ledger.entries[1])
    reader = UsualReader()
    assert reader.read(tuple(row.values())) is not None
    assert reader.read(tuple({**row, column: value}.values())) is None


@pytest.mark.parametrize("seed", range(12))
def test_a_fold_comes_to_what_replay_and_summary_come_to(seed: int) -> None:
    trouble = random.Random(seed).choice([0, 0.02, 0.2])
    (ledger,) = random_ledgers(seed, groups=1, entries_each=150, oddity=0.05, trouble=trouble)
    look = random.Random(seed)
    fold, reader, replay, steady = Fold(), UsualReader(), Replay(), 0
    for number, entry in enumerate(ledger.entries, 1):
        usual = reader.read(tuple(stored(entry).values()))
        if usual is None:
            fold.take(entry)
        else:
            fold.take_usual(usual)
            steady += 1
        replay = replay_entry(replay, entry)
        if look.random() < 0.1 or number == len(ledger.entries):
            assert _without_quiet(fold.replay) == _without_quiet(replay)
            assert (fold.summary, fold.ended) == summarize(NOTHING, ledger.entries[:number])
    assert steady > 20


def _without_quiet(replay: Replay) -> Replay:
    force = replay.in_force
    return replay if force is None else replace(replay, in_force=replace(force, quiet_since=replay.sight_at))
