"""The time a group spent in each phase: examples, and two independent computations."""

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
    """Return the seconds per phase, without phases in which the group was never seen."""
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


def test_a_status_lasts_until_the_next_one_or_until_it_was_last_seen() -> None:
    ledger = Ledger().see(2, body()).see(10, RUNNING).see(20, RUNNING).see(25, DONE).see(35, DONE)
    assert _dwell(ledger) == {"empty": 8, "active": 15, "settled": 10}
    assert _runs(ledger) == {"queued": 15, "running": 30, "completed": 30}
    assert _coverage(ledger) == Coverage(35, 0, 35, 1)


def test_gaps_do_not_count() -> None:
    ledger = Ledger().see(0, RUNNING).see(10, RUNNING).fail(20).see(110, RUNNING).see(130, DONE)
    assert _dwell(ledger) == {"active": 30}
    assert _coverage(ledger) == Coverage(130, 100, 30, 30 / 130)


def test_a_gap_before_the_first_response() -> None:
    ledger = Ledger().fail(5).see(100, RUNNING).see(105, RUNNING)
    assert _dwell(ledger) == {"active": 5}
    assert _coverage(ledger) == Coverage(105, 100, 5, 5 / 105)


def test_unwatched_time_does_not_count() -> None:
    ledger = Ledger().see(0, RUNNING).see(10, RUNNING).cease(14).resume(500).see(502, RUNNING)
    ledger.see(512, RUNNING)
    assert _dwell(ledger) == {"active": 24}
    assert _coverage(ledger) == Coverage(26, 0, 26, 1)


def test_a_gap_ended_by_a_stop() -> None:
    ledger = Ledger().see(0, RUNNING).see(10, RUNNING).fail(20).cease(110, Action.STOPPED)
    assert _dwell(ledger) == {"active": 10}
    assert _coverage(ledger) == Coverage(110, 100, 10, 10 / 110)


def test_time_before_the_first_response_after_a_resume_adds_nothing() -> None:
    ledger = Ledger().see(0, RUNNING).see(10, RUNNING).cease(14).resume(500).fail(502)
    assert _coverage(ledger) == Coverage(14, 0, 14, 1)


def test_null_and_negative_counts_add_nothing() -> None:
    ledger = Ledger().see(0, body(total=3, running=None, failed=-2, completed=3, active=True)).see(10, DONE)
    assert _runs(ledger) == {"completed": 30}


def test_enormous_counts() -> None:
    ledger = Ledger().see(0, body(running=2**53 - 1)).see(10, DONE)
    assert _runs(ledger) == {"running": float((2**53 - 1) * 10)}


@dataclass(frozen=True)
class Event:
    """An event at a whole second: `started`, `resumed`, `ceased`, `failed`, or `answered` with `counts`."""

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
    """Draw the events in the life of a group."""
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
    """Classify each second as `watched`, as `gap`, by phase, and by the statuses of the runs."""
    seconds: Counter[str] = Counter()
    relevant = [event for event in events if event.what != "failed"]
    for now in range(events[-1].at):
        before = [event for event in relevant if event.at <= now][-1]
        after = next((event for event in relevant if event.at > now), None)
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
def test_counting_second_by_second_gives_the_same_times(events: list[Event]) -> None:
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
def test_summing_over_all_boundaries_gives_the_same_times(ledger: Ledger) -> None:
    pieces = _pieces(ledger)
    dwell = dict.fromkeys(Phase, timedelta())
    runs = dict.fromkeys(RUN_STATUSES, timedelta())
    watched = gaps = timedelta()
    for start, end in pieces:
        entry = _newest_at(ledger.entries, start)
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
def test_observed_time_is_dwell_time_plus_waiting_for_first_responses(ledger: Ledger) -> None:
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
    """Split the time from the first entry to the last response wherever anything could change."""
    cuts = {_start(entry) for entry in ledger.entries} | {entry.at for entry in ledger.entries}
    if ledger.watch.open is not None:
        cuts.add(ledger.watch.open.last_seen_at)
    return list(pairwise(sorted(cuts)))


def _start(entry: Entry) -> datetime:
    return entry.content.from_ if isinstance(entry.content, Gap) else entry.at


def _newest_at(entries: list[Entry], moment: datetime) -> Entry:
    """Return the newest entry that had begun by `moment`."""
    return max((entry for entry in entries if _start(entry) <= moment), key=lambda entry: entry.seq)


def _watched(ledger: Ledger, moment: datetime) -> bool:
    """Whether the group was watched at `moment`, up to its last response or change."""
    changes = [entry for entry in ledger.entries if isinstance(entry.content, WatchChange)]
    newest = _newest_at(changes, moment)
    ends = [entry.at for entry in changes if entry.seq > newest.seq] or [_last_seen_at(ledger)]
    assert isinstance(newest.content, WatchChange)
    return newest.content.action in {Action.STARTED, Action.RESUMED} and moment < ends[0]


def _last_seen_at(ledger: Ledger) -> datetime:
    intervals = [entry.previous for entry in ledger.entries] + [ledger.watch.open]
    seen: list[Interval] = [interval for interval in intervals if interval is not None]
    return seen[-1].last_seen_at if seen else ledger.entries[0].at


def _seconds(lengths: dict[Phase, timedelta] | dict[str, timedelta]) -> dict[str, float]:
    return {str(name): length.total_seconds() for name, length in lengths.items()}
