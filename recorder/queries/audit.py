"""A group's audit summary, and the heads of all ledgers, as JSON-ready values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import NoResultFound

from recorder.audit.checkpoints import BrokenHeadError, checkpoint_digest, checkpoint_lines, read_heads
from recorder.ledger.timestamps import format_time
from recorder.store.groups import GroupItem
from recorder.store.trail import read_trail


def audit_answer(connection: Connection, group: GroupItem) -> dict[str, Any]:
    """Return a group's head, how many entries its ledger has, and their anomalies.

    Raises:
        BrokenHeadError: the first entry of its ledger, or the whole ledger, is missing.
    """
    head, taskgroup_id = group.watch.head, group.watch.taskgroup_id
    try:
        trail = read_trail(connection, taskgroup_id)
    except NoResultFound:
        raise BrokenHeadError(f"{taskgroup_id}: its first entry is missing") from None
    return {
        "head_seq": head.seq,
        "head_digest": head.digest,
        "entries": trail.entries,
        "first_at": format_time(trail.first_at),
        "last_at": format_time(trail.last_at),
        "anomalies": {anomaly.value: count for anomaly, count in trail.anomalies.items()},
    }


def checkpoint_answer(connection: Connection) -> dict[str, Any]:
    """Return the heads of all ledgers and the digest of a checkpoint with these heads.

    Raises:
        BrokenHeadError: a watch row does not name the newest entry of its ledger.
    """
    heads = list(read_heads(connection))
    return {
        "items": [head.members() for head in heads],
        "entries": sum(head.seq for head in heads),
        "digest": checkpoint_digest(checkpoint_lines(heads)),
    }
