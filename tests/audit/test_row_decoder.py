"""Stored rows are decoded as they were written, and altered columns are found."""

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

from recorder.audit.verify.findings import ProblemKind
from recorder.audit.verify.ledger_check import LedgerCheck
from recorder.audit.verify.raw_rows import as_stored
from recorder.audit.verify.row_decoder import derive_entry, read_stored
from recorder.completion.summary import NOTHING, summarize
from recorder.ledger.entries import Entry, Interval
from recorder.ledger.replay import Replay, derive_status, replay_entry
from recorder.ledger.response_body import parse_body
from recorder.ledger.status_fields import RULES, RUN_STATUSES
from recorder.ledger.timestamps import format_time
from recorder.store.mapping import entry_row
from recorder.store.tables import entries
from tests.support import chain_oracle
from tests.support.audit_ledgers import random_ledgers
from tests.support.json_texts import bodies, json_text

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
"""Bodies that fit in the columns entirely, or almost."""


def stored(entry: Entry) -> dict[str, Any]:
    """Return an entry's row as stored in the database."""
    row = as_stored(entry_row(entry))
    return {name: row[name] for name in NAMES}


def entry_of(replay: Replay, raw: str, at: str, previous: tuple[str, str, int] | None) -> Entry:
    """Return the second entry of a ledger, as a recorder would write it after `replay`."""
    asked, seen, polls = previous or (at, at, 0)
    interval = Interval(_moment(asked), _moment(seen), polls) if previous else None
    content = derive_status(replay, "tgrp_1", parse_body(raw.encode()), _moment(at), interval)
    return Entry("tgrp_1", 2, _moment(at), interval, content, "d" * 64)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@given(
    raw=PLAIN.map(json.dumps) | bodies(st.just("tgrp_1")).map(lambda body: json_text(body, False)),
    at=TIMES,
    previous=st.none() | st.tuples(TIMES, TIMES, st.integers(1, 9)),
    before=st.none() | PLAIN,
)
def test_a_stored_entry_is_read_back_unchanged(
    raw: str, at: str, previous: tuple[str, str, int] | None, before: dict[str, Any] | None
) -> None:
    replay = Replay()
    if before is not None:
        replay = replay_entry(replay, replace(entry_of(replay, json.dumps(before), at, None), seq=1))
    entry = entry_of(replay, raw, at, previous)
    row = tuple(stored(entry).values())
    read = read_stored(row)
    record = chain_oracle.record_of(entry, raw.encode())
    assert read.form() == rfc8785.dumps(record)
    assert derive_entry(row, read, replay, intact=True) == (entry, [])


UNREADABLE, DIGEST, DERIVED = (
    ProblemKind.UNREADABLE,
    ProblemKind.DIGEST_MISMATCH,
    ProblemKind.DERIVED_MISMATCH,
)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("extra", "{}", DERIVED),
        ("extra", "{", UNREADABLE),
        ("rules", RULES + 1, DERIVED),
        ("rules", None, DERIVED),
        ("phase", "settled", DERIVED),
        ("anomalies", "[ ]", DERIVED),
        ("anomalies", '["bad_type"]', DERIVED),
        ("gap_cause", "timeout", DERIVED),
        ("watch_note", "", DERIVED),
        ("kind", "gap", UNREADABLE),
        ("kind", "note", UNREADABLE),
        ("at", "2026-11-24T12:00:00Z", UNREADABLE),
        ("at", None, UNREADABLE),
        ("gap_from", "yesterday", UNREADABLE),
        ("created_at", "2026-13-24T12:00:00.000000Z", UNREADABLE),
        ("modified_at", b"2026", UNREADABLE),
        ("is_active", None, DIGEST),
        ("is_active", 2, DIGEST),
        ("num_task_runs", None, DIGEST),
        ("num_task_runs", 2**53, UNREADABLE),
        ("completed", True, DIGEST),
        ("previous_polls", 7, UNREADABLE),
        ("previous_last_seen_at", "2026-11-24T12:00:00.000000Z", DERIVED),
        ("metadata", '{"a": 1}', DIGEST),
        ("metadata", '{"a":1.5}', DIGEST),
        ("metadata", '{"a":NaN}', UNREADABLE),
        ("metadata", "{", UNREADABLE),
        ("metadata", 7, UNREADABLE),
        ("status_message", b"x", UNREADABLE),
        ("status_message", "\udcff", UNREADABLE),
    ],
)
def test_an_altered_column_is_found(column: str, value: Any, problem: ProblemKind) -> None:
    (ledger,) = random_ledgers(4, groups=1, entries_each=2, oddity=0, trouble=0)
    first, second = map(stored, ledger.entries[:2])
    for row, found in ((second, []), ({**second, column: value}, [problem])):
        check = LedgerCheck(ledger.watch.taskgroup_id)
        check.take(tuple(first.values()))
        check.take(tuple(row.values()))
        assert [finding.problem for finding in check.findings] == found


@pytest.mark.parametrize("spelling", ['{"n": 1}', '{"n":1.0}', '{"n":2,"n":1}'])
def test_metadata_in_a_different_spelling_is_found(spelling: str) -> None:
    """The digest is valid, since the value is the same."""
    entry = entry_of(Replay(), '{"metadata":{"n":1},"status":{}}', "2026-11-24T12:00:00.000000Z", None)
    row = tuple({**stored(entry), "metadata": spelling}.values())
    read = read_stored(row)
    assert read.form() == read_stored(tuple(stored(entry).values())).form()
    derived, wrong = derive_entry(row, read, Replay(), intact=True)
    assert derived == entry
    assert any(detail.startswith("metadata is") for detail in wrong)


@pytest.mark.parametrize("seed", range(6))
def test_checking_a_ledger_agrees_with_replay_and_summary(seed: int) -> None:
    trouble = random.Random(seed).choice([0, 0.02, 0.2])
    (ledger,) = random_ledgers(seed, groups=1, entries_each=150, oddity=0.05, trouble=trouble)
    check, replay = LedgerCheck(ledger.watch.taskgroup_id), Replay()
    for number, entry in enumerate(ledger.entries, 1):
        check.take(tuple(stored(entry).values()))
        replay = replay_entry(replay, entry)
        assert check.replay == replay
        if number % 10 == 0 or number == len(ledger.entries):
            assert (check.summary, check.ended) == summarize(NOTHING, ledger.entries[:number])
    assert check.findings == []
    assert check.replay.in_force == ledger.watch.in_force
