"""What is wrong with the upstream, as the recorder's polls tell it: for the log, and for who asks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recorder.ledger.entries import Entry
from recorder.ledger.poll_outcome import Failure, PollOutcome
from recorder.ledger.timestamps import format_time

GOOD_BEATS = 3
"""After how many beats with answers and without failures an outage counts as over."""


@dataclass(slots=True)
class _Spell:
    """Failures by cause and answers since the first failure; `told` are the causes that the log knows."""

    since: datetime
    last: Failure
    failures: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    told: frozenset[str] = frozenset()


class UpstreamHealth:
    """Sums up failing polls from the first failure until polls have succeeded again for a while."""

    def __init__(self) -> None:
        self._spell: _Spell | None = None
        self._failed = self._answered = False
        self._good_beats = 0

    def polled(self, outcome: PollOutcome) -> None:
        """Take in what came of a poll."""
        if not isinstance(outcome, Failure):
            self._answered = True
            if self._spell is not None:
                self._spell.answers += 1
            return
        self._failed = True
        if self._spell is None:
            self._spell = _Spell(outcome.ended_at, outcome)
        self._spell.last = outcome
        self._spell.failures[outcome.cause.value] += 1

    def news(self) -> dict[str, Any] | None:
        """Return what the log should say now; to be called once a beat.

        None where nothing changed in kind: a long outage is one line in the log, not a flood. An empty
        dict says that polls have not failed any more for GOOD_BEATS calls.
        """
        failed, answered = self._failed, self._answered
        self._failed = self._answered = False
        self._good_beats = 0 if failed else self._good_beats + answered
        spell = self._spell
        if spell is None:
            return None
        if self._good_beats >= GOOD_BEATS:
            self._spell = None
            return {}
        new = spell.failures.keys() - spell.told
        spell.told |= new
        return {**spell.failures, "last": spell.last.detail} if new else None

    def members(self) -> dict[str, Any] | None:
        """Return the trouble as JSON members, None while there is none.

        `since` when, `failures` by cause, `answers` meanwhile, and the `last_failure`.
        """
        spell = self._spell
        if spell is None:
            return None
        last = spell.last
        return {
            "since": format_time(spell.since),
            "failures": dict(spell.failures),
            "answers": spell.answers,
            "last_failure": {
                "at": format_time(last.ended_at),
                "cause": last.cause.value,
                "http_status": last.http_status,
                "detail": last.detail,
            },
        }


class Counters:
    """Counts of polls by outcome, of entries written by kind, and of what went wrong.

    Names: `polls`, `failures`, `failures.<cause>`, `still_gone` (failures that were expected), `entries`,
    `entries.<kind>`, `dropped` (results whose claim was lost), `errors` (bugs).
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(
            polls=0, failures=0, still_gone=0, entries=0, dropped=0, errors=0
        )

    def as_dict(self) -> dict[str, int]:
        return dict(self._counts)

    def polled(self, outcome: PollOutcome) -> None:
        self._counts["polls"] += 1
        if isinstance(outcome, Failure):
            self._counts["failures"] += 1
            self._counts[f"failures.{outcome.cause.value}"] += 1

    def still_gone(self) -> None:
        self._counts["still_gone"] += 1

    def wrote(self, entry: Entry) -> None:
        self._counts["entries"] += 1
        self._counts[f"entries.{entry.kind.value}"] += 1

    def dropped(self, results: int) -> None:
        self._counts["dropped"] += results

    def error(self) -> None:
        self._counts["errors"] += 1

    def __getitem__(self, name: str) -> int:
        return self._counts[name]
