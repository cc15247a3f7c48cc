"""Which groups still have to be derived anew, as after an upgrade that changed the rules.

Until then, whatever is read from the derived tables of all groups would silently lack some of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, exists, func, or_, select

from recorder.completion.summary import SUMMARY_RULES
from recorder.store.tables import summaries, watches

_SURE_SECONDS = 60.0
"""How long it is not looked again after nothing was left: looking reads a row of every group."""
_KEY = "derived until"

_joined = watches.outerjoin(summaries, summaries.c.taskgroup_id == watches.c.taskgroup_id)
_stale = or_(summaries.c.taskgroup_id.is_(None), summaries.c.rules != SUMMARY_RULES)


@dataclass(frozen=True, slots=True)
class Deriving:
    """How many groups are derived by this program's rules, of how many."""

    done: int
    total: int

    def members(self) -> dict[str, int]:
        """Return it as JSON values."""
        return {"groups_done": self.done, "groups_total": self.total}

    def __str__(self) -> str:
        return f"{self.done:,} of {self.total:,} groups"


class UnderivedError(Exception):
    """Derived data is incomplete, and is being derived anew; the text says how far that has come."""


def groups_left(connection: Connection) -> list[tuple[str, int]]:
    """Return the id and the number of entries of every group whose summary is missing or has other rules."""
    statement = select(watches.c.taskgroup_id, watches.c.head_seq).select_from(_joined).where(_stale)
    return [
        (row.taskgroup_id, row.head_seq) for row in connection.execute(statement.order_by("taskgroup_id"))
    ]


def is_derived() -> ColumnElement[bool]:
    """The condition that a group of `watches` is derived by this program's rules."""
    own = summaries.alias("own")
    return exists().where(own.c.taskgroup_id == watches.c.taskgroup_id, own.c.rules == SUMMARY_RULES)


def deriving(connection: Connection) -> Deriving | None:
    """Return how far deriving anew has come; None if nothing is left to derive.

    That nothing is left is believed for a minute: from then on, each group is derived with its entries.
    """
    if connection.info.get(_KEY, 0.0) > time.monotonic():
        return None
    if connection.execute(select(1).select_from(_joined).where(_stale).limit(1)).first() is None:
        connection.info[_KEY] = time.monotonic() + _SURE_SECONDS
        return None
    left = func.count().filter(_stale)
    row = connection.execute(
        select(left.label("left"), func.count().label("total")).select_from(_joined)
    ).one()
    return Deriving(row.total - row.left, row.total)


def require_derived(connection: Connection) -> None:
    """Refuse to read derived data of all groups while some of it is missing.

    Raises:
        UnderivedError: groups are being derived anew.
    """
    found = deriving(connection)
    if found is not None:
        raise UnderivedError(f"completion is being derived anew after an upgrade: {found} are done")
