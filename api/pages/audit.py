"""The page about proving the ledgers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response
from sqlalchemy import Connection

from api.context import snapshot
from api.middleware.etag import mark_of_all
from api.pages.page import address_with, blueprint, live_page
from api.pages.params import form_query
from recorder.queries.ledger_heads import HeadsQuery, heads_answer


@blueprint.get("/audit")
def all_heads() -> Response:
    """The heads of all ledgers, anomalies, and how to verify."""
    query = form_query(HeadsQuery)
    with snapshot() as read:
        connection = read.connection
        return live_page(mark_of_all(connection), "audit.html", lambda: _values(connection, query))


def _values(connection: Connection, query: HeadsQuery) -> Mapping[str, Any]:
    answer = heads_answer(connection, query)
    following = answer["next_after"]
    return {
        "query": query,
        "audit": answer,
        "next": None if following is None else address_with(after=following),
        "first": None if query.after is None else address_with(after=None),
    }
