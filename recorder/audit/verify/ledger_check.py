"""Check one ledger entry by entry: its numbers, its digests and its columns."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from itertools import takewhile
from typing import Any

from recorder.audit.checkpoints import CheckpointHead
from recorder.audit.invariants import check_content, check_id, check_interval
from recorder.audit.verify.findings import Finding, ProblemKind
from recorder.audit.verify.row_decoder import UNDECODABLE, EntryRow, StoredEntry, derive_entry, read_stored
from recorder.completion.episodes import Episode
from recorder.completion.summary import NOTHING, Summary, advance_summary
from recorder.ledger.chain import GENESIS
from recorder.ledger.entries import Interval, Kind
from recorder.ledger.replay import Replay, replay_entry

_DIGEST_LENGTH = 64
_LONGEST_COMPLAINT = 120


class LedgerCheck:
    """The state of a ledger up to the entry that was taken last, and what is wrong with it.

    An entry is proven if its digest follows from the digest before, either the stored or the computed one.
    So an altered entry or an altered digest is reported once, at its own number. After a missing entry the
    next one cannot be checked against it, and is trusted. An entry that no recorder writes is reported even
    if its digest follows.

    `intact` becomes False once an entry is missing, altered or unreadable. What depends on all entries
    (`replay`, `summary`, and `ended`, the episodes that ended and were not compared yet) is unknown from
    there on. `wrong_episodes` and `wrong_milestones` describe the differences in those that were compared so
    far.
    """

    def __init__(self, taskgroup_id: str, checkpoint: CheckpointHead | None = None) -> None:
        self.taskgroup_id = taskgroup_id
        self.checkpoint = checkpoint
        self.findings: list[Finding] = []
        self.intact = True
        self.seq = 0
        self.enrolled_at: datetime | None = None
        self.replay = Replay()
        self.summary: Summary = NOTHING
        self.ended: list[Episode] = []
        self.wrong_episodes: list[str] = []
        self.wrong_milestones: list[str] = []
        self._has_checkpoint_digest = False
        self._digests_before: tuple[bytes, ...] = (bytes.fromhex(GENESIS),)
        # Kind and time of the entry before: both None before the first entry, None if unknown.
        self._before: tuple[Kind | None, datetime | None] | None = (None, None)

    def take(self, row: EntryRow) -> None:
        """Check the next row of `entries`."""
        seq, digest = row[1], row[-1]
        if type(seq) is not int or seq <= self.seq:
            self.report_harm(self.seq + 1, ProblemKind.UNREADABLE, f"an entry has the number {seq!a}")
            return
        if seq > self.seq + 1:
            self._report_missing(seq)
        self.seq = seq
        try:
            stored = read_stored(row)
            form = stored.form()
        except UNDECODABLE as error:
            detail = f"the entry cannot be read: {_one_line(error)}"
            self.report_harm(seq, ProblemKind.UNREADABLE, detail)
            self._digests_before, self._before = _digest_bytes(digest), None
            self._compare_checkpoint(digest, None, proven=False)
            return
        proven = self._proves(digest, form)
        if proven and self._is_possible(stored):
            self._accept(row, stored)
        self._compare_checkpoint(digest, stored.previous, proven=proven)

    def report(self, seq: int, problem: ProblemKind, detail: str, *, is_lost_end: bool = False) -> None:
        """Add a finding."""
        self.findings.append(Finding(self.taskgroup_id, seq, problem, detail, is_lost_end))

    def report_harm(self, seq: int, problem: ProblemKind, detail: str, *, is_lost_end: bool = False) -> None:
        """Add a finding that an entry is missing, altered or unreadable, once for each entry and problem."""
        self.intact = False
        near = takewhile(lambda known: known.seq >= seq, reversed(self.findings))
        if not any(known.seq == seq and known.problem is problem for known in near):
            self.report(seq, problem, detail, is_lost_end=is_lost_end)

    def compare_interval(self, interval: Interval | None) -> None:
        """Compare the interval that was open at the checkpoint with what became of it."""
        known = self.checkpoint
        if known is None or not self._has_checkpoint_digest:
            return
        if known.last_seen_at is None or known.polls is None:
            return
        if interval is None or interval.last_seen_at < known.last_seen_at or interval.polls < known.polls:
            detail = "its open interval is shorter than at the checkpoint"
            self.report_harm(known.seq, ProblemKind.TRUNCATED, detail, is_lost_end=True)

    def _report_missing(self, seq: int) -> None:
        first, last = self.seq + 1, seq - 1
        which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        self.report_harm(first, ProblemKind.MISSING_ENTRY, f"{which} missing")
        self._digests_before, self._before = (), None

    def _proves(self, digest: Any, form: bytes) -> bool:
        """Whether the digest follows from an entry whose record has this canonical form."""
        computed = [sha256(before + form).digest() for before in self._digests_before]
        stored = _digest_bytes(digest)
        if stored and (not computed or stored[0] in computed):
            self._digests_before = stored
            return True
        self._digests_before, self._before = (*stored, *computed[:1]), None
        detail = "the digest does not follow from the entry and the digest before"
        self.report_harm(self.seq, ProblemKind.DIGEST_MISMATCH, detail)
        return False

    def _is_possible(self, stored: StoredEntry) -> bool:
        """Whether a recorder writes such an entry."""
        before, self._before = self._before, (stored.kind, stored.at)
        try:
            if before is not None:
                check_interval(stored.previous, *before, "previous")
            check_content(self.seq, stored.content)
            if self.seq == 1:
                check_id(self.taskgroup_id)
        except ValueError as error:
            self.report_harm(self.seq, ProblemKind.UNREADABLE, str(error))
            return False
        return True

    def _accept(self, row: EntryRow, stored: StoredEntry) -> None:
        entry, wrong = derive_entry(row, stored, self.replay, intact=self.intact)
        if wrong:
            self.report(entry.seq, ProblemKind.DERIVED_MISMATCH, "; ".join(wrong))
        if entry.seq == 1:
            self.enrolled_at = entry.at
        if self.intact:
            self.replay = replay_entry(self.replay, entry)
            self.summary, ended = advance_summary(self.summary, entry)
            if ended is not None:
                self.ended.append(ended)

    def _compare_checkpoint(self, digest: Any, previous: Interval | None, *, proven: bool) -> None:
        known = self.checkpoint
        if known is None:
            return
        if self.seq == known.seq:
            self._has_checkpoint_digest = digest == known.digest
            if not self._has_checkpoint_digest:
                detail = (
                    f"the checkpoint has the digest {known.digest} here: the chain was recomputed since then,"
                    " or entries were lost and others took their place, or the checkpoint is of another"
                    " database"
                )
                self.report_harm(known.seq, ProblemKind.DIGEST_MISMATCH, detail, is_lost_end=True)
        if self.seq == known.seq + 1 and proven:
            self.compare_interval(previous)


def _digest_bytes(digest: Any) -> tuple[bytes, ...]:
    """Return the digest as the one that the next entry may follow, nothing if it is no digest."""
    if not isinstance(digest, str) or len(digest) != _DIGEST_LENGTH:
        return ()
    try:
        raw = bytes.fromhex(digest)
    except ValueError:
        return ()
    # `fromhex` also accepts capitals and spaces.
    return (raw,) if raw.hex() == digest else ()


def _one_line(error: BaseException) -> str:
    line = " ".join(str(error).split())
    return line if len(line) <= _LONGEST_COMPLAINT else f"{line[:_LONGEST_COMPLAINT]}..."
