"""Exports over HTTP."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from typing import Any

import structlog
from flask import Response, request

from api.context import MOST_EXPORTS, Context, context
from api.errors import PROBLEMS, problem
from api.exports.batches import Export
from api.exports.csv import cell, csv_line
from recorder.queries.formats import NDJSON, Format
from recorder.queries.groups import require_watch
from recorder.queries.json_output import dumps
from recorder.store.transactions import DatabaseUnavailableError, QueryTimeoutError, reading

_CONTENT_TYPES = {Format.CSV: "text/csv; charset=utf-8; header=present", Format.NDJSON: NDJSON}
_LONGEST_NAME = 100
_AWAY = "database-unavailable"

_log = structlog.get_logger("recorder.api")


def export_response(export: Export[Any]) -> Response:
    """Return an export as a stream, its first part read already: what fails by then is still a problem.

    For HEAD no part is read.

    Raises:
        UnknownGroupError: the group that it is of was never watched.
    """
    here = context()
    if export.taskgroup_id is not None:
        with reading(here.engine) as connection:
            require_watch(connection, export.taskgroup_id)
    if request.method == "HEAD":
        response = Response(iter(()), content_type=_CONTENT_TYPES[export.format])
    elif here.exports.acquire(blocking=False):
        response = _stream(export, here)
    else:
        return problem("too-many-exports", f"{MOST_EXPORTS} exports are being read; ask again later")
    response.headers["Content-Disposition"] = f'attachment; filename="{_file_name(export)}"'
    return response


def _stream(export: Export[Any], here: Context) -> Response:
    """Return an export that has a place, which it gives back once it was read or nobody reads it any more."""
    with ExitStack() as held:
        held.callback(here.exports.release)
        parts = held.enter_context(closing(export.parts(here.engine)))
        begun = list(islice(parts, 1))
        place = held.pop_all()
    rest = _rest(parts, export, request.path)
    response = Response(_sent(begun, rest, place), content_type=_CONTENT_TYPES[export.format])
    response.call_on_close(place.close)
    return response


def _sent(begun: list[bytes], rest: Iterator[bytes], place: ExitStack) -> Iterator[bytes]:
    with place:
        yield from begun
        yield from rest


def _rest(parts: Generator[bytes, None, None], export: Export[Any], path: str) -> Iterator[bytes]:
    try:
        yield from parts
    except DatabaseUnavailableError as error:
        _log.error("an export broke off", path=path, error=str(error))
        yield _broken_off(export, "query-timeout" if isinstance(error, QueryTimeoutError) else _AWAY)
    except Exception as error:
        _log.error("an export broke off", path=path, exc_info=error)
        yield _broken_off(export, "internal-error")


def _broken_off(export: Export[Any], kind: str) -> bytes:
    """The last line of what is incomplete: the server ends a stream in order whatever is raised.

    In a CSV it has a cell too many, so that readers of tables complain of it.
    """
    status, title, _ = PROBLEMS[kind]
    words = "the export broke off here and is incomplete"
    if export.format is Format.CSV:
        return csv_line([cell(f"{words}: {kind}"), *("" for _ in export.view.c)]).encode()
    line = {"type": f"/docs/problems#{kind}", "title": title, "status": status.value, "detail": words}
    return dumps(line) + b"\n"


def _file_name(export: Export[Any]) -> str:
    """Ids may hold what a header or a file system does not take."""
    stem = export.name if export.taskgroup_id is None else f"{export.name}-{export.taskgroup_id}"
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', stem)[:_LONGEST_NAME]}.{export.format}"
