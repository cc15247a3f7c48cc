"""Where groups are enrolled: the recorder's API, its database, or a folder that it takes in."""

from __future__ import annotations

import json
import logging
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from recorder.sdk.courier import Destination, UndeliverableError
from recorder.sdk.database import DATABASE_SCHEMES, Database
from recorder.sdk.spool import Record, lines_of

TIMEOUT_SECONDS = 10.0
_MOST_ANSWER = 4 << 20
_log = logging.getLogger("recorder.sdk")
_REFUSALS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.GONE,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
_NOT_WATCHED = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}


def destination_of(to: str, token: str | None) -> Destination:
    """Return the destination that `to` names.

    Raises:
        ValueError: `to` cannot be used; the message says why.
    """
    if not to.strip():
        raise ValueError("`to` is empty; give the address of an API, the URL of a database, or a folder")
    scheme = urlsplit(to).scheme if "://" in to else ""
    if scheme in {"http", "https"}:
        return Api(to, token)
    if token is not None:
        raise ValueError("only the address of an API, http://… or https://…, takes a token")
    if scheme in DATABASE_SCHEMES:
        return Database(to)
    if scheme:
        raise ValueError(f"{scheme}:// is neither the address of an API nor a database nor a folder")
    return Folder(Path(to))


class Api:
    """The API of a recorder, at `address`."""

    most_at_once = 1000
    """No request may name more groups."""
    last_words_seconds = 2.0

    def __init__(self, address: str, token: str | None) -> None:
        if urlsplit(address).hostname is None:
            raise ValueError(f"{address!r} has no host")
        self.name = address.rstrip("/")
        self._groups = f"{self.name}/api/v1/groups"
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._expected: set[tuple[str, str]] = set()

    def deliver(self, records: Sequence[Record]) -> None:
        """Enrol the groups in one request, then say what is expected of them in one for each record.

        Those that were sent are left out when the same records are offered again.
        """
        self._enrol_all(
            list(dict.fromkeys(one["taskgroup_id"] for one in records if not one.get("add_runs")))
        )
        for record in records:
            place = record["taskgroup_id"], record["key"]
            if record.get("add_runs") and place not in self._expected:
                with _refusals_logged(record["taskgroup_id"]):
                    self._expect(record)
                self._expected.add(place)
        self._expected.clear()

    def _enrol_all(self, groups: Sequence[str]) -> None:
        if len(groups) > 1:
            # Should some be refused, none is enrolled, and they are found one by one.
            with suppress(RefusedError):
                self._post(self._groups, {"items": [{"taskgroup_id": group} for group in groups]}, {})
                return
        for group in groups:
            with _refusals_logged(group):
                self._enrol(group)

    def _expect(self, record: Record) -> None:
        """Add to what is expected; a group that is not watched is enrolled first."""
        group = record["taskgroup_id"]
        address = f"{self._groups}/{quote(group, safe='')}/expectation"
        body, headers = {"add_runs": record["add_runs"]}, {"Idempotency-Key": record["key"]}
        try:
            self._post(address, body, headers)
        except _NotWatchedError:
            self._enrol(group)
            self._post(address, body, headers)

    def _enrol(self, group: str) -> None:
        self._post(self._groups, {"taskgroup_id": group}, {})

    def _post(self, address: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            address, json.dumps(body).encode(), {**self._headers, **headers}, method="POST"
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                answer.read(_MOST_ANSWER)
        except urllib.error.HTTPError as error:
            raise _error_of(error) from None
        except Exception as error:
            # A broken answer raises errors of several modules.
            raise UndeliverableError(f"{self.name}: {_words_of(error)}") from None


class Folder:
    """A folder that `recorder watch --from-file` or a running recorder takes in."""

    most_at_once = 1000
    last_words_seconds = 2.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self.name = str(self._folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"{folder} cannot be used as a folder: {error.strerror}") from None
        self._token = secrets.token_hex(4)

    def deliver(self, records: Sequence[Record]) -> None:
        try:
            # A process that was forked has a file of its own.
            with (self._folder / f"{os.getpid()}-{self._token}.ndjson").open("ab+") as file:
                file.write(_end_of_line(file) + lines_of(records))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UndeliverableError(str(error)) from None


class RefusedError(Exception):
    """The API will never take what it was sent."""


class _NotWatchedError(UndeliverableError):
    """The group is not being watched, so nothing can be expected of it."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token is for this address alone."""

    def redirect_request(self, *_: Any) -> None:
        return None


@contextmanager
def _refusals_logged(group: str) -> Iterator[None]:
    try:
        yield
    except RefusedError as error:
        _log.error("the recorder refuses %s: %s", group, error)


def _end_of_line(file: Any) -> bytes:
    """Return what ends the last line of a file, should a full disk have cut it off."""
    if not file.seek(0, os.SEEK_END):
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"


def _words_of(error: Exception) -> str:
    """Return what went wrong with a request, in the words of the system where it has some."""
    cause = getattr(error, "reason", error)
    words = cause.strerror if isinstance(cause, OSError) else None
    return words or str(cause) or type(cause).__name__


def _error_of(error: urllib.error.HTTPError) -> Exception:
    reason = _reason(error)
    if error.code in _REFUSALS:
        return RefusedError(reason)
    return _NotWatchedError(reason) if error.code in _NOT_WATCHED else UndeliverableError(reason)


def _reason(error: urllib.error.HTTPError) -> str:
    """Return what the API says about its refusal, cut to a line."""
    with error:
        try:
            problem = json.loads(error.read(_MOST_ANSWER))
            detail = problem.get("detail") or problem.get("title")
        except Exception:
            detail = None
    return f"{error.code} {str(detail or error.reason)[:300]}"
