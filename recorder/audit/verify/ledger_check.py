"""One ledger, gone through entry by entry: its numbers, its digests, its columns."""

from __future__ import annotations

import json
import re
from datetime import datetime
from hashlib import sha256
from itertools import takewhile
from typing import Any

from sqlalchemy import Row

from recorder.audit.checkpoints import CheckpointHead
from recorder.audit.invariants import check_content, check_id, check_interval
from recorder.audit.verify.findings import Finding, ProblemKind
from recorder.audit.verify.fold import Fold
from recorder.audit.verify.raw_rows import RawRow
from recorder.audit.verify.row_decoder import UNDECODABLE, read_stored, with_derived
from recorder.audit.verify.usual import Usual, UsualReader, anomalies_of_usual
from recorder.ledger.canonical import canonical
from recorder.ledger.chain import GENESIS
from recorder.ledger.entries import Entry, Gap, Interval, Kind, StatusContent, WatchChange

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_WORDS = 120

Content = StatusContent | Gap | WatchChange


class Walk:
    """What a ledger says up to the entry that was taken last, and what is wrong with it.

    An entry is in order if its digest follows from the digest before, as stored or as computed: so of an
    altered entry, and of an altered digest, nothing is said twice. After an entry that is missing the next
    one cannot be judged, and is believed. An entry that no recorder writes is not in order though its digest
    follows.

    `intact` is False once an entry is missing, altered or unreadable: what rests on all of them, the
    `fold`, is not known from there on. `episodes_differ` says how the episodes that were compared so far
    differ from what is stored.
    """

    def __init__(self, taskgroup_id: str, checkpoint: CheckpointHead | None = None) -> None:
        self.taskgroup_id = taskgroup_id
        self.checkpoint = checkpoint
        self.findings: list[Finding] = []
        self.intact = True
        self.seq = 0
        self.enrolled_at: Any = None
        self.fold = Fold()
        self.episodes_differ: list[str] = []
        self._stands = False
        self._usual = UsualReader()
        self._before: tuple[bytes, ...] = (bytes.fromhex(GENESIS),)
        # Kind and time of the entry before, both None before the first; None where it is not known.
        self._preceding: tuple[Kind | None, datetime | None] | None = (None, None)

    def take(self, row: Row[Any]) -> None:
        """Take the next row of `entries`."""
        values = tuple(row)
        seq, digest = values[1], values[-1]
        if type(seq) is not int or seq <= self.seq:
            self.harmed(self.seq + 1, ProblemKind.UNREADABLE, f"an entry has the number {seq!a}")
            return
        if seq > self.seq + 1:
            self._missing(seq)
        self.seq = seq
        usual = self._usual.read(values) if self.intact and seq > 1 else None
        if usual is None:
            self._take_exactly(row._mapping)
            return
        proven = self._proves(digest, usual.form)
        if proven and self._is_possible(Kind.STATUS, usual.at, usual.previous):
            self._believe_usual(row._mapping, usual)
        self._compare_checkpoint(digest, usual.previous, proven=proven)

    def _take_exactly(self, row: RawRow) -> None:
        try:
            stored = read_stored(row)
            form = canonical(stored.record)
        except UNDECODABLE as error:
            self.harmed(self.seq, ProblemKind.UNREADABLE, f"the entry cannot be read: {_words(error)}")
            self._before, self._preceding = _candidates(row["digest"]), None
            self._compare_checkpoint(row["digest"], None, proven=False)
            return
        entry, proven = stored.entry, self._proves(row["digest"], form)
        if proven and self._is_possible(entry.kind, entry.at, entry.previous, entry.content):
            self._believe(row, entry)
        self._compare_checkpoint(row["digest"], entry.previous, proven=proven)

    def finding(self, seq: int, problem: ProblemKind, detail: str) -> None:
        """Note what is wrong."""
        self.findings.append(Finding(self.taskgroup_id, seq, problem, detail))

    def harmed(self, seq: int, problem: ProblemKind, detail: str) -> None:
        """Note that an entry is missing, altered or unreadable; once for each entry and problem."""
        self.intact = False
        near = takewhile(lambda known: known.seq >= seq, reversed(self.findings))
        if not any(known.seq == seq and known.problem is problem for known in near):
            self.finding(seq, problem, detail)

    def _missing(self, seq: int) -> None:
        first, last = self.seq + 1, seq - 1
        words = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        self.harmed(first, ProblemKind.MISSING_ENTRY, f"{words} missing")
        self._before, self._preceding = (), None

    def _proves(self, digest: Any, form: bytes) -> bool:
        """Whether the digest follows from the entry, whose record has this canonical form."""
        computed = [sha256(before + form).digest() for before in self._before]
        stored = _candidates(digest)
        if stored and (not computed or stored[0] in computed):
            self._before = stored
            return True
        self._before, self._preceding = (*stored, *computed[:1]), None
        self.harmed(
            self.seq, ProblemKind.DIGEST_MISMATCH, "the digest is not that of the entry and those before"
        )
        return False

    def _is_possible(
        self, kind: Kind, at: datetime, previous: Interval | None, content: Content | None = None
    ) -> bool:
        """Whether a recorder writes such an entry; without `content` that is as it must be."""
        preceding, self._preceding = self._preceding, (kind, at)
        try:
            if preceding is not None:
                check_interval(previous, *preceding, "previous")
            if content is not None:
                check_content(self.seq, content)
            if self.seq == 1:
                check_id(self.taskgroup_id)
        except ValueError as error:
            self.harmed(self.seq, ProblemKind.UNREADABLE, str(error))
            return False
        return True

    def _believe_usual(self, row: RawRow, usual: Usual) -> None:
        anomalies = anomalies_of_usual(usual, self.fold.before)
        right = json.dumps(anomalies) if anomalies else "[]"
        if usual.stored_phase == usual.phase.value and usual.stored_anomalies == right:
            self.fold.take_usual(usual)
        else:
            self._believe(row, usual.entry())

    def _believe(self, row: RawRow, entry: Entry) -> None:
        entry, wrong = with_derived(row, entry, self.fold.replay, intact=self.intact)
        if wrong:
            self.finding(entry.seq, ProblemKind.DERIVED_MISMATCH, "; ".join(wrong))
        if entry.seq == 1:
            self.enrolled_at = entry.at
        if self.intact:
            self.fold.take(entry)

    def _compare_checkpoint(self, digest: Any, previous: Interval | None, *, proven: bool) -> None:
        known = self.checkpoint
        if known is None:
            return
        if self.seq == known.seq:
            self._stands = digest == known.digest
            if not self._stands:
                words = (
                    f"the checkpoint has the digest {known.digest} here: the chain was computed anew since,"
                )
                words += " or the checkpoint is of another database"
                self.harmed(known.seq, ProblemKind.DIGEST_MISMATCH, words)
        if self.seq == known.seq + 1 and proven:
            self.compare_interval(previous)

    def compare_interval(self, interval: Interval | None) -> None:
        """Compare what became of the interval that was open when the checkpoint was made."""
        known = self.checkpoint
        if not self._stands or known is None or known.last_seen_at is None or known.polls is None:
            return
        if interval is None or interval.last_seen_at < known.last_seen_at or interval.polls < known.polls:
            self.harmed(
                known.seq, ProblemKind.TRUNCATED, "its open interval was cut short since the checkpoint"
            )


def _candidates(digest: Any) -> tuple[bytes, ...]:
    """The digest that the next entry may follow from, if it is one."""
    return (bytes.fromhex(digest),) if isinstance(digest, str) and _DIGEST.fullmatch(digest) else ()


def _words(error: BaseException) -> str:
    line = " ".join(str(error).split())
    return line if len(line) <= _MOST_WORDS else f"{line[:_MOST_WORDS]}..."
