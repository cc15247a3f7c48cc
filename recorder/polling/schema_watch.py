"""Noticing that the schema of the recorder's database was upgraded, or downgraded, while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection

from recorder.store.schema import known_revisions, revisions_in
from recorder.store.transactions import DatabaseUnavailableError

SCHEMA_SECONDS = 2.0
"""How often to look."""

Revisions = tuple[str, ...]


async def wait_for_other_schema(
    read: Callable[[Callable[[Connection], Revisions]], Awaitable[Revisions]],
) -> str:
    """Wait until the schema is no longer this program's; return a line about it.

    `read` runs a function on the database. While that is unavailable, nothing is known about its schema.
    """
    # Read once, since the files of the revisions cannot be opened when no descriptor is left.
    head = known_revisions()[0]
    while True:
        try:
            found = await read(revisions_in)
        except DatabaseUnavailableError:
            pass
        else:
            if found != (head,):
                return (
                    f"the database's schema is now at revision {', '.join(found) or 'none'}, this program "
                    f"needs {head}; start the version that fits"
                )
        await asyncio.sleep(SCHEMA_SECONDS)
