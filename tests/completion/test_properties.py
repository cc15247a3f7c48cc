"""Invariants of the episodes of every ledger, even with clock steps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from hypothesis import given

from recorder.completion.dwell import dwell_of
from recorder.completion.episodes import Episode, State, advance_episodes, episodes_of, open_episode
from recorder.completion.time_bounds import Moment
from recorder.ledger.entries import Entry, Gap, Interval, StatusContent
from recorder.ledger.status_fields import Phase, StatusFields
from tests.support.ledgers import Ledger
from tests.support.strategies import ledgers


def _moments(episode: Episode) -> list[Moment]:
    return [episode.started] if episode.completed is None else [episode.started, episode.completed]


@given(ledgers(steps_back=True, remarks=True))
def test_episodes_are_numbered_and_only_the_last_may_be_open(ledger: Ledger) -> None:
    episodes = ledger.episodes()
    assert [episode.number for episode in episodes] == list(range(1, len(episodes) + 1))
    assert not any(episode.censored for episode in episodes[:-1])
    assert not any(episode.first_sight for episode in episodes[1:])
    for episode in episodes:
        assert episode.censored is (episode.completed is None) is (episode.outcome is None)


@given(ledgers(steps_back=True, remarks=True))
def test_every_moment_lies_in_its_bounds(ledger: Ledger) -> None:
    for episode in ledger.episodes():
        for moment in _moments(episode):
            assert moment.at <= moment.latest
            assert moment.earliest is None or moment.earliest <= moment.at


@given(ledgers(steps_back=True, remarks=True))
def test_durations_are_bounded_and_never_negative(ledger: Ledger) -> None:
    for episode in ledger.episodes():
        earliest, latest = episode.duration_earliest_seconds, episode.duration_latest_seconds
        assert 0 <= (earliest or 0) <= episode.duration_seconds
        assert latest is None or episode.duration_seconds <= latest
        assert 0 <= episode.gap_seconds <= episode.duration_seconds
        assert episode.polls >= 1


@given(ledgers(steps_back=True, remarks=True))
def test_incremental_episodes_equal_those_of_every_prefix(ledger: Ledger) -> None:
    state, ended = State(), []
    for number, entry in enumerate(ledger.entries, 1):
        interval = ledger.watch.open if number == len(ledger.entries) else ledger.entries[number].previous
        state, over = advance_episodes(state, entry)
        ended += [] if over is None else [over]
        current = open_episode(state, interval)
        whole = episodes_of(ledger.entries[:number], interval)
        assert whole == ([*ended, current] if current else ended)


@given(ledgers(steps_back=True, remarks=True))
def test_times_are_not_negative_and_not_more_than_watched_time(ledger: Ledger) -> None:
    coverage = dwell_of(ledger.entries, ledger.watch.open).coverage()
    dwell = dwell_of(ledger.entries, ledger.watch.open).phase_seconds()
    runs = dwell_of(ledger.entries, ledger.watch.open).run_seconds()
    assert min(*dwell.values(), *runs.values(), coverage.gap_seconds) >= 0
    assert 0 <= sum(dwell.values()) <= coverage.observed_seconds <= coverage.watched_seconds
    assert (coverage.fraction is None) is (coverage.watched_seconds == 0)
    assert coverage.fraction is None or 0 <= coverage.fraction <= 1


@given(ledgers(steps_back=False))
def test_gaps_and_polls_are_those_within_the_episode(ledger: Ledger) -> None:
    seen = list(_seen(ledger))
    phases = _phases(seen)
    clear = [interval for (_, interval), phase in zip(seen, phases, strict=True) if phase is not None]
    done = 0
    for episode in ledger.episodes():
        end = episode.completed.at if episode.completed else clear[-1].last_seen_at
        overlaps = [_overlap(entry, episode.started.at, end) for entry in ledger.entries]
        assert episode.gap_seconds == sum(overlaps, timedelta()).total_seconds()
        polls, done = _polls(seen, phases, done)
        assert episode.polls == polls


def _seen(ledger: Ledger) -> Iterator[tuple[Entry, Interval]]:
    intervals = [entry.previous for entry in ledger.entries[1:]] + [ledger.watch.open]
    for entry, interval in zip(ledger.entries, intervals, strict=True):
        if interval is not None:
            yield entry, interval


def _phases(seen: list[tuple[Entry, Interval]]) -> list[Phase | None]:
    """Return the phase of each status; None if it is unclear, or older than one in its stretch of work."""
    found: list[Phase | None] = []
    is_open, before = False, None
    most, latest = 0, None
    for entry, _ in seen:
        fields = _fields(entry)
        finished = sum(fields.count(name) or 0 for name in ("completed", "failed", "cancelled"))
        modified_at = fields.modified_at or latest
        is_older = latest is not None and modified_at is not None and modified_at < latest and finished < most
        if fields.phase is Phase.UNCLEAR or is_older:
            found.append(None)
        else:
            found.append(fields.phase)
            works, ends = fields.phase in {Phase.ACTIVE, Phase.BLOCKED}, fields.phase is Phase.SETTLED
            if not is_open and (works or (ends and _is_news(before, entry))):
                is_open, most, latest = True, finished, modified_at
            is_open, before = is_open and not ends, entry
        most = max(most, finished)
        latest = modified_at if latest is None or modified_at is None else max(latest, modified_at)
    return found


def _fields(entry: Entry) -> StatusFields:
    assert isinstance(entry.content, StatusContent)
    return entry.content.fields


def _overlap(entry: Entry, start: datetime, end: datetime) -> timedelta:
    if not isinstance(entry.content, Gap):
        return timedelta()
    return max(timedelta(), min(entry.at, end) - max(entry.content.from_, start))


def _polls(seen: list[tuple[Entry, Interval]], phases: list[Phase | None], done: int) -> tuple[int, int]:
    """Return the number of responses in the first episode after `done` statuses, and where it ends."""
    before = next((seen[place][0] for place in reversed(range(done)) if phases[place] is not None), None)
    for first, phase in enumerate(phases[done:], done):
        if phase in {Phase.ACTIVE, Phase.BLOCKED}:
            last = phases.index(Phase.SETTLED, first) if Phase.SETTLED in phases[first:] else len(seen)
            ended = last < len(seen)
            return sum(interval.polls for _, interval in seen[first:last]) + ended, last + 1
        if phase is Phase.SETTLED and _is_news(before, seen[first][0]):
            return 1, first + 1
        before = before if phase is None else seen[first][0]
    raise AssertionError("nothing opened this episode")


def _is_news(before: Entry | None, settled: Entry) -> bool:
    """Whether a settled status differs in its counts from the last clear status, or is the first one."""
    return before is None or _finished(before) != _finished(settled)


def _finished(entry: Entry) -> list[int] | None:
    fields = _fields(entry)
    if fields.phase is not Phase.SETTLED:
        return None
    return [fields.count(name) or 0 for name in ("completed", "failed", "cancelled")]
