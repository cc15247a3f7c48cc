"""Conditional requests: a response that the client already has is not built again.

A response depends only on what it is read from: the watch rows of groups, and whether they have an open gap.
A mark is a text that identifies this state; the ETag is its hash, computed before the response is built.
Marks are made of digests rather than counts, which can be the same again after a restore of another state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from flask import Response, request
from sqlalchemy import Connection

from recorder.completion.summary import SUMMARY_RULES
from recorder.ledger.status_fields import RULES
from recorder.ledger.transitions import open_gap
from recorder.store.data_cache import kept
from recorder.store.groups import WatchRow, digest_of_ledgers

MADE_BY = (version("task-group-recorder"), RULES, SUMMARY_RULES)
"""What makes a response from a state: an upgrade of the rules changes responses, but no digest."""


def not_modified_or(mark: str, build: Callable[[], Response]) -> Response:
    """Return 304 if the client already has the response with `mark`, else build it. Both have an ETag."""
    tag = etag_of(mark)
    response = Response(status=304) if request.if_none_match.contains_weak(tag) else build()
    response.set_etag(tag, weak=True)
    return response


def etag_of(mark: str) -> str:
    """Return the ETag of the current request's response with `mark`."""
    return sha256(f"{MADE_BY} {request.full_path} {mark}".encode()).hexdigest()[:32]


def mark_of_group(group: WatchRow, now: datetime, *more: Any) -> str:
    """Return a mark for responses about one group at `now`; `more` is what else they depend on."""
    has_open_gap = open_gap(group.watch, now) is not None
    return repr((group.watch, group.interval_seconds, has_open_gap, *more))


def mark_of_groups(groups: Sequence[WatchRow], now: datetime, *more: Any) -> str:
    """Return a mark for responses about several groups at `now`; `more` is what else they depend on."""
    return repr([mark_of_group(group, now) for group in groups] + list(more))


def mark_of_all(connection: Connection) -> str:
    """Return a mark for responses about all ledgers and their open intervals."""
    return kept(connection, "ledgers", lambda: digest_of_ledgers(connection))


def add_etag(response: Response) -> Response:
    """Add an ETag computed from the body to a response without one; for responses that are cheap to build."""
    if request.method not in {"GET", "HEAD"} or response.status_code != 200:
        return response
    if not response.is_json or response.is_streamed:
        return response
    if response.get_etag()[0] is None:
        response.add_etag(weak=True)
        response.make_conditional(request)
    return response
