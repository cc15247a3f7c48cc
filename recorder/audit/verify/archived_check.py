"""Check what the database keeps of an archived group: its tombstone and the derived rows."""

from __future__ import annotations

from recorder.audit.tombstone_proof import kept_digest, tombstone_digest
from recorder.audit.verify.derived_check import GroupRows
from recorder.audit.verify.findings import ProblemKind
from recorder.audit.verify.ledger_check import LedgerCheck
from recorder.audit.verify.raw_rows import RawRow


def check_archived(ledger: LedgerCheck, rows: GroupRows, tombstone: RawRow) -> None:
    """Check the rows of a group that has a tombstone; `ledger` has what entries were found, which is none if
    all is well."""
    if ledger.seq or ledger.findings:
        ledger.findings.clear()
        detail = "an entry stands although the group is archived: it was brought back by hand"
        ledger.report(max(ledger.seq, 1), ProblemKind.UNREADABLE, detail)
    head = tombstone["head_seq"]
    seq = head if type(head) is int and head > 0 else 1
    if not _is_unchanged(tombstone):
        detail = "the tombstone of the archived group was changed: its digest does not follow from it"
        ledger.report(seq, ProblemKind.DIGEST_MISMATCH, detail)
        return
    wrong = _wrong_tables(rows, tombstone)
    if wrong:
        ledger.report(seq, ProblemKind.DERIVED_MISMATCH, "; ".join(wrong))
    _check_checkpoint(ledger, seq, tombstone["head_digest"])


def _is_unchanged(tombstone: RawRow) -> bool:
    try:
        digest = tombstone_digest(tombstone)
    except (ValueError, TypeError):
        return False
    return bool(digest == tombstone["digest"] and tombstone["entries"] == tombstone["head_seq"])


def _wrong_tables(rows: GroupRows, tombstone: RawRow) -> list[str]:
    wrong = ["watches: an archived group has no row"] if list(rows.watches) else []
    summary = next(iter(rows.summaries), None)
    if summary is None or summary["seq"] != tombstone["head_seq"]:
        wrong.append("summaries: the row is not that of the archived ledger")
    elif kept_digest(rows.summaries, rows.episodes, rows.milestones, rows.labels) != tombstone["kept"]:
        wrong.append("summaries, episodes, milestones or group_labels: a row was changed since the archiving")
    elif not rows.is_labelled:
        wrong.append("labelled_durations: they are not those of its episodes and labels")
    return wrong


def _check_checkpoint(ledger: LedgerCheck, seq: int, digest: str) -> None:
    """Compare the head at the checkpoint with the tombstone's. An earlier one is in the archive only."""
    known = ledger.checkpoint
    if known is None or known.seq < seq:
        return
    if known.seq > seq:
        detail = f"the group is archived up to entry {seq}, but the checkpoint names entry {known.seq}"
        ledger.report(seq + 1, ProblemKind.TRUNCATED, detail)
    elif known.digest != digest:
        detail = (
            f"the checkpoint has the digest {known.digest} here, the tombstone another: the chain was "
            "recomputed since then, or the checkpoint is of another database"
        )
        ledger.report(seq, ProblemKind.DIGEST_MISMATCH, detail)
