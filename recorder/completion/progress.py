"""How fast the runs of an open episode finish, as a bounded number of marks."""

from __future__ import annotations

from datetime import datetime

from recorder.ledger.value_class import value_class

MOST_MARKS = 32


@value_class
class ProgressMark:
    """By `at` (aware), `finished` runs of the group had completed, failed or been cancelled."""

    at: datetime
    finished: int


@value_class
class ProgressMarks:
    """The progress of an episode; without arguments, before its first observation.

    `marks` ascend in time and in count; there are at most MOST_MARKS. The first is where counting began: the
    episode's start with the count before it, or the first observation if the start is unknown. The last is
    the newest rise. `finished` and `total` are the group's newest counts, None where they were not reported;
    they can contradict the marks.
    """

    marks: tuple[ProgressMark, ...] = ()
    finished: int | None = None
    total: int | None = None

    def seen(self, at: datetime, finished: int | None, total: int | None) -> ProgressMarks:
        """Return the progress after an observation at `at` (aware).

        There is no new mark for a count that is absent, negative or not higher than before, nor for a time
        before the newest mark. Of two counts at the same time the higher one is kept.
        """
        return ProgressMarks(self._marks_after(at, finished), finished, total)

    def _marks_after(self, at: datetime, finished: int | None) -> tuple[ProgressMark, ...]:
        kept = self.marks
        if finished is None or finished < 0:
            return kept
        if kept:
            newest = kept[-1]
            if at < newest.at or finished <= newest.finished:
                return kept
            kept = kept[:-1] if at == newest.at else kept
        return _thinned((*kept, ProgressMark(at, finished)))


def _thinned(marks: tuple[ProgressMark, ...]) -> tuple[ProgressMark, ...]:
    """Drop every second mark when there are too many; the first and the last stay, as MOST_MARKS is even."""
    return marks[::2] if len(marks) > MOST_MARKS else marks
