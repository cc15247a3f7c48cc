"""Checkpoints: the heads of all ledgers at one moment, small enough to keep where nobody can change them.

A checkpoint is a text of lines, one for each group in the order of ids by their UTF-8 bytes. Its digest is
the SHA-256 of that text.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection, and_, select
from sqlalchemy.exc import DataError

from recorder.ledger.times import format_time, parse_time
from recorder.store.tables import entries, watches

_DIGEST = re.compile("[0-9a-f]{64}", re.ASCII)
_MEMBERS = ("taskgroup_id", "seq", "digest", "last_seen_at", "polls")
_LONGEST_COMPLAINT = 300


class BrokenHeadError(Exception):
    """A ledger does not end as its watch row says: nothing that rests on it can be attested.

    `what` is for anybody; the text has besides it what the database or its driver said.
    """

    def __init__(self, what: str, why: Exception | None = None) -> None:
        super().__init__(what if why is None else f"{what}: {why}")
        self.what = what


class CheckpointError(ValueError):
    """A line is none of a checkpoint; the text says which, and why."""


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The newest entry of a ledger; if that is a status, when it was last said, and by how many responses."""

    taskgroup_id: str
    seq: int
    digest: str
    last_seen_at: datetime | None
    polls: int | None

    def members(self) -> dict[str, Any]:
        """Return it as JSON values."""
        seen = None if self.last_seen_at is None else format_time(self.last_seen_at)
        return dict(zip(_MEMBERS, (self.taskgroup_id, self.seq, self.digest, seen, self.polls), strict=True))


def read_heads(connection: Connection) -> Generator[LedgerHead]:
    """Yield the heads of all ledgers, in the order of a checkpoint; to be closed before its transaction.

    Raises:
        BrokenHeadError: a watch row cannot be read, or does not name the newest entry of its ledger.
    """
    head = and_(entries.c.taskgroup_id == watches.c.taskgroup_id, entries.c.seq == watches.c.head_seq)
    other = entries.alias("newer")
    newer = select(other.c.seq).where(
        other.c.taskgroup_id == watches.c.taskgroup_id, other.c.seq > watches.c.head_seq
    )
    columns = (watches.c.taskgroup_id, watches.c.head_seq, watches.c.head_digest)
    stands = (entries.c.digest, newer.exists().label("is_behind"))
    asked = select(*columns, watches.c.last_seen_at, watches.c.polls, *stands)
    asked = asked.select_from(watches.outerjoin(entries, head)).order_by(watches.c.taskgroup_id)
    try:
        with connection.execute(asked.execution_options(yield_per=1000)) as rows:
            for row in rows:
                if row.digest != row.head_digest or row.is_behind:
                    raise BrokenHeadError(f"{row.taskgroup_id}: its watch row does not name its newest entry")
                yield LedgerHead(*row[:5])
    except (ValueError, TypeError, DataError) as error:
        raise BrokenHeadError("a watch row cannot be read", error) from None


def checkpoint_lines(heads: Iterable[LedgerHead]) -> Iterator[bytes]:
    """Yield the lines of a checkpoint, each with its end."""
    for head in heads:
        yield orjson.dumps(head.members()) + b"\n"


def checkpoint_digest(lines: Iterable[bytes]) -> str:
    """Return the digest of a checkpoint of these lines, in lower-case hex."""
    digest = sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def read_checkpoint(lines: Iterable[bytes]) -> dict[str, LedgerHead]:
    """Read a checkpoint; return its heads by the ids of their groups.

    Raises:
        CheckpointError: a line is none of a checkpoint, or names a group for the second time.
    """
    heads: dict[str, LedgerHead] = {}
    for number, line in enumerate(lines, 1):
        try:
            head = _head_of(orjson.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            words = str(error)[:_LONGEST_COMPLAINT]
            raise CheckpointError(f"line {number} is no line of a checkpoint: {words}") from None
        if head.taskgroup_id in heads:
            raise CheckpointError(f"line {number} names {head.taskgroup_id!a} for the second time")
        heads[head.taskgroup_id] = head
    return heads


def _head_of(members: Any) -> LedgerHead:
    if not isinstance(members, dict) or members.keys() != set(_MEMBERS):
        raise ValueError(f"it must be an object of {', '.join(_MEMBERS)}")
    taskgroup_id, seq, digest, seen, polls = (members[name] for name in _MEMBERS)
    if not (isinstance(taskgroup_id, str) and _is_number(seq) and isinstance(digest, str)):
        raise ValueError("taskgroup_id, seq or digest is of another type")
    if not _DIGEST.fullmatch(digest):
        raise ValueError("digest must be 64 hexadecimal digits in lower case")
    if (seen is None) != (polls is None) or not (polls is None or _is_number(polls)):
        raise ValueError("last_seen_at and polls go together: a time and a number, or null")
    return LedgerHead(taskgroup_id, seq, digest, None if seen is None else parse_time(seen), polls)


def _is_number(value: Any) -> bool:
    return type(value) is int and value > 0
