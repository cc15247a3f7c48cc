"""The state of all ledgers, for a page about proving them."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from recorder.queries.audit import checkpoint_answer
from recorder.queries.param_types import DEFAULT_LIMIT, LIMIT_WORDS, LimitParam
from recorder.queries.query import Query
from recorder.store.totals import count_anomalous_groups


class HeadsQuery(Query):
    """Which ledger heads to show."""

    after: str | None = Field(None, description="only groups whose id follows this one")
    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)


def heads_answer(connection: Connection, query: HeadsQuery) -> dict[str, Any]:
    """Return the checkpoint of all ledgers with a page of its heads, and how many groups have each anomaly.

    `items` is the page, `groups` how many there are in all, and `next_after` where the next page starts, None
    on the last.

    Raises:
        BrokenHeadError: a watch row does not name the newest entry of its ledger.
    """
    checkpoint = checkpoint_answer(connection)
    heads = checkpoint["items"]
    ids = [head["taskgroup_id"].encode() for head in heads]
    start = 0 if query.after is None else bisect_right(ids, query.after.encode())
    end = start + query.limit
    return {
        "items": heads[start:end],
        "groups": len(heads),
        "entries": checkpoint["entries"],
        "digest": checkpoint["digest"],
        "next_after": heads[end - 1]["taskgroup_id"] if end < len(heads) else None,
        "anomalies": count_anomalous_groups(connection),
    }
