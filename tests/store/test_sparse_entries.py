"""Gaps and notes are few among the entries of all groups, and are found without reading the others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Engine

from recorder.store.gap_rows import read_all_gaps
from recorder.store.notes import newest_notes
from recorder.store.transactions import reading
from tests.support.plans import Explaining

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_gaps_are_read_from_their_index(engine: Engine) -> None:
    with reading(engine) as connection:
        explaining = cast(Any, Explaining(connection))
        read_all_gaps(explaining, NOON, NOON, NOON)
    assert "ix_entries_gaps" in explaining.plans


def test_notes_are_read_from_their_index(engine: Engine) -> None:
    with reading(engine) as connection:
        explaining = cast(Any, Explaining(connection))
        newest_notes(explaining, ["tgrp_1", "tgrp_2"])
    assert "ix_entries_watch" in explaining.plans
