"""Checkpoints: the heads of all ledgers at one moment, small enough to keep in a safe place.

A checkpoint is a text with a line for each group, in the order of ids by their UTF-8 bytes. Its digest is the
SHA-256 of that text.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Select, and_, select
from sqlalchemy.exc import DataError

from recorder.ledger.timestamps import format_time, parse_time
from recorder.store.dialects.functions import time_text
from recorder.store.tables import entries, watches

_DIGEST = re.compile("[0-9a-f]{64}", re.ASCII)
_MEMBERS = ("taskgroup_id", "seq", "digest", "last_seen_at", "polls")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_LONGEST_COMPLAINT = 300
_UNNAMED = "{}: its watch row does not name its newest entry"
_UNREADABLE = "a watch row cannot be read"


class BrokenHeadError(Exception):
    """A ledger does not end as its watch row says, so no checkpoint can include it.

    `what` can be shown to anybody. The full message also has the error of the database or its driver.
    """

    def __init__(self, what: str, why: Exception | None = None) -> None:
        super().__init__(what if why is None else f"{what}: {why}")
        self.what = what


class CheckpointError(ValueError):
    """A line is not a valid checkpoint line; the message has its number and the reason."""


@dataclass(frozen=True, slots=True)
class CheckpointHead:
    """The newest entry of a ledger; for a status, also when it was last seen and by how many responses."""

    taskgroup_id: str
    seq: int
    digest: str
    last_seen_at: datetime | None
    polls: int | None

    def members(self) -> dict[str, Any]:
        """Return the head as JSON values."""
        seen = None if self.last_seen_at is None else format_time(self.last_seen_at)
        return dict(zip(_MEMBERS, (self.taskgroup_id, self.seq, self.digest, seen, self.polls), strict=True))


def read_heads(
    connection: Connection, *, after: str | None = None, most: int | None = None
) -> Generator[CheckpointHead]:
    """Yield the heads of all ledgers in checkpoint order. Close the generator before its transaction ends.

    `after` leaves out the groups up to this one, and `most` those after so many.

    Raises:
        BrokenHeadError: a watch row cannot be read, or does not name the newest entry of its ledger.
    """
    asked = _heads(watches.c.last_seen_at).limit(most)
    if after is not None:
        asked = asked.where(watches.c.taskgroup_id > after)
    try:
        with connection.execute(asked.execution_options(yield_per=1000)) as rows:
            for row in rows:
                if row.digest != row.head_digest or row.is_behind:
                    raise BrokenHeadError(_UNNAMED.format(row.taskgroup_id))
                yield CheckpointHead(*row[:5])
    except (ValueError, TypeError, DataError) as error:
        raise BrokenHeadError(_UNREADABLE, error) from None


def digest_of_heads(connection: Connection) -> str:
    """Return the digest of a checkpoint made now, several times as fast as by reading its heads.

    Raises:
        BrokenHeadError: as from `read_heads`.
    """
    digest = sha256()
    found = connection.execute(_heads(time_text(watches.c.last_seen_at)))
    try:
        # Reads the driver's own rows: wrapping them in SQLAlchemy's takes as long as everything else here.
        while found.cursor is not None and (rows := found.cursor.fetchmany(1000)):
            for taskgroup_id, seq, head_digest, seen, polls, stands, is_behind in rows:
                if stands != head_digest or is_behind:
                    raise BrokenHeadError(_UNNAMED.format(taskgroup_id))
                if seen is not None and not _TIME.fullmatch(seen):
                    raise ValueError(f"{seen!r} is not a time")
                members = dict(zip(_MEMBERS, (taskgroup_id, seq, head_digest, seen, polls), strict=True))
                digest.update(orjson.dumps(members))
                digest.update(b"\n")
    except (ValueError, TypeError, DataError) as error:
        raise BrokenHeadError(_UNREADABLE, error) from None
    finally:
        found.close()
    return digest.hexdigest()


def _heads(last_seen_at: ColumnElement[Any]) -> Select[Any]:
    head = and_(entries.c.taskgroup_id == watches.c.taskgroup_id, entries.c.seq == watches.c.head_seq)
    other = entries.alias("newer")
    newer = select(other.c.seq).where(
        other.c.taskgroup_id == watches.c.taskgroup_id, other.c.seq > watches.c.head_seq
    )
    columns = (watches.c.taskgroup_id, watches.c.head_seq, watches.c.head_digest)
    stands = (entries.c.digest, newer.exists().label("is_behind"))
    asked = select(*columns, last_seen_at, watches.c.polls, *stands)
    return asked.select_from(watches.outerjoin(entries, head)).order_by(watches.c.taskgroup_id)


def checkpoint_lines(heads: Iterable[CheckpointHead]) -> Iterator[bytes]:
    """Yield the lines of a checkpoint, each with its line end."""
    for head in heads:
        yield orjson.dumps(head.members()) + b"\n"


def checkpoint_digest(lines: Iterable[bytes]) -> str:
    """Return the digest of a checkpoint with these lines, in lower-case hex."""
    digest = sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def read_checkpoint(lines: Iterable[bytes]) -> dict[str, CheckpointHead]:
    """Parse a checkpoint, and return its heads by group id.

    Raises:
        CheckpointError: a line is not valid, or names a group for the second time.
    """
    heads: dict[str, CheckpointHead] = {}
    for number, line in enumerate(lines, 1):
        try:
            head = _head_of(orjson.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            words = str(error)[:_LONGEST_COMPLAINT]
            raise CheckpointError(f"line {number} is not a valid checkpoint line: {words}") from None
        if head.taskgroup_id in heads:
            raise CheckpointError(f"line {number} names {head.taskgroup_id!a} for the second time")
        heads[head.taskgroup_id] = head
    return heads


def _head_of(members: Any) -> CheckpointHead:
    if not isinstance(members, dict) or members.keys() != set(_MEMBERS):
        raise ValueError(f"it must be an object of {', '.join(_MEMBERS)}")
    taskgroup_id, seq, digest, seen, polls = (members[name] for name in _MEMBERS)
    if not (isinstance(taskgroup_id, str) and _is_number(seq) and isinstance(digest, str)):
        raise ValueError("taskgroup_id, seq or digest is of another type")
    if not _DIGEST.fullmatch(digest):
        raise ValueError("digest must be 64 hexadecimal digits in lower case")
    if (seen is None) != (polls is None) or not (polls is None or _is_number(polls)):
        raise ValueError("last_seen_at and polls go together: a time and a number, or null")
    return CheckpointHead(taskgroup_id, seq, digest, None if seen is None else parse_time(seen), polls)


def _is_number(value: Any) -> bool:
    return type(value) is int and value > 0
