"""The orders in which groups can be listed, and where the page after a group starts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, or_

from recorder.store.tables import watches


class GroupOrder(StrEnum):
    """The order of a list of groups.

    `newest` and `oldest` go by enrolment, `id` by the id, `changed` by the newest entry, latest first, and
    `unseen` by the last response, the one longest ago first. Equal ones are in the order of their ids.
    """

    NEWEST = "newest"
    OLDEST = "oldest"
    ID = "id"
    CHANGED = "changed"
    UNSEEN = "unseen"


GroupPosition = tuple[datetime, str]
"""The place of a group in an order: the time that it goes by (any for the order of ids), and its id."""

_id = watches.c.taskgroup_id
_TIMES: dict[GroupOrder, ColumnElement[datetime]] = {
    GroupOrder.NEWEST: watches.c.enrolled_at,
    GroupOrder.OLDEST: watches.c.enrolled_at,
    GroupOrder.CHANGED: watches.c.head_at,
    GroupOrder.UNSEEN: func.coalesce(watches.c.last_seen_at, watches.c.head_at, type_=watches.c.head_at.type),
}
_DESCENDING = {GroupOrder.NEWEST, GroupOrder.CHANGED}


def time_in_order(order: GroupOrder) -> ColumnElement[datetime]:
    """Return the time of a group that `order` goes by; that of its enrolment if it goes by none."""
    return _TIMES.get(order, watches.c.enrolled_at)


def order_clauses(order: GroupOrder) -> Iterator[ColumnElement[Any]]:
    """Yield what to order a statement by."""
    time = _TIMES.get(order)
    if time is not None:
        yield time.desc() if order in _DESCENDING else time.asc()
    yield _id


def conditions_after(order: GroupOrder, position: GroupPosition | None) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that select the groups after `position`."""
    if position is None:
        return
    moment, taskgroup_id = position
    time = _TIMES.get(order)
    if time is None:
        yield _id > taskgroup_id
        return
    descending = order in _DESCENDING
    # This alone lets an index begin where the previous page ended; the rest only sorts out equal times.
    yield time <= moment if descending else time >= moment
    yield or_(time < moment if descending else time > moment, _id > taskgroup_id)
