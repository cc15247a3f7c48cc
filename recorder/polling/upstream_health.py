"""The upstream's health as seen by the recorder's polls, for the log and the heartbeat; poll counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recorder.ledger.entries import Entry
from recorder.ledger.poll_outcome import Cause, Failure, PollOutcome
from recorder.ledger.timestamps import format_time

GOOD_BEATS = 3
"""An outage is over after this many heartbeats with responses and without failures."""


def is_about_groups(news: Mapping[str, Any]) -> bool:
    """Whether all failures in what `UpstreamHealth.news` returned are 404s and 410s, which are answers."""
    return news.keys() == {Cause.NOT_FOUND.value, "last"}


@dataclass(slots=True)
class _Failing:
    """Failures by cause, and responses, since the first failure; `logged` are the causes logged so far."""

    since: datetime
    last: Failure
    failures: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    logged: frozenset[str] = frozenset()


class UpstreamHealth:
    """Summarizes failing polls, from the first failure until polls have succeeded again for a while."""

    def __init__(self) -> None:
        self._failing: _Failing | None = None
        self._failed = self._answered = False
        self._good_beats = 0

    def polled(self, outcome: PollOutcome) -> None:
        """Take note of the outcome of a poll."""
        if not isinstance(outcome, Failure):
            self._answered = True
            if self._failing is not None:
                self._failing.answers += 1
            return
        self._failed = True
        if self._failing is None:
            self._failing = _Failing(outcome.ended_at, outcome)
        self._failing.last = outcome
        self._failing.failures[outcome.cause.value] += 1

    def has_met(self, cause: Cause) -> bool:
        """Whether polls are failing, and some did for this cause."""
        return self._failing is not None and cause.value in self._failing.failures

    def news(self) -> dict[str, Any] | None:
        """Return what to log now; must be called once per heartbeat.

        None if there is no new cause of failure, so that a long outage does not flood the log. An empty
        dict once polls have succeeded for GOOD_BEATS calls.
        """
        failed, answered = self._failed, self._answered
        self._failed = self._answered = False
        self._good_beats = 0 if failed else self._good_beats + answered
        failing = self._failing
        if failing is None:
            return None
        if self._good_beats >= GOOD_BEATS:
            self._failing = None
            return {}
        new = failing.failures.keys() - failing.logged
        failing.logged |= new
        return {**failing.failures, "last": failing.last.detail} if new else None

    def as_json(self) -> dict[str, Any] | None:
        """Return the failures as JSON members, None while polls succeed.

        `since`, the number of `failures` by cause and of `answers` since then, and the `last_failure`.
        """
        failing = self._failing
        if failing is None:
            return None
        last = failing.last
        return {
            "since": format_time(failing.since),
            "failures": dict(failing.failures),
            "answers": failing.answers,
            "last_failure": {
                "at": format_time(last.ended_at),
                "cause": last.cause.value,
                "http_status": last.http_status,
                "detail": last.detail,
            },
        }


class Counters:
    """Counts of polls by outcome, entries by kind, and errors.

    Names: `polls`, `failures`, `failures.<cause>`, `still_gone` (expected failures of a gone group),
    `put_off` (polls not made for want of a file descriptor), `entries`, `entries.<kind>`, `dropped` (results
    whose claim was lost), `errors` (bugs).
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(
            polls=0, failures=0, still_gone=0, put_off=0, entries=0, dropped=0, errors=0
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

    def put_off(self) -> None:
        self._counts["put_off"] += 1

    def wrote(self, entry: Entry) -> None:
        self._counts["entries"] += 1
        self._counts[f"entries.{entry.kind.value}"] += 1

    def dropped(self, results: int) -> None:
        self._counts["dropped"] += results

    def error(self) -> None:
        self._counts["errors"] += 1

    def __getitem__(self, name: str) -> int:
        return self._counts[name]
