"""The keys of requests that were carried out, by group, so that none is carried out twice.

They are kept for good: the line of a folder that has the key may be read again at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, insert, select

from recorder.store.given_keys import rows_with
from recorder.store.tables import request_keys

MOST_KEY_CHARACTERS = 255

KeyOfGroup = tuple[str, str]
"""The id of a group, and the key of a request about it."""


def known_keys(connection: Connection, wanted: Mapping[str, Iterable[str]]) -> dict[KeyOfGroup, str]:
    """Return which of these keys, by group id, were kept, each with the digest of its request."""
    table = request_keys.c
    pairs = [(taskgroup_id, key) for taskgroup_id, keys in wanted.items() for key in keys]
    if not pairs:
        return {}
    rows = rows_with(connection, select(request_keys), (table.taskgroup_id, table.key), pairs)
    return {(row.taskgroup_id, row.key): row.digest for row in rows}


def keep_keys(connection: Connection, digests: Mapping[KeyOfGroup, str], at: datetime) -> None:
    """Keep the keys of requests that are carried out by this transaction, each with its digest."""
    rows = [
        {"taskgroup_id": taskgroup_id, "key": key, "digest": digest, "at": at}
        for (taskgroup_id, key), digest in digests.items()
    ]
    if rows:
        connection.execute(insert(request_keys), rows)
