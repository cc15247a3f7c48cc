"""The certainty of a status at a given time, compared with a direct implementation of the rules."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from recorder.ledger.entries import Action, Entry, Gap, Kind, WatchChange
from recorder.ledger.timeline import Certainty, Known, Mark, Timeline
from recorder.ledger.transitions import open_gap
from tests.support.ledgers import Ledger, body, time
from tests.support.strategies import ledgers

NOT_WATCHED = {Action.PAUSED, Action.STOPPED, Action.GONE, Action.RETIRED}


def _start(entry: Entry) -> datetime:
    return entry.content.from_ if isinstance(entry.content, Gap) else entry.at


def _marks(ledger: Ledger) -> list[Mark]:
    marks = []
    for number, entry in enumerate(ledger.entries, 1):
        closed = ledger.entries[number].previous if number < len(ledger.entries) else ledger.watch.open
        until = closed.last_seen_at if closed is not None else entry.at
        action = entry.content.action if isinstance(entry.content, WatchChange) else None
        marks.append(Mark(entry.seq, entry.kind, _start(entry), until, action))
    return marks


def _expected(ledger: Ledger, moment: datetime, now: datetime) -> Known:  # noqa: PLR0911
    """Apply the rules one by one to the whole ledger."""
    marks = _marks(ledger)
    started = [mark for mark in marks if mark.start <= moment]
    statuses = [mark for mark in marks if mark.kind is Kind.STATUS]
    if not started:
        return Known(Certainty.BEFORE, next_seq=statuses[0].seq if statuses else None)
    counting = max(started, key=lambda mark: mark.seq)
    near = [mark for mark in statuses if mark.seq in {counting.seq, counting.seq - 1}]
    observed = [mark for mark in near if mark.start <= moment <= mark.until]
    if observed:
        return Known(Certainty.OBSERVED, observed[-1].seq)
    if counting.action in NOT_WATCHED:
        return Known(Certainty.NOT_WATCHED)
    before = max((mark.seq for mark in statuses if mark.seq <= counting.seq), default=None)
    after = min((mark.seq for mark in statuses if mark.seq > counting.seq), default=None)
    if counting.kind is Kind.GAP and moment < counting.until:
        return Known(Certainty.GAP, before, after, counting.seq)
    if counting is marks[-1] and open_gap(ledger.watch, now) is not None:
        return Known(Certainty.GAP, before, None)
    if before is None:
        return Known(Certainty.BEFORE, None, after)
    if counting is not marks[-1] and marks[counting.seq].kind is not Kind.WATCH:
        return Known(Certainty.BETWEEN, before, after)
    return Known(Certainty.OPEN, before)


MOMENTS = st.tuples(st.integers(0, 30), st.sampled_from([-1, -0.25, 0, 0.25, 3]))


@given(ledgers(steps_back=True), st.lists(MOMENTS, min_size=1), st.booleans())
def test_any_moment(ledger: Ledger, near: list[tuple[int, float]], late: bool) -> None:
    now = max(mark.until for mark in _marks(ledger)) + timedelta(seconds=5000 if late else 4)
    edges = [edge for mark in _marks(ledger) for edge in (mark.start, mark.until)]
    timeline = Timeline(_marks(ledger), seen_before=None, gap_is_open=open_gap(ledger.watch, now) is not None)
    for number, away in near:
        moment = edges[number % len(edges)] + timedelta(seconds=away)
        assert timeline.at(moment) == _expected(ledger, moment, now)


@given(ledgers(steps_back=False), st.data())
def test_part_of_a_ledger_gives_the_same_results_as_all_of_it(ledger: Ledger, data: st.DataObject) -> None:
    marks = _marks(ledger)
    cut = data.draw(st.integers(0, len(marks) - 1))
    seen = max((mark.seq for mark in marks[:cut] if mark.kind is Kind.STATUS), default=None)
    whole = Timeline(marks, seen_before=None, gap_is_open=False)
    part = Timeline(marks[cut:], seen_before=seen, gap_is_open=False)
    for mark in marks[cut + 1 :]:
        for moment in (mark.start, mark.until):
            assert part.at(moment) == whole.at(moment)


def test_each_certainty() -> None:
    ledger = Ledger().see(10, body(running=1)).see(20, body(running=1)).see(30, body(completed=1))
    ledger.fail(45).see(120, body(completed=1)).cease(130).resume(140)
    timeline = Timeline(_marks(ledger), seen_before=None, gap_is_open=False)
    expected = {
        -1: (Certainty.BEFORE, None, 2, None),
        5: (Certainty.BEFORE, None, 2, None),
        10: (Certainty.OBSERVED, 2, None, None),
        20: (Certainty.OBSERVED, 2, None, None),
        25: (Certainty.BETWEEN, 2, 3, None),
        30: (Certainty.OBSERVED, 3, None, None),
        31: (Certainty.GAP, 3, 5, 4),
        119: (Certainty.GAP, 3, 5, 4),
        120: (Certainty.OBSERVED, 5, None, None),
        125: (Certainty.OPEN, 5, None, None),
        130: (Certainty.NOT_WATCHED, None, None, None),
        140: (Certainty.OPEN, 5, None, None),
    }
    assert {at: timeline.at(time(at)) for at in expected} == {
        at: Known(*known) for at, known in expected.items()
    }
    lasting = Timeline(_marks(ledger), seen_before=None, gap_is_open=True)
    assert lasting.at(time(150)) == Known(Certainty.GAP, 5)
