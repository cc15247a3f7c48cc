"""How certain a group's status at a moment of the past is: said by what lies around the moment. Pure.

The entry that counts is the one with the highest `seq` whose start is not after the moment; a gap starts at
its `from`. Where a status was said until that very moment, it was observed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate

from recorder.ledger.entries import Action, Kind

_WATCHING = (Action.STARTED, Action.RESUMED)


class Certainty(StrEnum):
    """How a status at a moment is known.

    `observed`: it was said before and after, or then. `between`: it is one of two, which were said before and
    after. `gap`: it should have been seen and was not. `open`: it was the last that was said, and the next
    response is not due yet, or never came while the group was watched. `before`: nothing had been said yet.
    `not_watched`: nobody was meant to look.
    """

    OBSERVED = "observed"
    BETWEEN = "between"
    GAP = "gap"
    OPEN = "open"
    BEFORE = "before"
    NOT_WATCHED = "not_watched"


@dataclass(frozen=True, slots=True)
class Mark:
    """What counts of an entry here: when it starts, and until when it holds.

    `until` is, of a status, when it was last said; of a gap, its end; of a change of the watch, its own time.
    """

    seq: int
    kind: Kind
    start: datetime
    until: datetime
    action: Action | None = None

    @property
    def is_watched(self) -> bool:
        return self.action is None or self.action in _WATCHING


@dataclass(frozen=True, slots=True)
class Known:
    """How a status is known at a moment: `seq` and `next_seq` are the status entries that were said then, or
    last before and first after; `gap_seq` is the gap around it. Each is None where it says nothing, and
    `gap_seq` where that gap has not ended yet."""

    certainty: Certainty
    seq: int | None = None
    next_seq: int | None = None
    gap_seq: int | None = None


class Timeline:
    """A stretch of a ledger: `marks` of entries that follow each other in `seq`.

    `seen_before` is the newest status entry before them. `gap_is_open` says that a gap, which has not ended,
    follows the last of them. It answers for moments at which one of its entries counts, but its first unless
    that is the ledger's first, up to the status entry that follows.
    """

    def __init__(self, marks: Sequence[Mark], *, seen_before: int | None, gap_is_open: bool) -> None:
        self._marks = marks
        self._gap_is_open = gap_is_open
        by_start = sorted(range(len(marks)), key=lambda place: (marks[place].start, place))
        self._starts = [marks[place].start for place in by_start]
        # The highest place among those that started by then: a clock may have been set back in between.
        self._counting = list(accumulate(by_start, max))
        self._seen = _newest(marks, seen_before)
        self._following = [*reversed(_newest(list(reversed(marks)), None)), None]

    def at(self, moment: datetime) -> Known:
        """Return how the status at `moment`, which is not in the future, is known."""
        started = bisect_right(self._starts, moment)
        if not started:
            return Known(Certainty.BEFORE, next_seq=self._following[0])
        place = self._counting[started - 1]
        said = self._said_at(place, moment)
        if said is not None:
            return Known(Certainty.OBSERVED, said.seq)
        mark, seen, following = self._marks[place], self._seen[place], self._following[place + 1]
        certainty = self._certainty(place, moment)
        if certainty is Certainty.NOT_WATCHED:
            return Known(certainty)
        if certainty is Certainty.GAP:
            closed = mark.kind is Kind.GAP and moment < mark.until
            return Known(certainty, seen, following, mark.seq if closed else None)
        return Known(certainty, seen, None if certainty is Certainty.OPEN else following)

    def _said_at(self, place: int, moment: datetime) -> Mark | None:
        """The status that was said at the moment: at equal times a status wins over what follows it."""
        for mark in reversed(self._marks[max(0, place - 1) : place + 1]):
            if mark.kind is Kind.STATUS and mark.start <= moment <= mark.until:
                return mark
        return None

    def _certainty(self, place: int, moment: datetime) -> Certainty:
        mark, is_last = self._marks[place], place + 1 == len(self._marks)
        if not mark.is_watched:
            return Certainty.NOT_WATCHED
        if (mark.kind is Kind.GAP and moment < mark.until) or (is_last and self._gap_is_open):
            return Certainty.GAP
        if self._seen[place] is None:
            return Certainty.BEFORE
        # A change of the watch says nothing of the status; until then the last one may well have held.
        changed = not is_last and self._marks[place + 1].kind is not Kind.WATCH
        return Certainty.BETWEEN if changed else Certainty.OPEN


def sampled_of(
    marks: Sequence[Mark], first: datetime, step: timedelta, count: int
) -> list[tuple[int, float]]:
    """Return for each of `count` steps from `first` on how many statuses began in it, and how many seconds
    of it lay in gaps."""
    changes, gaps = [0] * count, [timedelta()] * count
    for mark in marks:
        place = (mark.start - first) // step
        if mark.kind is Kind.STATUS and 0 <= place < count:
            changes[place] += 1
        if mark.kind is Kind.GAP:
            for number in range(max(0, place), min(count, (mark.until - first) // step + 1)):
                start = first + step * number
                gaps[number] += max(timedelta(), min(mark.until, start + step) - max(mark.start, start))
    return [(began, gap.total_seconds()) for began, gap in zip(changes, gaps, strict=True)]


def _newest(marks: Sequence[Mark], before: int | None) -> list[int | None]:
    """Return at each mark the number of the last status up to it, `before` where there is none."""
    found = []
    for mark in marks:
        before = mark.seq if mark.kind is Kind.STATUS else before
        found.append(before)
    return found
