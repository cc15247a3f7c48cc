"""Keep what was computed from the database for as long as nothing is committed to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
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
    mark = connection.scalar(text(dialect_of(connection).data_mark_query))
    if mark is None:
        return compute()
    # The pool keeps this with the driver's connection, so that marks are compared on one connection only.
    found: tuple[Any, dict[Hashable, Any]] = connection.info.get(_KEY, (None, {}))
    if found[0] != mark or (len(found[1]) >= MOST_KEPT and key not in found[1]):
        found = connection.info[_KEY] = (mark, {})
    if key not in found[1]:
        found[1][key] = compute()
    value: _T = found[1][key]
    return value
