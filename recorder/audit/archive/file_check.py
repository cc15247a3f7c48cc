"""Prove an archive and the tombstones of a database against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from recorder.audit.archive.archive_file import ArchivedLedger, opened_archive, read_ledgers
from recorder.audit.archive.restore import is_elsewhere, stands
from recorder.audit.checkpoints import CheckpointHead
from recorder.audit.export_format import ImportRefusedError
from recorder.audit.file_sums import kept_sum, sum_of_file, sum_path
from recorder.audit.tombstone_proof import kept_digest
from recorder.audit.verify.findings import Finding, ProblemKind
from recorder.audit.verify.raw_rows import as_stored
from recorder.completion.episodes import Episode, open_milestones
from recorder.completion.summary import NOTHING, SUMMARY_RULES, Summary, advance_summary
from recorder.ledger.entries import Entry
from recorder.store.archive_tables import tombstones
from recorder.store.derived import label_rows, summary_row
from recorder.store.episode_rows import episode_row, milestone_rows, open_episode_rows
from recorder.store.tables import entries, summaries
from recorder.store.tombstones import Tombstone, find_tombstones, named_by
from recorder.store.transactions import reading

_AT_ONCE = 200
_WHOLE_FILE = ""
"""The group id of a finding about the file as a whole."""


@dataclass(slots=True)
class FileCheck:
    """How much an archive has, the findings, the checkpoint heads that it proves although they are not the
    last of their groups, by group id, and how many of its groups were archived later, into another file."""

    entries: int = 0
    groups: int = 0
    findings: list[Finding] = field(default_factory=list)
    proven_heads: set[str] = field(default_factory=set)
    elsewhere: int = 0


def check_archive(
    engine: Engine, path: Path, heads: Mapping[str, CheckpointHead], read: Callable[[int], None]
) -> FileCheck:
    """Recompute every digest in an archive, and compare it with the tombstones; `read` is told how many bytes
    are done. `heads` are those of a checkpoint.

    Raises:
        OSError: the file cannot be read.
        DatabaseUnavailableError: the database cannot be read.
    """
    check = _Check(engine, heads, sum_of_file(path))
    kept = kept_sum(path)
    if kept is not None and kept != check.sum:
        detail = f"the SHA-256 of the file is {check.sum}, not the one in {sum_path(path).name}"
        check.report(_WHOLE_FILE, 0, ProblemKind.DIGEST_MISMATCH, detail)
    try:
        with opened_archive(path) as (lines, position):
            ledgers = read_ledgers(lines, check.take)
            while batch := [(ledger, check.end_group()) for ledger in islice(ledgers, _AT_ONCE)]:
                check.compare(batch)
                read(position())
    except ImportRefusedError as error:
        check.report(check.group, check.seq, ProblemKind.UNREADABLE, f"the file: {error}")
    else:
        check.report_missing(kept)
    return check.result


class _Check:
    """The state of a check: `group` and `seq` are the entry read last, of a group that has not ended."""

    def __init__(self, engine: Engine, heads: Mapping[str, CheckpointHead], digest: str) -> None:
        self.result = FileCheck()
        self.sum = digest
        with reading(engine) as connection:
            self._proven = named_by(connection, digest) > 0
        self.group, self.seq = _WHOLE_FILE, 0
        self._engine = engine
        self._heads = heads
        self._summary: Summary = NOTHING
        self._ended: list[Episode] = []
        self._ids: set[str] = set()
        self._sums: set[str] = set()

    def report(self, taskgroup_id: str, seq: int, problem: ProblemKind, detail: str) -> None:
        self.result.findings.append(Finding(taskgroup_id, seq, problem, detail))

    def take(self, entry: Entry) -> None:
        """Take the next entry of a ledger."""
        self.group, self.seq = entry.taskgroup_id, entry.seq
        self.result.entries += 1
        self._summary, ended = advance_summary(self._summary, entry)
        if ended is not None:
            self._ended.append(ended)
        head = self._heads.get(entry.taskgroup_id)
        if head is not None and head.seq == entry.seq:
            if head.digest == entry.digest:
                self.result.proven_heads.add(entry.taskgroup_id)
            else:
                detail = f"the checkpoint has the digest {head.digest} here, the archive another"
                self.report(entry.taskgroup_id, entry.seq, ProblemKind.DIGEST_MISMATCH, detail)

    def end_group(self) -> str:
        """End a ledger, and return the digest of the rows that are derived from it."""
        group, summary, ended = self.group, self._summary, self._ended
        episodes = [episode_row(group, episode) for episode in ended]
        reached = [milestone_rows(group, one.number, one.milestones or ()) for one in ended]
        reached.append(milestone_rows(group, summary.work.episodes + 1, open_milestones(summary.work)))
        digest = kept_digest(
            map(as_stored, [summary_row(group, summary)]),
            map(as_stored, [*episodes, *open_episode_rows(group, summary.work)]),
            (as_stored(row) for rows in reached for row in rows),
            map(as_stored, label_rows(group, summary)),
        )
        self._summary, self._ended = NOTHING, []
        self.group, self.seq = _WHOLE_FILE, 0
        return digest

    def compare(self, batch: Iterable[tuple[ArchivedLedger, str]]) -> None:
        """Compare ledgers, each with the digest of what is derived from it, with the database."""
        ledgers = dict(batch)
        ids = [ledger.taskgroup_id for ledger in ledgers]
        self._ids.update(ids)
        self.result.groups += len(ids)
        with reading(self._engine) as connection:
            known = find_tombstones(connection, ids)
            self._sums.update(tombstone.archive_sha256 for tombstone in known.values())
            kept = _kept_now(connection, ids)
            for ledger, derived in ledgers.items():
                tombstone = known.get(ledger.taskgroup_id)
                if tombstone is None:
                    self._compare_live(connection, ledger)
                elif self._proven and is_elsewhere(ledger, tombstone, self.sum):
                    self.result.elsewhere += 1
                else:
                    self._compare_tombstone(ledger, tombstone)
                    if kept.get(ledger.taskgroup_id, derived) != derived:
                        detail = "the statistics that were kept do not follow from the archive"
                        place = ledger.taskgroup_id, ledger.head_seq
                        self.report(*place, ProblemKind.DERIVED_MISMATCH, detail)

    def _compare_tombstone(self, ledger: ArchivedLedger, tombstone: Tombstone) -> None:
        found = (ledger.head_seq, ledger.head_digest, ledger.head_seq, ledger.first_at, ledger.last_at)
        named = (tombstone.head_seq, tombstone.head_digest, tombstone.entries)
        if found != (*named, tombstone.first_at, tombstone.last_at):
            detail = "the ledger in the file is not the one that its tombstone names"
            self.report(ledger.taskgroup_id, ledger.head_seq, ProblemKind.DIGEST_MISMATCH, detail)
        elif tombstone.archive_sha256 != self.sum:
            right = tombstone.archive_sha256
            detail = f"the SHA-256 of the file is {self.sum}, not {right}, which its tombstone names"
            self.report(ledger.taskgroup_id, ledger.head_seq, ProblemKind.DIGEST_MISMATCH, detail)

    def _compare_live(self, connection: Connection, ledger: ArchivedLedger) -> None:
        """Compare a ledger with that of a group that was brought back, or was not archived in the end."""
        if stands(connection, ledger):
            return
        mine = select(entries.c.seq).where(entries.c.taskgroup_id == ledger.taskgroup_id).limit(1)
        if connection.scalar(mine) is None:
            detail = (
                "the group is neither archived nor recorded: its tombstone was removed, "
                "or the file is of another database"
            )
            self.report(ledger.taskgroup_id, 1, ProblemKind.TRUNCATED, detail)
        else:
            detail = "the database has another ledger of the group than the file"
            self.report(ledger.taskgroup_id, ledger.head_seq, ProblemKind.DIGEST_MISMATCH, detail)

    def report_missing(self, kept: str | None) -> None:
        """Report the groups whose tombstones name this file, although it does not have them; `kept` is the
        sum that is kept beside it. A file that no tombstone names may be an altered one."""
        others = set() if self._proven else self._sums | ({kept} if kept else set())
        column = tombstones.c.archive_sha256
        asked = select(tombstones.c.taskgroup_id, tombstones.c.head_seq)
        with reading(self._engine) as connection:
            for row in connection.execute(asked.where(column.in_({self.sum} | others))):
                if row.taskgroup_id not in self._ids:
                    detail = "the tombstone names this archive, which does not have the group"
                    self.report(row.taskgroup_id, row.head_seq, ProblemKind.TRUNCATED, detail)


def _kept_now(connection: Connection, ids: list[str]) -> dict[str, str]:
    """Return the digests of the derived rows of those archived groups that were derived by today's rules."""
    asked = (
        select(tombstones.c.taskgroup_id, tombstones.c.kept)
        .join(summaries, summaries.c.taskgroup_id == tombstones.c.taskgroup_id)
        .where(tombstones.c.taskgroup_id.in_(ids), summaries.c.rules == SUMMARY_RULES)
    )
    return {row.taskgroup_id: row.kept for row in connection.execute(asked)}
