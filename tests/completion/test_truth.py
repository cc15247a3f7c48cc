"""Episodes of groups simulated from true starts and ends, whose bounds must contain the truth."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from recorder.completion.episodes import Episode, RunCounts
from recorder.completion.time_bounds import Basis, Moment
from recorder.ledger.response_body import ResponseBody
from tests.support.ledgers import Ledger, body, seconds

ENROLLED = 0
LONGEST_DELAY = 4


@dataclass(frozen=True)
class Work:
    """Runs added at `start`: the first finishes at `first_end`, and the last at `end`."""

    start: float
    first_end: float
    end: float


@dataclass(frozen=True)
class Life:
    created: float
    works: tuple[Work, ...]

    def body_at(self, now: float, *, created: bool, modified: bool, clear: bool) -> ResponseBody:
        """Return an honest upstream's response at `now`, without the members that are switched off."""
        times = [moment for work in self.works for moment in (work.start, work.first_end, work.end)]
        finished = sum((work.first_end <= now) + (work.end <= now) for work in self.works)
        total = 2 * sum(work.start <= now for work in self.works)
        counts: dict[str, Any] = {"completed": finished, "running": total - finished, "total": total}
        return body(
            self.created if created else None,
            max([self.created, *(moment for moment in times if moment <= now)]) if modified else None,
            **counts if clear else {"total": 1},
        )


@dataclass(frozen=True)
class Poll:
    """A poll sent `wait` after the previous response, answered after `early`, received after `late` more."""

    wait: float
    early: float
    late: float
    outcome: str
    created: bool
    modified: bool


def _lives() -> st.SearchStrategy[Life]:
    lengths = st.floats(0.01, 400)
    works = st.lists(st.tuples(lengths, lengths, lengths), max_size=5)
    return st.builds(_life, st.floats(-900, -1), works)


def _life(created: float, lengths: list[tuple[float, float, float]]) -> Life:
    moments = list(accumulate((length for three in lengths for length in three), initial=created))[1:]
    threes = zip(moments[::3], moments[1::3], moments[2::3], strict=True)
    return Life(created, tuple(Work(*three) for three in threes))


_DELAYS = st.floats(0, LONGEST_DELAY / 2)
_POLLS = st.builds(
    Poll,
    wait=st.floats(0.1, 90),
    early=_DELAYS,
    late=_DELAYS,
    outcome=st.sampled_from(["answered", "answered", "answered", "unclear", "failed", "paused"]),
    created=st.booleans(),
    modified=st.booleans(),
)


def _record(life: Life, polls: list[Poll]) -> Ledger:
    ledger, now = Ledger(ENROLLED), float(ENROLLED)
    for poll in polls:
        asked = now + poll.wait
        answered = asked + poll.early
        now = answered + poll.late
        if poll.outcome == "paused":
            ledger.cease(asked).resume(now)
        elif poll.outcome == "failed":
            ledger.fail(now)
        else:
            clear = poll.outcome == "answered"
            seen = life.body_at(answered, created=poll.created, modified=poll.modified, clear=clear)
            ledger.see(now, seen, asked=asked)
    return ledger


def _contains(moment: Moment, truth: float) -> bool:
    """Whether the truth is within the bounds, give or take the rounding to microseconds."""
    earliest = None if moment.earliest is None else seconds(moment.earliest)
    return (earliest is None or earliest - 2e-6 <= truth) and truth <= seconds(moment.latest) + 2e-6


def _works(life: Life, episodes: list[Episode]) -> list[tuple[Work, Work]]:
    """Return the first and last work of each episode; works that no poll separated are one episode."""
    found, done = [], 0
    for episode in episodes:
        begun = (episode.runs.total or 0) // 2
        found.append((life.works[done], life.works[begun - 1]))
        done = begun
    return found


@given(_lives(), st.lists(_POLLS, max_size=30))
def test_the_truth_is_within_the_bounds(life: Life, polls: list[Poll]) -> None:
    episodes = _record(life, polls).episodes()
    for episode, (first, last) in zip(episodes, _works(life, episodes), strict=True):
        assert _contains(episode.started, first.start)
        truth = last.end - first.start
        shortest, longest = episode.duration_earliest_seconds, episode.duration_latest_seconds
        if episode.completed is None:
            assert shortest is not None
            assert shortest <= truth + LONGEST_DELAY
            continue
        assert _contains(episode.completed, last.end)
        assert shortest is None or shortest <= truth + 1e-5
        assert longest is None or truth <= longest + 1e-5
        if episode.completed.basis is Basis.MODIFIED_AT:
            assert abs(seconds(episode.completed.at) - last.end) < 2e-6
        assert episode.runs == RunCounts(2 * life.works.index(last) + 2, episode.runs.total, None, None)


@given(_lives(), st.lists(_POLLS, max_size=30))
def test_work_shown_by_a_clear_response_is_never_missed(life: Life, polls: list[Poll]) -> None:
    shown = sum(work.start <= answered for answered in _clear_times(polls)[-1:] for work in life.works)
    totals = [episode.runs.total or 0 for episode in _record(life, polls).episodes()]
    assert totals == sorted(set(totals))
    assert (totals[-1] if totals else 0) == 2 * shown


@given(_lives(), st.lists(_POLLS, max_size=30))
def test_first_sight_means_that_no_clear_response_preceded_the_episode(life: Life, polls: list[Poll]) -> None:
    begun = any(work.start <= answered for answered in _clear_times(polls)[:1] for work in life.works)
    for episode in _record(life, polls).episodes():
        assert episode.first_sight is (begun and episode.number == 1)


def _clear_times(polls: list[Poll]) -> list[float]:
    """Return the times that the clear responses describe."""
    moments, now = [], float(ENROLLED)
    for poll in polls:
        answered = now + poll.wait + poll.early
        now = answered + poll.late
        if poll.outcome == "answered":
            moments.append(answered)
    return moments
