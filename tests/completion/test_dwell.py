"""Where a group's time went: by example, second by second, and against time cut into pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.completion.dwell import Coverage, dwell_of
from recorder.ledger.entries import Action, Entry, Gap, Interval, StatusContent, WatchChange
from recorder.ledger.status_fields import RUN_STATUSES, Phase
from tests.support.ledgers import GAP_WINDOW, POLL_INTERVAL, Ledger, body
from tests.support.strategies import ledgers

RUNNING = body(running=2, queued=1)
DONE = body(completed=3)


def _dwell(ledger: Ledger) -> dict[str, float]:
    """The phases in which the group was seen at all."""
    dwell = dwell_of(ledger.entries, ledger.watch.open).phase_seconds()
    return {phase: seconds for phase, seconds in dwell.items() if seconds}


def _runs(ledger: Ledger) -> dict[str, float]:
    runs = dwell_of(ledger.entries, ledger.watch.open).run_seconds()
    return {name: seconds for name, seconds in runs.items() if seconds}


def _coverage(ledger: Ledger) -> Coverage:
    return dwell_of(ledger.entries, ledger.watch.open).coverage()


def test_every_phase_and_every_run_status_is_a_key() -> None:
    assert dwell_of([], None).phase_seconds() == {phase.value: 0 for phase in Phase}
    assert dwell_of([], None).run_seconds() == dict.fromkeys(RUN_STATUSES, 0)


def test_nothing_watched_has_no_fraction() -> None:
    assert dwell_of([], None).coverage() == Coverage(0, 0, 0, None)
    assert _coverage(Ledger().fail(5)) == Coverage(0, 0, 0, None)


def test_a_status_counts_to_the_next_and_the_last_to_when_it_was_last_seen() -> None:
    ledger = Ledger().see(2, body()).see(10, RUNNING).see(20, RUNNING).see(25, DONE).see(35, DONE)
    assert _dwell(ledger) == {"empty": 8, "active": 15, "settled": 10}
    assert _runs(ledger) == {"queued": 15, "running": 30, "completed": 30}
    assert _coverage(ledger) == Coverage(35, 0, 35, 1)


def test_gaps_are_left_out() -> None:
    ledger = Ledger().see(0, RUNNING).see(10, RUNNING).fail(20).see(110, RUNNING).see(130, DONE)
    assert _dwell(ledger) == {"active": 30}
    assert _coverage(ledger) == Coverage(130, 100, 30, 30 / 130)


def test_a_gap_before_the_first_response() -> None:
    ledger = Ledger().fail(5).see(100, RUNNING).see(105, RUNNING)
    assert _dwell(ledger) == {"active": 5}
    assert _coverage(ledger) == Coverage(105, 100, 5, 5 / 105)


def test_unwatched_time_is_left_out() -> None:
    ledger = Ledger().see(0, RUNNING).see(10, RUNNING).cease(14).resume(500).see(502, RUNNING)
    ledger.see(512, RUNNING)
    assert _dwell(ledger) == {"active": 24}
    assert _coverage(ledger) == Coverage(26, 0, 26, 1)


def test_a_gap_that_a_stop_ended() -> None:
    ledger = Ledger().see(0, RUNNING).see(10, RUNNING).fail(20).cease(110, Action.STOPPED)
    assert _dwell(ledger) == {"active": 10}
    assert _coverage(ledger) == Coverage(110, 100, 10, 10 / 110)


def test_resumed_and_not_answered_yet_adds_nothing() -> None:
    ledger = Ledger().see(0, RUNNING).see(10, RUNNING).cease(14).resume(500).fail(502)
    assert _coverage(ledger) == Coverage(14, 0, 14, 1)


def test_counts_that_are_null_or_below_zero_add_nothing() -> None:
    ledger = Ledger().see(0, body(total=3, running=None, failed=-2, completed=3, active=True)).see(10, DONE)
    assert _runs(ledger) == {"completed": 30}


def test_enormous_counts_break_nothing() -> None:
    ledger = Ledger().see(0, body(running=2**53 - 1)).see(10, DONE)
    assert _runs(ledger) == {"running": float((2**53 - 1) * 10)}


@dataclass(frozen=True)
class Event:
    """What happened at a whole second: `started`, `resumed`, `ceased`, `failed`, or `answered` with what."""

    at: int
    what: str
    phase: Phase
    counts: Mapping[str, int]


_ANSWERS: list[tuple[Phase, dict[str, int]]] = [
    (Phase.EMPTY, {}),
    (Phase.ACTIVE, {"queued": 2, "running": 1}),
    (Phase.ACTIVE, {"running": 3, "action_required": 1, "completed": 2}),
    (Phase.ACTIVE, {"cancelling": 1, "cancelled": 1}),
    (Phase.BLOCKED, {"action_required": 2, "completed": 1}),
    (Phase.SETTLED, {"completed": 3, "failed": 1}),
]


@st.composite
def _stories(draw: st.DrawFn) -> list[Event]:
    """Draw what happens to a group, to be told from what is said to the recorder alone."""
    now, watched = 0, True
    events = [Event(0, "started", *_ANSWERS[0])]
    for _ in range(draw(st.integers(0, 20))):
        now += draw(st.integers(1, 15) | st.integers(GAP_WINDOW - 1, GAP_WINDOW + POLL_INTERVAL + 2))
        possible = ["answered", "answered", "answered", "failed", "ceased"] if watched else ["resumed"]
        what = draw(st.sampled_from(possible))
        watched = what != "ceased"
        events.append(Event(now, what, *draw(st.sampled_from(_ANSWERS))))
    return events


def _recorded(events: list[Event]) -> Ledger:
    ledger = Ledger(0)
    for event in events:
        match event.what:
            case "answered":
                ledger.see(event.at, body(**event.counts))
            case "failed":
                ledger.fail(event.at)
            case "ceased":
                ledger.cease(event.at)
            case "resumed":
                ledger.resume(event.at)
    return ledger


def _second_by_second(events: list[Event]) -> Counter[str]:
    """Count each second by what was known of it: `watched`, `gap`, the phase, and runs by their status."""
    seconds: Counter[str] = Counter()
    telling = [event for event in events if event.what != "failed"]
    for now in range(events[-1].at):
        before = [event for event in telling if event.at <= now][-1]
        after = next((event for event in telling if event.at > now), None)
        if before.what == "ceased" or after is None:
            continue
        seconds["watched"] += 1
        due = before.at + (POLL_INTERVAL if before.what == "answered" else 0)
        if after.at > due + GAP_WINDOW:
            seconds["gap"] += 1
        elif before.what == "answered":
            seconds[before.phase] += 1
            seconds.update(before.counts)
    return seconds


@given(_stories())
def test_time_counted_second_by_second_is_the_same(events: list[Event]) -> None:
    ledger, seconds = _recorded(events), _second_by_second(events)
    assert dwell_of(ledger.entries, ledger.watch.open).phase_seconds() == {
        phase: seconds[phase] for phase in Phase
    }
    runs = {name: seconds[name] for name in RUN_STATUSES}
    assert dwell_of(ledger.entries, ledger.watch.open).run_seconds() == runs
    watched, gap = seconds["watched"], seconds["gap"]
    fraction = (watched - gap) / watched if watched else None
    assert _coverage(ledger) == Coverage(watched, gap, watched - gap, fraction)


@given(ledgers(steps_back=False))
def test_time_cut_at_every_boundary_gives_the_same(ledger: Ledger) -> None:
    pieces = _pieces(ledger)
    dwell = dict.fromkeys(Phase, timedelta())
    runs = dict.fromkeys(RUN_STATUSES, timedelta())
    watched = gaps = timedelta()
    for start, end in pieces:
        entry = _holding(ledger.entries, start)
        if not _watched(ledger, start):
            continue
        watched += end - start
        if isinstance(entry.content, Gap):
            gaps += end - start
        elif isinstance(entry.content, StatusContent):
            dwell[entry.content.fields.phase] += end - start
            for name in RUN_STATUSES:
                runs[name] += (entry.content.fields.count(name) or 0) * (end - start)
    assert _seconds(dwell) == dwell_of(ledger.entries, ledger.watch.open).phase_seconds()
    assert _seconds(runs) == dwell_of(ledger.entries, ledger.watch.open).run_seconds()
    coverage = _coverage(ledger)
    assert coverage.watched_seconds == watched.total_seconds()
    assert coverage.gap_seconds == gaps.total_seconds()
    assert coverage.observed_seconds == (watched - gaps).total_seconds()


@given(ledgers(steps_back=False))
def test_observed_time_is_dwell_time_and_waiting_for_a_first_response(ledger: Ledger) -> None:
    waiting = sum(
        (following.at - entry.at).total_seconds()
        for entry, following in pairwise(ledger.entries)
        if isinstance(entry.content, WatchChange)
        and entry.content.action in {Action.STARTED, Action.RESUMED}
        and not isinstance(following.content, Gap)
    )
    dwell = sum(dwell_of(ledger.entries, ledger.watch.open).phase_seconds().values())
    assert _coverage(ledger).observed_seconds == pytest.approx(dwell + waiting)


def _pieces(ledger: Ledger) -> list[tuple[datetime, datetime]]:
    """The time from the first entry to the last response, cut wherever anything could change."""
    cuts = {_start(entry) for entry in ledger.entries} | {entry.at for entry in ledger.entries}
    if ledger.watch.open is not None:
        cuts.add(ledger.watch.open.last_seen_at)
    return list(pairwise(sorted(cuts)))


def _start(entry: Entry) -> datetime:
    return entry.content.from_ if isinstance(entry.content, Gap) else entry.at


def _holding(entries: list[Entry], moment: datetime) -> Entry:
    """The newest entry that had begun at `moment`."""
    return max((entry for entry in entries if _start(entry) <= moment), key=lambda entry: entry.seq)


def _watched(ledger: Ledger, moment: datetime) -> bool:
    """Whether the newest watch change by then enrolled the group, and a response or change came later."""
    changes = [entry for entry in ledger.entries if isinstance(entry.content, WatchChange)]
    newest = _holding(changes, moment)
    ends = [entry.at for entry in changes if entry.seq > newest.seq] or [_last_seen_at(ledger)]
    assert isinstance(newest.content, WatchChange)
    return newest.content.action in {Action.STARTED, Action.RESUMED} and moment < ends[0]


def _last_seen_at(ledger: Ledger) -> datetime:
    intervals = [entry.previous for entry in ledger.entries] + [ledger.watch.open]
    seen: list[Interval] = [interval for interval in intervals if interval is not None]
    return seen[-1].last_seen_at if seen else ledger.entries[0].at


def _seconds(lengths: dict[Phase, timedelta] | dict[str, timedelta]) -> dict[str, float]:
    return {str(name): length.total_seconds() for name, length in lengths.items()}
