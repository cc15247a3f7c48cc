"""Noticing that what a recorder writes would be of no use any more."""

from __future__ import annotations

import structlog
from sqlalchemy import URL

from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.jobs import first_of
from recorder.polling.lost_files import wait_until_lost
from recorder.polling.schema_watch import wait_for_other_schema

_log = structlog.get_logger("recorder")


async def wait_until_unusable(url: URL, reader: DatabaseWriter) -> str:
    """Wait until a file of the database is lost or its schema is another; log and return which, and how."""
    reason = str(await first_of(wait_until_lost(url), wait_for_other_schema(reader.read)))
    _log.error("the recorder stops: what it writes now would be of no use", reason=reason)
    return reason
