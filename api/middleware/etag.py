"""Conditional requests: an answer that the client has already is not made again.

What an answer shows is a function of what it was read from: the watch rows of groups, and whether their
gaps are open by now. A mark of that, taken before the answer is made, is its ETag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from flask import Response, request
from sqlalchemy import Connection

from api.context import context
from recorder.ledger.transitions import open_gap
from recorder.store.groups import WatchRow, read_sums

_VERSION = version("task-group-recorder")


def not_modified_or(mark: str, make: Callable[[], Response]) -> Response:
    """Return 304 if the client has the answer with `mark` already, else make it; either has the ETag."""
    tag = sha256(f"{_VERSION} {request.full_path} {mark}".encode()).hexdigest()[:32]
    response = Response(status=304) if request.if_none_match.contains_weak(tag) else make()
    response.set_etag(tag, weak=True)
    return response


def mark_of_group(group: WatchRow, *more: Any) -> str:
    """Return a mark of all that answers about a group show; `more` is what they show besides."""
    lasting = open_gap(group.watch, context().now()) is not None
    return repr((group.watch, group.interval_seconds, lasting, *more))


def mark_of_groups(groups: Sequence[WatchRow], *more: Any) -> str:
    """Return a mark of all that answers about several groups show."""
    return repr([mark_of_group(group) for group in groups] + list(more))


def mark_of_all(connection: Connection) -> str:
    """Return a mark of all ledgers with their open intervals.

    Each entry raises the sum of `seq`, and each response that brings none raises the sum of `polls`.
    """
    return repr(read_sums(connection))


def add_etag(response: Response) -> Response:
    """Give an answer without a mark of its own one of its bytes: for what costs nothing to make."""
    if response.status_code != 200 or not response.is_json or response.is_streamed:
        return response
    if response.get_etag()[0] is None:
        response.add_etag(weak=True)
        response.make_conditional(request)
    return response
