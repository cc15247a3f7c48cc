"""Noticing that the files of the recorder's database were deleted or replaced."""

from __future__ import annotations

import asyncio
from contextlib import closing

from sqlalchemy import URL

from recorder.store.engine import watch_files

FILES_SECONDS = 0.4
"""How often to look: it must be noticed within a second."""


async def wait_until_lost(url: URL) -> str:
    """Wait until a file of the database is deleted or replaced; return which, and how."""
    with closing(watch_files(url)) as files:
        while (lost := files.lost()) is None:
            await asyncio.sleep(FILES_SECONDS)
        return lost
