"""The request log: one line of JSON per request, so that tests can check what was served."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

from recorder.ledger.timestamps import format_time


@dataclass(frozen=True, slots=True)
class LoggedScene:
    """The number of a scene in its file, from 1, and the name of its kind."""

    scene: int
    what: str


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request and its response.

    `at` is when the request was received and `answered_at` when its response was ready to be sent. `path`
    is the path as sent by the client, and `taskgroup_id` the id in it, if any. `body` is the exact text of
    the response, None if it is not valid UTF-8. `answered_at`, `status` and `body` are None if there was no
    complete response. `fault` is the fault, from an outage or a scene, that replaced the honest response,
    if any. `scenes` are the scenes that applied.
    """

    at: datetime
    answered_at: datetime | None
    method: str
    path: str
    taskgroup_id: str | None
    status: int | None
    body: str | None
    fault: str | None
    scenes: tuple[LoggedScene, ...] = ()


class RequestLog:
    """Appends requests to a file, each flushed before its response is sent.

    A client that has received a response can rely on finding it here. Without a path nothing is logged.

    Raises:
        OSError: the file cannot be opened for appending.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = None if path is None else path.open("a", encoding="utf-8")

    def append(self, request: LoggedRequest) -> None:
        if self._file is None:
            return
        line = asdict(request)
        line["at"] = format_time(request.at)
        line["answered_at"] = None if request.answered_at is None else format_time(request.answered_at)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
