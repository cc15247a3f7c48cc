"""Exports over HTTP."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from functools import partial
from itertools import chain, islice
from tempfile import TemporaryFile
from typing import Any

import structlog
from flask import Response, request

from api.context import MOST_EXPORTS, Context, context
from api.errors import problem
from api.exports.batches import PART_BYTES, Export
from api.exports.csv import cell, csv_line
from api.problem_kinds import PROBLEMS
from recorder.queries.formats import NDJSON, Format
from recorder.queries.json_output import ndjson_line
from recorder.store.transactions import DatabaseUnavailableError, QueryTimeoutError

_CONTENT_TYPES = {Format.CSV: "text/csv; charset=utf-8; header=present", Format.NDJSON: NDJSON}
_LONGEST_NAME = 100
_UNAVAILABLE = "database-unavailable"
_WITHOUT_CHUNKS = ("HTTP/1.0", "HTTP/1")
"""HTTP/1.0, which Granian calls HTTP/1."""

_log = structlog.get_logger("recorder.api")


def export_response(export: Export[Any]) -> Response:
    """Return an export as a stream. Its first part is read at once, so that errors until then are problems.

    Nothing is read for HEAD.
    """
    here = context()
    if request.method == "HEAD":
        response = Response(iter(()), content_type=_CONTENT_TYPES[export.format])
    elif here.exports.acquire(blocking=False):
        response = _stream(export, here)
    else:
        return problem("too-many-exports", f"{MOST_EXPORTS} exports are in progress; try again later")
    response.headers["Content-Disposition"] = f'attachment; filename="{_file_name(export)}"'
    if export.total is not None:
        response.headers["X-Total-Items"] = str(export.total)
    return response


def _stream(export: Export[Any], here: Context) -> Response:
    """Stream an export, and release its slot when it has been read or the client is gone."""
    length = None
    with ExitStack() as resources:
        resources.callback(here.exports.release)
        parts = resources.enter_context(closing(export.parts(here.engine)))
        begun = list(islice(parts, 1))
        sent = chain(begun, _rest(parts, export, request.path))
        if request.environ.get("SERVER_PROTOCOL") in _WITHOUT_CHUNKS:
            # The end of the connection is the end of such a response: without a length, a cut goes unseen.
            spool = resources.enter_context(TemporaryFile())
            spool.writelines(sent)
            length = spool.tell()
            spool.seek(0)
            sent = chain(iter(partial(spool.read, PART_BYTES), b""))
        slot = resources.pop_all()
    response = Response(_until_sent(sent, slot), content_type=_CONTENT_TYPES[export.format])
    response.call_on_close(slot.close)
    if length is not None:
        response.content_length = length
    return response


def _until_sent(parts: Iterator[bytes], slot: ExitStack) -> Iterator[bytes]:
    with slot:
        yield from parts


def _rest(parts: Generator[bytes, None, None], export: Export[Any], path: str) -> Iterator[bytes]:
    try:
        yield from parts
    except DatabaseUnavailableError as error:
        _log.error("an export was interrupted", path=path, error=str(error))
        yield _interruption(export, "query-timeout" if isinstance(error, QueryTimeoutError) else _UNAVAILABLE)
    except Exception as error:
        _log.error("an export was interrupted", path=path, exc_info=error)
        yield _interruption(export, "internal-error")


def _interruption(export: Export[Any], kind: str) -> bytes:
    """Return the last line of an incomplete export; the server ends the stream normally whatever is raised.

    In CSV the line has one cell too many, which makes CSV readers reject it.
    """
    status, title, _ = PROBLEMS[kind]
    detail = "the export was interrupted here and is incomplete"
    if export.format is Format.CSV:
        return csv_line([cell(f"{detail}: {kind}"), *("" for _ in export.view.c)]).encode()
    line = {"type": f"/docs/problems#{kind}", "title": title, "status": status.value, "detail": detail}
    return ndjson_line(line)


def _file_name(export: Export[Any]) -> str:
    """Return a file name; characters of the id that headers or file systems may not allow become `_`."""
    stem = export.name if export.taskgroup_id is None else f"{export.name}-{export.taskgroup_id}"
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', stem)[:_LONGEST_NAME]}.{export.format}"
