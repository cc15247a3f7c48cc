"""The background thread that delivers what the hook has seen, and what earlier processes left behind."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Protocol

import httpx

from recorder.sdk.spool import Record, Spool
from recorder.sdk.tap import Seen

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 60.0
MOST_WAITING = 250_000
"""How many records are kept while the recorder is away."""
_log = logging.getLogger("recorder.sdk")


class UndeliverableError(Exception):
    """The destination cannot take records now; they are kept and offered again."""


class Destination(Protocol):
    """Where records go.

    `name` tells destinations apart. `deliver` takes up to `most_at_once` records, and may be given the same
    ones again; it raises UndeliverableError, and logs which ones are refused for good. The end of the process
    waits `last_words_seconds` for what was just handed over.
    """

    name: str
    most_at_once: int
    last_words_seconds: float

    def deliver(self, records: Sequence[Record]) -> None: ...


class Courier:
    """Takes what was seen without delay; a thread spools it and delivers it, in the order it came."""

    def __init__(self, destination: Destination, spool_folder: Path) -> None:
        self._destination = destination
        self._folder = spool_folder
        self._start()
        atexit.register(self.close)

    def take(self, seen: Seen) -> None:
        """Hand over a response; this only puts it into a queue."""
        if self._pid != os.getpid():
            # A fork has no thread, and its parent delivers what was waiting.
            self._start()
        self._queue.put(seen)

    def flush(self, timeout: float) -> bool:
        """Wait until everything is delivered, for at most `timeout` seconds; return whether it is."""
        deadline = time.monotonic() + timeout
        while self._queue.unfinished_tasks or self._waiting:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def close(self) -> None:
        """End the thread; what is not delivered within a moment stays spooled."""
        atexit.unregister(self.close)
        if self._pid == os.getpid():
            self._queue.put(None)
            self._thread.join(self._destination.last_words_seconds)
            self._complain_of_losses()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._spool = Spool(self._folder)
        self._queue: Queue[Seen | None] = Queue()
        self._waiting: deque[Record] = deque()
        self._unkept: dict[str, None] = {}
        self._ending = False
        self._failures = 0
        self._complaints: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="recorder-sdk", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        others_wait, taken = True, 0
        while True:
            with contextlib.suppress(Exception):
                if self._deliver_waiting() and others_wait and not self._ending:
                    others_wait = not self._deliver_left_behind()
            for _ in range(taken):
                self._queue.task_done()
            if self._ending:
                break
            taken = self._take_in(self._pause() if self._waiting or others_wait else None)
        with contextlib.suppress(Exception):
            self._spool.close()

    def _pause(self) -> float:
        return float(min(FIRST_RETRY_SECONDS * 2 ** min(self._failures, 20), LONGEST_RETRY_SECONDS))

    def _take_in(self, timeout: float | None) -> int:
        """Wait for what is handed over, and write it to the disk before it is delivered, so that it outlives
        this process; return how much it was."""
        records: list[Record] = []
        taken = 0
        try:
            seen = self._queue.get(timeout=timeout)
            while True:
                taken += 1
                if seen is None:
                    self._ending = True
                else:
                    with contextlib.suppress(Exception):
                        records += _records_of(seen)
                seen = self._queue.get_nowait()
        except Empty:
            pass
        if len(self._waiting) + len(records) > MOST_WAITING:
            self._complain(f"more than {MOST_WAITING} groups wait to be delivered; further ones are not kept")
        elif records:
            self._waiting.extend(records)
            try:
                self._spool.append(records)
            except Exception as error:
                self._unkept |= dict.fromkeys(record["taskgroup_id"] for record in records)
                self._complain(f"cannot keep groups on disk until they are delivered: {error}")
        return taken

    def _deliver_waiting(self) -> bool:
        """Deliver what this process has seen; return whether nothing waits any more."""
        had = bool(self._waiting)
        while batch := list(islice(self._waiting, self._destination.most_at_once)):
            if not self._deliver(batch):
                return False
            for _ in batch:
                self._waiting.popleft()
        if had:
            self._unkept.clear()
            self._spool.clear()
        return True

    def _deliver_left_behind(self) -> bool:
        """Deliver what processes that have ended left behind; return whether all of it was."""
        for records, path in self._spool.left_by_others():
            rest = iter(records)
            while batch := list(islice(rest, self._destination.most_at_once)):
                if not self._deliver(batch):
                    return False
            path.unlink(missing_ok=True)
        return True

    def _deliver(self, records: list[Record]) -> bool:
        try:
            self._destination.deliver(records)
        except UndeliverableError as error:
            self._failures += 1
            self._complain(f"the recorder takes no groups now, so they wait: {error}")
            return False
        except Exception:
            if len(records) > 1:
                return all(self._deliver([record]) for record in records)
            _log.exception("%s cannot be delivered because of a bug", records[0].get("taskgroup_id"))
        self._failures = 0
        self._complaints.clear()
        return True

    def _complain_of_losses(self) -> None:
        """Log the groups that were neither delivered nor kept on disk, since nobody else may know them."""
        if self._waiting and self._unkept:
            _log.error("these groups are neither delivered nor on disk: %s", ", ".join(self._unkept))
            self._unkept.clear()

    def _complain(self, message: str) -> None:
        """Log each problem once until a delivery succeeds."""
        if message not in self._complaints:
            self._complaints.add(message)
            _log.warning("%s", message)


def _records_of(seen: Seen) -> list[Record]:
    """Return what a response means: a group to enrol, or a number of runs to expect in one.

    The key is that of the response: however often it is delivered, and by whom, it counts once.
    """
    body = _json(seen)
    if seen.group is None:
        return [{"taskgroup_id": body["taskgroup_id"], "key": _key(body["taskgroup_id"])}]
    group = httpx.URL(f"http://x/{seen.group}").path[1:]
    runs = body.get("run_ids")
    if not isinstance(runs, list) or not runs:
        return []
    return [{"taskgroup_id": group, "add_runs": len(runs), "key": _key(group, *runs)}]


def _key(*ids: Any) -> str:
    return sha256(json.dumps(ids).encode()).hexdigest()


def _json(seen: Seen) -> Any:
    headers = {} if seen.encoding is None else {"content-encoding": seen.encoding}
    return json.loads(httpx.Response(200, headers=headers, content=seen.body).content)
