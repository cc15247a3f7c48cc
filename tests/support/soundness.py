"""Invariants of every ledger, whatever happened to its group."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from recorder.ledger.entries import REMARKS, Action, Entry, Gap, StatusContent, WatchChange
from tests.support.chain_oracle import assert_chained
from tests.support.short_forms import name_of


def assert_sound(entries: Sequence[Entry]) -> None:
    """Assert consecutive numbers, an intact chain, and no adjacent entries that may not follow each other."""
    assert_chained(entries)
    _assert_no_gap_while_not_watched(entries)
    assert not isinstance(entries[-1].content, Gap)
    for before, entry in pairwise(entries):
        assert (entry.previous is not None) is isinstance(before.content, StatusContent)
        if isinstance(before.content, StatusContent) and isinstance(entry.content, StatusContent):
            assert name_of(before.content) != name_of(entry.content)
        if isinstance(before.content, Gap):
            _assert_ended(before, before.content, entry)


def _assert_no_gap_while_not_watched(entries: Sequence[Entry]) -> None:
    watched = False
    for entry in entries:
        if isinstance(entry.content, WatchChange) and entry.content.action not in REMARKS:
            watched = entry.content.action in {Action.STARTED, Action.RESUMED}
        assert watched or isinstance(entry.content, WatchChange)


def _assert_ended(entry: Entry, gap: Gap, ended_by: Entry) -> None:
    """A gap ends with the response or the watch entry that follows it, at the same time."""
    assert gap.to == entry.at == ended_by.at
    assert gap.from_ <= entry.at
    assert gap.unpolled_seconds >= 0
    assert not isinstance(ended_by.content, Gap)
