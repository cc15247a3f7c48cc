"""What the API answers to auditors, free of HTTP.

Each function reads from one snapshot (`connection`) and returns a body that is ready for JSON.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import NoResultFound

from recorder.audit.checkpoints import BrokenHeadError, checkpoint_digest, checkpoint_lines, read_heads
from recorder.ledger.timestamps import format_time
from recorder.store.groups import GroupItem
from recorder.store.history import read_trail


def audit_answer(connection: Connection, group: GroupItem) -> dict[str, Any]:
    """Return what there is to audit of a group.

    Raises:
        BrokenHeadError: its ledger has no first entry, or none at all.
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
    """Return the heads of all ledgers, with the digest that a checkpoint of them has.

    Raises:
        BrokenHeadError: a ledger does not end as its watch row says.
    """
    heads = list(read_heads(connection))
    return {
        "items": [head.members() for head in heads],
        "entries": sum(head.seq for head in heads),
        "digest": checkpoint_digest(checkpoint_lines(heads)),
    }
