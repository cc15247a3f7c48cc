"""How certain a group's status at a past moment is, from the entries around that moment. Pure.

The entry that counts is the one with the highest `seq` that started by then; a gap starts at its `from`. A
status that was last seen at that very moment was observed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate

from recorder.ledger.entries import Action, Kind
from recorder.ledger.value_class import value_class

_WATCHING = (Action.STARTED, Action.RESUMED)


class Certainty(StrEnum):
    """How a status at a moment is known.

    `observed`: the same status was seen before and after, or at that moment. `between`: it is one of two
    statuses, seen before and after. `gap`: it should have been seen but was not. `open`: it is the last known
    status, and the next response is not due yet, or never came while the group was watched. `before`: there
    was no response yet. `not_watched`: the group was not being watched.
    """

    OBSERVED = "observed"
    BETWEEN = "between"
    GAP = "gap"
    OPEN = "open"
    BEFORE = "before"
    NOT_WATCHED = "not_watched"


@value_class
class Mark:
    """The part of an entry that matters here: when it starts, and until when it holds.

    `until` is when a status was last seen, when a gap ended, or the time of a watch change.
    """

    seq: int
    kind: Kind
    start: datetime
    until: datetime
    action: Action | None = None

    @property
    def is_watched(self) -> bool:
        return self.action is None or self.action in _WATCHING


@value_class
class Known:
    """How a status is known at a moment.

    `seq` and `next_seq` are the status entry seen then, or the last before and the first after; `gap_seq` is
    the gap around the moment. Each is None if it does not apply, and `gap_seq` also while the gap is open.
    """

    certainty: Certainty
    seq: int | None = None
    next_seq: int | None = None
    gap_seq: int | None = None


class Timeline:
    """A part of a ledger: the `marks` of consecutive entries, without notes and expectations, which say
    nothing about the status.

    `seen_before` is the newest status entry before them. `gap_is_open` is whether a gap that has not ended
    follows them. A timeline covers the moments at which one of its entries counts (other than its first,
    unless that is the ledger's first), up to the status entry that follows.
    """

    def __init__(self, marks: Sequence[Mark], *, seen_before: int | None, gap_is_open: bool) -> None:
        self._marks = marks
        self._gap_is_open = gap_is_open
        by_start = sorted(range(len(marks)), key=lambda place: (marks[place].start, place))
        self._starts = [marks[place].start for place in by_start]
        # The last entry that started by then: the clock may have been set back in between.
        self._counting = list(accumulate(by_start, max))
        self._seen = _newest(marks, seen_before)
        self._following = [*reversed(_newest(list(reversed(marks)), None)), None]

    def at(self, moment: datetime) -> Known:
        """Return how the status at `moment`, which is not in the future, is known."""
        started = bisect_right(self._starts, moment)
        if not started:
            return Known(Certainty.BEFORE, next_seq=self._following[0])
        place = self._counting[started - 1]
        observed = self._observed_at(place, moment)
        if observed is not None:
            return Known(Certainty.OBSERVED, observed.seq)
        mark, seen, following = self._marks[place], self._seen[place], self._following[place + 1]
        certainty = self._certainty(place, moment)
        if certainty is Certainty.NOT_WATCHED:
            return Known(certainty)
        if certainty is Certainty.GAP:
            closed = mark.kind is Kind.GAP and moment < mark.until
            return Known(certainty, seen, following, mark.seq if closed else None)
        return Known(certainty, seen, None if certainty is Certainty.OPEN else following)

    def _observed_at(self, place: int, moment: datetime) -> Mark | None:
        """Return the status seen at the moment; at equal times a status wins over what follows it."""
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
        # A watch change is no evidence of another status: the last one may have lasted until then.
        changed = not is_last and self._marks[place + 1].kind is not Kind.WATCH
        return Certainty.BETWEEN if changed else Certainty.OPEN


def sampled_of(
    marks: Sequence[Mark], first: datetime, step: timedelta, count: int
) -> list[tuple[int, float]]:
    """Return for each of `count` steps from `first` how many statuses began in it, and how many of its
    seconds were in gaps."""
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
    """Return for each mark the `seq` of the last status up to it, `before` if there is none."""
    found = []
    for mark in marks:
        before = mark.seq if mark.kind is Kind.STATUS else before
        found.append(before)
    return found
