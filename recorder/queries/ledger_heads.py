"""The state of all ledgers, for a page about proving them."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from recorder.audit.checkpoint_files import ChangedFileError
from recorder.audit.checkpoints import CheckpointError, digest_of_heads, read_heads
from recorder.audit.kept_checkpoints import newest_kept
from recorder.ledger.timestamps import format_time
from recorder.queries.events import GroupIdParam
from recorder.queries.param_types import DEFAULT_LIMIT, LIMIT_WORDS, LimitParam
from recorder.queries.query import Query
from recorder.store.data_cache import is_kept, kept
from recorder.store.totals import count_anomalous_groups, ledger_totals

MANY_LEDGERS = 10_000
HOLD_SECONDS = 10.0
"""For how long the digest of a checkpoint of MANY_LEDGERS or more is shown: it takes long to compute, and
differs with every poll of a running recorder."""
_DIGEST = "digest of a checkpoint"


class HeadsQuery(Query):
    """Which ledger heads to show."""

    after: GroupIdParam = Field(None, description="only groups whose id follows this one")
    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)


class CheckpointDigests:
    """The digest of the checkpoint that could be made now, or that of one that could a moment ago."""

    def __init__(self) -> None:
        self._newest: tuple[float, str, str] | None = None

    def read(self, connection: Connection, groups: int, now: datetime) -> tuple[str, str | None]:
        """Return the digest and of when it is, None if it is that of the data that `connection` sees.

        Raises:
            BrokenHeadError: as from `checkpoint_answer`.
        """
        newest = self._newest
        is_recent = newest is not None and time.monotonic() - newest[0] < HOLD_SECONDS
        if newest is not None and is_recent and groups >= MANY_LEDGERS and not is_kept(connection, _DIGEST):
            return newest[1:]
        return kept(connection, _DIGEST, lambda: self._computed(connection, now)), None

    def _computed(self, connection: Connection, now: datetime) -> str:
        digest = digest_of_heads(connection)
        self._newest = time.monotonic(), digest, format_time(now)
        return digest


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """Where a recorder keeps checkpoints, and how often."""

    path: Path
    interval: timedelta

    def body(self, now: datetime) -> dict[str, Any]:
        """Return the newest checkpoint there as JSON values: `newest` (null if there is none), `problem` (why
        it cannot be read), and `is_late`: whether it is older than twice the interval."""
        try:
            found, problem = newest_kept(self.path, now), None
        except (OSError, ChangedFileError, CheckpointError) as error:
            # Readers of the API need not know where the folder is.
            problem = str(getattr(error, "strerror", None) or error).replace(f"{self.path}{os.sep}", "")
            found = None
        newest = (
            None
            if found is None
            else {
                "file": found.file,
                "made_at": format_time(found.made_at),
                "groups": found.groups,
                "entries": found.entries,
            }
        )
        return {
            "newest": newest,
            "problem": problem,
            "is_late": found is not None and now - found.made_at > 2 * self.interval,
            "interval_seconds": self.interval.total_seconds(),
        }


def heads_answer(
    connection: Connection, query: HeadsQuery, now: datetime, digests: CheckpointDigests
) -> dict[str, Any]:
    """Return a page of the heads of all ledgers, and how many groups have each anomaly.

    `items` is the page as in a checkpoint, `groups` and `entries` how many there are in all, and `next_after`
    where the next page starts, None on the last. `digest` is that of a checkpoint of `digest_at`, None for
    now. The connection must be one that never writes.

    Raises:
        BrokenHeadError: a watch row does not name the newest entry of its ledger.
    """
    with closing(read_heads(connection, after=query.after, most=query.limit + 1)) as found:
        heads = [head.members() for head in found]
    items = heads[: query.limit]
    groups, entries = kept(connection, "ledger totals", lambda: ledger_totals(connection))
    digest, digest_at = digests.read(connection, groups, now)
    return {
        "items": items,
        "groups": groups,
        "entries": entries,
        "digest": digest,
        "digest_at": digest_at,
        "next_after": items[-1]["taskgroup_id"] if len(heads) > len(items) else None,
        "anomalies": kept(connection, "anomalies", lambda: count_anomalous_groups(connection)),
    }
