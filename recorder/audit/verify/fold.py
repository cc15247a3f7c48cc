"""What a ledger comes to: its replay and its summary, without going the long way for the usual entry.

Most entries are usual statuses of work going on, one after the other. What a stretch of them adds up to is
kept in plain numbers until something else comes, or somebody asks: it is what `recorder.ledger.replay` and
`recorder.completion.summary` come to entry by entry. Only `quiet_since` of the replay is not kept.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

from recorder.audit.verify.usual import Before, Metadata, Usual
from recorder.completion.dwell import Dwell, Held
from recorder.completion.episodes import Episode, Opened, RunCounts, Sight
from recorder.completion.summary import NOTHING, Summary
from recorder.completion.summary import advance_summary as summed
from recorder.ledger import replay as replaying
from recorder.ledger.entries import Entry, Kind
from recorder.ledger.replay import Replay
from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import Head, InForce

_PHASES = tuple(Phase)
_GOING_ON = (Phase.ACTIVE, Phase.BLOCKED, Phase.EMPTY)
_MICROSECOND = timedelta(microseconds=1)


class Fold:
    """A ledger's replay and summary up to the entry that was taken last.

    `before` is what the next status is compared with. `ended` are the episodes that ended; who has compared
    them takes them away.
    """

    def __init__(self) -> None:
        self.before = Before(None, None, None)
        self.ended: list[Episode] = []
        self._replay = Replay()
        self._newest: Usual | None = None
        self._summary: Summary = NOTHING
        self._stretch: _Stretch | None = None
        self._labelled: Metadata | None = None

    def take(self, entry: Entry) -> None:
        """Take the next entry, of any kind."""
        self._replay = replaying.replay_entry(self.replay, entry)
        force = self._replay.in_force
        finished, modified_at = (force.finished, force.modified_at) if force else (None, None)
        self.before = Before(finished, modified_at, self._replay.sight_at)
        self._sum_up(entry, None)

    def take_usual(self, usual: Usual) -> None:
        """Take the next entry, a usual one."""
        self.before = Before(usual.finished, usual.modified_at or self.before.modified_at, usual.at)
        self._newest = usual
        if self._stretch is None:
            self._stretch = _stretch_after(self._summary)
        same_labels = usual.metadata is self._labelled
        if self._stretch is None or not same_labels or not self._stretch.take(usual):
            self._sum_up(usual.entry(), usual.metadata)

    @property
    def replay(self) -> Replay:
        usual = self._newest
        if usual is not None:
            self._newest = None
            force = InForce(
                seq=usual.seq,
                fingerprint=sha256(usual.upstream).hexdigest(),
                phase=usual.phase,
                finished=self.before.finished,
                modified_at=self.before.modified_at,
                quiet_since=usual.at,
            )
            head = Head(usual.seq, Kind.STATUS, usual.at, usual.digest)
            self._replay = replace(self._replay, head=head, in_force=force, sight_at=usual.at)
        return self._replay

    @property
    def summary(self) -> Summary:
        if self._stretch is not None:
            self._summary, self._stretch = self._stretch.summary(), None
        return self._summary

    def _sum_up(self, entry: Entry, labelled: Metadata | None) -> None:
        self._summary, ended = summed(self.summary, entry)
        self._labelled = labelled
        if ended is not None:
            self.ended.append(ended)


class _Stretch:
    """Clear statuses in an open episode, each right after the one before and with the same labels.

    Nothing of them but the last sight, the sums and the pace is left in a summary.
    """

    def __init__(self, summary: Summary, opened: Opened, held: Held) -> None:
        self._summary, self._opened, self._held = summary, opened, held
        self._polls = opened.polls
        self._watched = summary.dwell.watched
        self._phases, self._runs = list(summary.dwell.phases), list(summary.dwell.runs)
        self._pace, self._created_at = summary.pace, summary.created_at
        self._last: Usual | None = None

    def take(self, usual: Usual) -> bool:
        """Take the next entry; False if it does not go on like that."""
        if usual.previous is None or usual.phase not in _GOING_ON:
            return False
        self._polls += usual.previous.polls
        held = self._held
        length = max(0, (usual.at - held.since) // _MICROSECOND)
        self._watched += length
        if length and held.phase is not None and held.runs is not None:
            self._phases[_PHASES.index(held.phase)] += length
            for number, count in enumerate(held.runs):
                if count:
                    self._runs[number] += length * count
        runs = [count if count is not None and count > 0 else 0 for count in usual.counts]
        self._held = Held(usual.at, usual.phase, tuple(runs))
        self._created_at = usual.created_at or self._created_at
        marks = self._pace.marks
        rises = not marks or (usual.finished > marks[-1].finished and usual.at >= marks[-1].at)
        if rises and _told(usual):
            self._pace = self._pace.seen(usual.at, usual.finished, usual.total)
        self._last = usual
        return True

    def summary(self) -> Summary:
        """Return what the ledger sums up to."""
        last, before = self._last, self._summary
        if last is None:
            return before
        _, _, _, completed, failed, _, cancelled = last.counts
        runs = RunCounts(last.total, completed, failed, cancelled)
        sight = Sight(last.seq, last.phase, runs, last_asked_at=last.at, last_seen_at=last.at)
        return replace(
            before,
            seq=last.seq,
            work=replace(before.work, opened=replace(self._opened, polls=self._polls), sight=sight),
            dwell=Dwell(self._watched, before.dwell.gaps, tuple(self._phases), tuple(self._runs), self._held),
            created_at=self._created_at,
            pace=replace(self._pace, finished=last.finished if _told(last) else None, total=last.total),
        )


def _stretch_after(summary: Summary) -> _Stretch | None:
    """Return an empty stretch if the last entry is a clear status in an open episode, and no gap is near."""
    work, held = summary.work, summary.dwell.held
    if work.opened is None or work.sight is None or work.sight.seq != summary.seq or held is None:
        return None
    return None if work.unclear or work.gaps or work.near else _Stretch(summary, work.opened, held)


def _told(usual: Usual) -> bool:
    return any(count is not None for count in usual.counts)
