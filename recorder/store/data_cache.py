"""Keep what was computed from the database for as long as nothing is committed to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from recorder.store.dialects.registry import dialect_of

MOST_KEPT = 64
"""The maximum number of values that are kept for one state of the data, by each connection."""
_KEY = "kept values"

_T = TypeVar("_T")


def kept(connection: Connection, key: Hashable, compute: Callable[[], _T]) -> _T:
    """Return what `compute` returns, or what it returned for `key` if the data is still the same.

    The connection must be one that never writes, since it does not notice its own changes. `compute` must
    depend on nothing but `key` and what the connection's transaction sees.
    """
    values = _values(connection, key)
    if values is None:
        return compute()
    if key not in values:
        values[key] = compute()
    value: _T = values[key]
    return value


def is_kept(connection: Connection, key: Hashable) -> bool:
    """Whether `kept` would return a value for `key` without computing it."""
    return key in (_values(connection, key) or ())


def kept_while(
    connection: Connection,
    key: Hashable,
    now: datetime,
    compute: Callable[[], tuple[_T, datetime | None]],
) -> _T:
    """Return a value that also depends on the time `now`, kept as by `kept` as long as that changes nothing.

    `compute` returns the value at `now`, and until when it stays the same, None for good.
    """
    values = _values(connection, key)
    if values is None:
        return compute()[0]
    since, until, value = values.get(key, (now, now, None))
    if not (since <= now and (until is None or now < until)):
        value, until = compute()
        values[key] = now, until, value
    found: _T = value
    return found


def _values(connection: Connection, key: Hashable) -> dict[Hashable, Any] | None:
    """Return what is kept for the present state of the data, with room for `key`; None if no state has a
    mark."""
    mark = connection.scalar(text(dialect_of(connection).data_mark_query))
    if mark is None:
        return None
    # The pool keeps this with the driver's connection, so that marks are compared on one connection only.
    found: tuple[Any, dict[Hashable, Any]] = connection.info.get(_KEY, (None, {}))
    if found[0] != mark or (len(found[1]) >= MOST_KEPT and key not in found[1]):
        found = connection.info[_KEY] = (mark, {})
    return found[1]
