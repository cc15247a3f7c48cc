"""The page about proving the ledgers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response

from api.context import context, snapshot
from api.pages.page import address_with, blueprint, live_page
from api.pages.params import form_query
from recorder.queries.ledger_heads import HeadsQuery, heads_answer


@blueprint.get("/audit")
def all_heads() -> Response:
    """The heads of all ledgers, anomalies, and how to verify."""
    query = form_query(HeadsQuery)
    here = context()
    with snapshot() as read:
        answer = heads_answer(read.connection, query, read.now, here.checkpoint_digests)
        folder = here.checkpoint_folder
        kept = None if folder is None else folder.body(read.now)
        return live_page(repr((answer, kept)), "audit.html", lambda: _values(query, answer, kept))


def _values(query: HeadsQuery, answer: dict[str, Any], kept: dict[str, Any] | None) -> Mapping[str, Any]:
    following = answer["next_after"]
    return {
        "query": query,
        "audit": answer,
        "kept": kept,
        "next": None if following is None else address_with(after=following),
        "first": None if query.after is None else address_with(after=None),
    }
