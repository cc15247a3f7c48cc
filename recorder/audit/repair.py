"""Derive again what does not match its ledger."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from recorder.audit.archive.selection import Tell
from recorder.audit.verify.findings import ProblemKind
from recorder.audit.verify.runner import size_of, verify
from recorder.audit.verify.tasks import tasks_of
from recorder.store.rebuilding import rebuild_groups
from recorder.store.tombstones import find_tombstones
from recorder.store.transactions import reading


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many groups were derived again, and how many `others` have findings all the same."""

    groups: int
    others: int


def repair_derived(engine: Engine, reader: Engine, tell: Tell) -> Rebuilt:
    """Rebuild the derived rows of the groups whose rows do not match their ledgers.

    `reader` is the same database, opened to read. What is derived of archived groups cannot be rebuilt.

    Raises:
        DatabaseUnavailableError: the database cannot be used.
    """
    derived, others = _wrong_groups(reader, None, tell)
    with reading(reader) as connection:
        archived = find_tombstones(connection, derived).keys()
    derived, others = derived - archived, others | archived
    for done in rebuild_groups(engine, sorted(derived)):
        tell("rebuilding groups", done, len(derived))
    still = set().union(*_wrong_groups(reader, sorted(derived), tell)) if derived else set()
    return Rebuilt(len(derived - still), len(others | still))


def _wrong_groups(engine: Engine, ids: list[str] | None, tell: Tell) -> tuple[set[str], set[str]]:
    """Return the groups of which only derived data is wrong, and those with other findings."""
    derived: set[str] = set()
    others: set[str] = set()
    total, read = size_of(engine, ids), 0
    for checked in verify(engine, tasks_of(engine, ids)):
        read += checked.entries
        tell("verifying", read, total)
        for finding in checked.findings:
            is_derived = finding.problem is ProblemKind.DERIVED_MISMATCH
            (derived if is_derived else others).add(finding.taskgroup_id)
    return derived - others, others
