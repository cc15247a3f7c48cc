"""What a recorder counts since its start."""

from __future__ import annotations

from collections import Counter

from recorder.ledger.entries import Entry
from recorder.ledger.outcome import Failure, Outcome


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

    def polled(self, outcome: Outcome) -> None:
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
