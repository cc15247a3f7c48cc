"""A job that derives groups anew which an upgrade left to be derived, while the recorder runs."""

from __future__ import annotations

import time
from threading import Event

import structlog
from sqlalchemy import Engine

from recorder.polling.background import BackgroundThread
from recorder.store.rebuilding import rebuild_left

_TIMEOUT_SECONDS = 86400.0
"""How long it may take before its connection is considered dead."""
_TELL_SECONDS = 60.0

_log = structlog.get_logger("recorder")


class DeriveJob:
    """Derives what is left batch by batch, and rests after each as long as it took: recording comes first.

    Once nothing is left, nothing ever will be, since recording derives each group with its entries.
    """

    check_seconds = 5.0
    """How soon to try again after the database could not be used."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._complete = False
        self._closing = Event()
        self._thread = BackgroundThread("recorder-derived", _TIMEOUT_SECONDS)

    @property
    def stuck(self) -> bool:
        """Whether a batch is being derived; its thread would keep the process from exiting."""
        return self._thread.stuck

    def close(self) -> None:
        self._closing.set()
        self._thread.close()

    async def run(self) -> None:
        """Derive what is left.

        Raises:
            DatabaseUnavailableError: the database cannot be used at the moment.
        """
        if not self._complete:
            self._complete = await self._thread.run(self._derive)

    def _derive(self) -> bool:
        """Return whether nothing is left."""
        began = told = time.monotonic()
        found = None
        for found in rebuild_left(self._engine):
            now = time.monotonic()
            if now - told >= _TELL_SECONDS and found.done < found.total:
                told = now
                _log.info("deriving completion anew", groups_done=found.done, groups=found.total)
            if self._closing.wait(now - began):
                return False
            began = time.monotonic()
        if found is not None:
            _log.info("completion derived anew", groups=found.total)
        return True
