"""Where groups are enrolled: the recorder's API, or a folder that it takes in."""

from __future__ import annotations

import json
import os
import secrets
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from recorder.sdk.courier import Destination, RefusedError, UndeliverableError
from recorder.sdk.spool import Record

TIMEOUT_SECONDS = 10.0
_MOST_ANSWER = 65536
_REFUSALS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


def destination_of(to: str, token: str | None) -> Destination:
    """Return the destination that `to` names.

    Raises:
        ValueError: `to` cannot be used; the message says why.
    """
    scheme = urlsplit(to).scheme if "://" in to else ""
    if scheme in {"http", "https"}:
        return Api(to, token)
    if token is not None:
        raise ValueError("only the address of an API, http://… or https://…, takes a token")
    if scheme:
        raise ValueError(f"{scheme}:// is neither the address of an API nor a folder")
    return Folder(Path(to))


class Api:
    """The API of a recorder, at `address`."""

    def __init__(self, address: str, token: str | None) -> None:
        if urlsplit(address).hostname is None:
            raise ValueError(f"{address!r} has no host")
        self._groups = f"{address.rstrip('/')}/api/v1/groups"
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._enrolled: set[str] = set()

    def deliver(self, record: Record) -> None:
        taskgroup_id, runs = record["taskgroup_id"], record.get("add_runs")
        if taskgroup_id not in self._enrolled:
            self._post(self._groups, {"taskgroup_id": taskgroup_id}, {})
            self._enrolled.add(taskgroup_id)
        if runs:
            address = f"{self._groups}/{quote(taskgroup_id, safe='')}/expectation"
            self._post(address, {"add_runs": runs}, {"Idempotency-Key": record["key"]})

    def _post(self, address: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            address, json.dumps(body).encode(), {**self._headers, **headers}, method="POST"
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                answer.read(_MOST_ANSWER)
        except urllib.error.HTTPError as error:
            reason = _reason(error)
            if error.code in _REFUSALS:
                raise RefusedError(reason) from None
            raise UndeliverableError(reason) from None
        except (OSError, ValueError) as error:
            raise UndeliverableError(str(error)) from None


class Folder:
    """A folder that `recorder watch --from-file` or a running recorder takes in."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"{folder} cannot be used as a folder: {error.strerror}") from None
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.ndjson"

    def deliver(self, record: Record) -> None:
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        try:
            with self._path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UndeliverableError(str(error)) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token is for this address alone."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _reason(error: urllib.error.HTTPError) -> str:
    """Return what the API says about its refusal, cut to a line."""
    with error:
        try:
            problem = json.loads(error.read(_MOST_ANSWER))
            detail = problem.get("detail") or problem.get("title")
        except (OSError, ValueError, AttributeError):
            detail = None
    return f"{error.code} {str(detail or error.reason)[:300]}"
