"""What a recorder counts since its start, and what of it is worth a line in the log."""

from __future__ import annotations

from collections import Counter

from recorder.ledger.entries import Entry
from recorder.ledger.outcome import Failure, Outcome

GOOD_BEATS = 3
"""After how many beats with polls and without failures an outage counts as over."""


class Counters:
    """Counts of polls by outcome, of entries written by kind, and of what went wrong.

    Names: `polls`, `failures`, `failures.<cause>`, `entries`, `entries.<kind>`, `dropped` (results whose
    claim was lost), `errors` (bugs).
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(polls=0, failures=0, entries=0, dropped=0, errors=0)
        self._reported: Counter[str] = Counter()
        self._trouble: frozenset[str] = frozenset()
        self._good_beats = 0

    def as_dict(self) -> dict[str, int]:
        return dict(self._counts)

    def polled(self, outcome: Outcome) -> None:
        self._counts["polls"] += 1
        if isinstance(outcome, Failure):
            self._counts["failures"] += 1
            self._counts[f"failures.{outcome.cause.value}"] += 1

    def wrote(self, entry: Entry) -> None:
        self._counts["entries"] += 1
        self._counts[f"entries.{entry.kind.value}"] += 1

    def dropped(self, results: int) -> None:
        self._counts["dropped"] += results

    def error(self) -> None:
        self._counts["errors"] += 1

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def news(self) -> dict[str, int] | None:
        """Return the failures by cause since the last call, if a cause that is new is among them.

        None where nothing changed in kind: a long outage is one line in the log, not a flood. An empty
        dict says that for GOOD_BEATS calls in a row polls did not fail any more.
        """
        since = self._counts - self._reported
        self._reported = self._counts.copy()
        failing = {
            name.removeprefix("failures."): count
            for name, count in since.items()
            if name.startswith("failures.")
        }
        if failing:
            self._good_beats = 0
            new = failing.keys() - self._trouble
            self._trouble |= failing.keys()
            return failing if new else None
        self._good_beats += bool(since["polls"])
        if not self._trouble or self._good_beats < GOOD_BEATS:
            return None
        self._trouble = frozenset()
        return {}
