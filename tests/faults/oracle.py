"""Check ledgers against the simulator's request log and the documented rules.

It shares no code with the recorder's core: bodies, digests, intervals and gaps are derived independently.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import rfc8785

from recorder.ledger.entries import Entry, Gap, Interval, Kind, StatusContent
from tests.faults.ledgers import Ledger
from tests.support.chain_oracle import digest_of, record_of

CLOCKS = timedelta(milliseconds=50)
"""The maximum difference between the simulator's clock and the recorder's."""
ON_THE_WAY = timedelta(seconds=1)
"""The longest assumed transit time of a response where the actual one is unknown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A 200 response to a GET of a group: when it was requested, when it was ready, and its text."""

    received: datetime
    answered: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Pace:
    """The settings of a recorder, in seconds.

    `longest_interval` is the maximum interval to which polling of a group backs off.
    """

    poll_interval: float
    longest_interval: float
    gap_window: float
    request_timeout: float

    def due(self, polls: int, *, after_gap: bool = False) -> tuple[timedelta, timedelta]:
        """The least and greatest delay until the next poll after `polls` equal responses.

        After a gap they may have been equal for longer. Polls to spare are made of groups that may soon end.
        """
        seconds = min(self.poll_interval * 1.5 ** (polls - 1), self.longest_interval)
        most = self.longest_interval if after_gap else seconds
        least = min(self.poll_interval, self.longest_interval)
        return timedelta(seconds=0.9 * least - 1e-3), timedelta(seconds=1.1 * most + 1e-3)

    @property
    def window(self) -> timedelta:
        return timedelta(seconds=self.gap_window)

    @property
    def patience(self) -> timedelta:
        return timedelta(seconds=self.request_timeout)


@dataclass(frozen=True, slots=True)
class Sight:
    """The first and last response of a status entry, as indexes into the log."""

    first: int
    last: int
    polls: int
    after_gap: bool

    @property
    def surely(self) -> set[int]:
        """The responses certainly recorded; a killed recorder may have lost some between the two ends."""
        complete = self.polls == self.last + 1 - self.first
        return set(range(self.first, self.last + 1)) if complete else {self.first, self.last}


def answers_by_group(log: Path) -> dict[str, list[Answer]]:
    """Read each group's responses from the log, in the order in which they were sent."""
    found: dict[str, list[Answer]] = {}
    # The last line may be half written.
    whole_lines = log.read_text("utf-8").rpartition("\n")[0].splitlines()
    for line in map(json.loads, whole_lines):
        if (line["method"], line["status"]) == ("GET", 200):
            received, answered = (datetime.fromisoformat(line[name]) for name in ("at", "answered_at"))
            found.setdefault(line["taskgroup_id"], []).append(Answer(received, answered, line["body"]))
    return found


def check_ledger(ledger: Ledger, answers: Sequence[Answer], pace: Pace) -> int:
    """Check a ledger against the group's responses; return the number of responses missing from it."""
    assert [entry.seq for entry in ledger.entries] == list(range(1, len(ledger.entries) + 1))
    for entry, interval in zip(ledger.entries, ledger.intervals, strict=True):
        assert (entry.kind is Kind.STATUS) == (interval is not None), entry
    seen = sights(ledger, answers, pace)
    _check_chain(ledger.entries, [answers[sight.first] for sight in seen])
    _check_gaps(ledger, pace)
    _check_watch(ledger, pace)
    return len(answers) - sum(interval.polls for _, interval in ledger.statuses)


def sights(ledger: Ledger, answers: Sequence[Answer], pace: Pace) -> list[Sight]:
    """Find the responses covered by each status entry; none may belong to two entries."""
    found: list[Sight] = []
    before: Entry | None = None
    for entry, interval in ledger.statuses:
        first = _answer_until(entry.at, answers, pace)
        last = _answer_until(interval.last_seen_at, answers, pace)
        assert not found or found[-1].last < first, f"a response was written twice: {entry}"
        follows = ledger.entries[entry.seq - 2]
        after_gap = follows.kind is Kind.GAP
        _check_interval(entry, interval, answers[first : last + 1], pace, after_gap=after_gap)
        if before is follows:
            assert answers[found[-1].last].text != answers[first].text, f"nothing changed: {entry}"
        found.append(Sight(first, last, interval.polls, after_gap))
        before = entry
    return found


def _answer_until(moment: datetime, answers: Sequence[Answer], pace: Pace) -> int:
    """The index of the response that was received at `moment`."""
    number = bisect_right(answers, moment + CLOCKS, key=lambda answer: answer.answered) - 1
    assert number >= 0, f"no response before {moment}"
    assert moment - answers[number].answered <= pace.patience, f"no response at {moment}"
    return number


def _check_interval(
    entry: Entry, interval: Interval, answers: Sequence[Answer], pace: Pace, *, after_gap: bool
) -> None:
    """Check an entry against `answers`, which run from its first response to its last."""
    assert isinstance(entry.content, StatusContent)
    assert entry.at <= interval.last_seen_at
    assert interval.last_asked_at <= answers[-1].received + CLOCKS
    assert 1 <= interval.polls <= len(answers), f"more polls than responses: {entry}"
    assert (interval.polls == 1) == (entry.at == interval.last_seen_at), entry
    canonical = rfc8785.dumps(json.loads(answers[0].text))
    assert rfc8785.dumps(entry.content.body.value) == canonical
    for answer in answers:
        assert rfc8785.dumps(json.loads(answer.text)) == canonical, f"a status is missing after {entry}"
    for number, (one, next_one) in enumerate(pairwise(answers), start=1):
        silence = pace.due(number, after_gap=after_gap)[1] + pace.window + ON_THE_WAY
        assert next_one.answered - one.answered <= silence, f"a gap is missing in {entry}"


def _check_chain(entries: Iterable[Entry], answers: Iterable[Answer]) -> None:
    """Recompute the digests from the texts in the simulator's log."""
    remaining = iter(answers)
    digest = "0" * 64
    for entry in entries:
        text = next(remaining).text.encode() if entry.kind is Kind.STATUS else None
        digest = digest_of(digest, record_of(entry, text))
        assert entry.digest == digest, entry


def _check_gaps(ledger: Ledger, pace: Pace) -> None:
    """A gap precedes a response if and only if the response was overdue by more than the window.

    The jitter of the intervals is unknown, so in borderline cases either is accepted.
    """
    start, *rest = ledger.entries
    assert start.kind is Kind.WATCH
    since, due = start.at, (start.at, start.at)
    gap: Gap | None = None
    for entry, interval in zip(rest, ledger.intervals[1:], strict=True):
        if isinstance(entry.content, Gap):
            assert gap is None, f"two gaps in a row: {entry}"
            gap = entry.content
            _check_gap(gap, since, due, pace)
            continue
        assert interval is not None
        assert gap is not None or entry.at <= due[1] + pace.window, f"a gap is missing before {entry}"
        assert gap is None or gap.to == entry.at
        shortest, longest = pace.due(interval.polls, after_gap=gap is not None)
        since, gap = interval.last_seen_at, None
        due = (since + shortest, since + longest)
    assert gap is None, "a gap without the response that ended it"


def _check_gap(gap: Gap, since: datetime, due: tuple[datetime, datetime], pace: Pace) -> None:
    assert gap.from_ == since
    assert gap.to is not None
    assert gap.to > due[0] + pace.window, f"a gap without an outage: {gap}"
    assert (gap.cause, gap.attempts, gap.http_status, gap.detail) == ("not_polled", 0, None, None)
    # The poll that ended the gap was sent at most one request timeout before its response.
    unpolled = timedelta(seconds=gap.unpolled_seconds)
    assert gap.to - pace.patience - due[1] <= unpolled <= gap.to - due[0]


def _check_watch(ledger: Ledger, pace: Pace) -> None:
    """Check that the watch row agrees with its ledger."""
    watch, last = ledger.watch, ledger.entries[-1]
    assert (watch.head.seq, watch.head.kind, watch.head.at) == (last.seq, last.kind, last.at)
    assert watch.head.digest == last.digest
    assert watch.due_at is not None
    assert watch.gap_at == watch.due_at + pace.window
    statuses = list(ledger.statuses)
    if not statuses:
        assert watch.in_force is None
        return
    entry, interval = statuses[-1]
    assert watch.in_force is not None
    assert watch.in_force.seq == entry.seq
    shortest, longest = pace.due(interval.polls, after_gap=ledger.entries[-2].kind is Kind.GAP)
    assert shortest <= watch.due_at - interval.last_seen_at <= longest
