"""Columns that an older version of the rules wrote are no finding, unless they disagree with the body."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from recorder.audit.verify import row_decoder
from recorder.audit.verify.raw_rows import as_stored
from recorder.ledger.entries import Entry, StatusContent
from recorder.ledger.replay import Replay, derive_status
from recorder.ledger.response_body import parse_body
from recorder.ledger.status_fields import RULES
from recorder.store.mapping import entry_row
from recorder.store.tables import entries

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
BODY = b"""{"taskgroup_id":"tgrp_1","metadata":null,"created_at":null,"status":{
    "num_task_runs":5,"task_run_status_counts":{"running":2,"cancelling":3},
    "is_active":true,"status_message":"fine","modified_at":null}}"""
WITHOUT_CANCELLING = {"cancelling": None, "extra": '{"counts":{"set":{"cancelling":3}}}'}
"""How rules without a column for `cancelling` keep BODY."""


def check(changes: dict[str, Any]) -> tuple[Entry, list[str]]:
    """Check BODY's row with other columns, all of which leave its record as it was."""
    content = derive_status(Replay(), "tgrp_1", parse_body(BODY), AT, None)
    row = as_stored(entry_row(Entry("tgrp_1", 2, AT, None, content, "d" * 64)))
    original = tuple(row[column.name] for column in entries.c)
    altered = tuple({**row, **changes}[column.name] for column in entries.c)
    stored = row_decoder.read_stored(altered)
    assert stored.form() == row_decoder.read_stored(original).form()
    return row_decoder.derive_entry(altered, stored, Replay(), intact=True)


@pytest.fixture
def newer_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the rules of the row older than those that check it."""
    monkeypatch.setattr(row_decoder, "RULES", RULES + 1)


@pytest.mark.usefixtures("newer_rules")
def test_a_count_from_before_its_column_is_no_finding() -> None:
    entry, wrong = check(WITHOUT_CANCELLING)
    assert wrong == []
    assert isinstance(entry.content, StatusContent)
    assert entry.content.rules == RULES
    # Summaries are derived from the columns, so the entry must be what they hold.
    assert entry.content.fields.count("cancelling") is None
    assert entry.content.fields.count("running") == 2


@pytest.mark.usefixtures("newer_rules")
def test_a_phase_of_older_rules_is_kept() -> None:
    entry, wrong = check({"phase": "unclear", "anomalies": "[]"})
    assert wrong == []
    assert isinstance(entry.content, StatusContent)
    assert entry.content.fields.phase == "unclear"


@pytest.mark.usefixtures("newer_rules")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"running": 9, "extra": '{"counts":{"set":{"running":2}}}'}, id="another count"),
        pytest.param({"queued": 1, "extra": '{"counts":{"drop":["queued"]}}'}, id="a count too many"),
        pytest.param(
            {"status_message": "bad", "extra": '{"status":{"set":{"status_message":"fine"}}}'},
            id="another text",
        ),
        pytest.param({"extra": '{"counts":{"set":{"running":2}}}'}, id="a needless extra"),
        pytest.param({"phase": "asleep"}, id="no phase"),
        pytest.param({"anomalies": None}, id="no anomalies"),
    ],
)
def test_columns_that_disagree_with_the_body_are_found_under_older_rules(changes: dict[str, Any]) -> None:
    assert check(changes)[1] != []


def test_a_count_beside_its_column_is_found_under_the_present_rules() -> None:
    assert check(WITHOUT_CANCELLING)[1] != []
