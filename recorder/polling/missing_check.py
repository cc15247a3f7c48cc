"""Whether groups that are not found are gone, as the database shows it of all recorders together."""

from __future__ import annotations

import asyncio
import time

import structlog

from recorder.ledger.missing_groups import NONE_MISSING, MissingGroups
from recorder.ledger.timestamps import format_time
from recorder.polling.db_writer import DatabaseWriter
from recorder.store.missing import read_missing
from recorder.store.transactions import DatabaseUnavailableError

TRUSTED_SECONDS = 2.0
"""For how long it is believed that groups are missing together; that none are is looked up each time."""

_log = structlog.get_logger("recorder")


class MissingCheck:
    """Looks at the groups that are not found, and logs when they begin and cease to be missing together."""

    def __init__(self, reader: DatabaseWriter) -> None:
        self._reader = reader
        self._found = NONE_MISSING
        self._look_at = 0.0
        self._looking = asyncio.Lock()

    @property
    def together(self) -> bool:
        """Whether groups were missing together at the last look."""
        return self._found.together

    async def look(self) -> None:
        """Look at the groups, unless they were missing together just now.

        Raises:
            DatabaseUnavailableError: the database cannot be read.
        """
        async with self._looking:
            if not self.together or time.monotonic() >= self._look_at:
                self._learn(await self._reader.read(read_missing))
                self._look_at = time.monotonic() + TRUSTED_SECONDS

    async def may_be_gone(self) -> bool:
        """Look, and return whether a group may be gone that has not been found for long enough."""
        try:
            await self.look()
        except DatabaseUnavailableError:
            return False
        return not self.together

    def _learn(self, found: MissingGroups) -> None:
        before, self._found = self._found, found
        if self.together and not before.together:
            _log.error(
                "groups that were seen before are not found: that is the upstream's doing, none becomes gone",
                **_figures(self._found),
            )
        elif before.together and not self.together:
            _log.info("groups that were not found are found again", **_figures(self._found))


def _figures(found: MissingGroups) -> dict[str, int | str | None]:
    since = None if found.since is None else format_time(found.since)
    return {"missing": found.missing, "answered": found.answered, "since": since}
