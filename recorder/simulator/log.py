"""The request log: one line of JSON a request, so that others can check what was answered."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

from recorder.ledger.timestamps import format_time


@dataclass(frozen=True, slots=True)
class SceneMet:
    """The number of a scene in its file, from 1, and what it does."""

    scene: int
    what: str


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request and its answer.

    `at` is when the request was received and `answered_at` when its answer was ready to be sent.
    `path` is as it was sent, `taskgroup_id` the id in it (None where the path has none). `body` is the
    exact text of the answer, None if it is not UTF-8. `answered_at`, `status` and `body` are None where
    there was no whole answer. `fault` is what came instead of the truth, from an outage or a scene; None
    for a true answer. `scenes` are those that it met.
    """

    at: datetime
    answered_at: datetime | None
    method: str
    path: str
    taskgroup_id: str | None
    status: int | None
    body: str | None
    fault: str | None
    scenes: tuple[SceneMet, ...] = ()


class RequestLog:
    """Appends exchanges to a file, each flushed before its answer is sent: who has an answer finds it here.

    Without a path it keeps nothing.

    Raises:
        OSError: the file cannot be opened for appending.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = None if path is None else path.open("a", encoding="utf-8")

    def append(self, exchange: LoggedRequest) -> None:
        if self._file is None:
            return
        line = asdict(exchange)
        line["at"] = format_time(exchange.at)
        line["answered_at"] = None if exchange.answered_at is None else format_time(exchange.answered_at)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
