"""The background thread that delivers what the hook has seen, and what earlier processes left behind."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import threading
import time
import uuid
from collections import deque
from queue import Empty, Queue
from typing import Any, Protocol

import httpx

from recorder.sdk.spool import Record, Spool
from recorder.sdk.tap import Seen

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 60.0
LAST_WORDS_SECONDS = 2.0
"""How long the end of the process waits for what was just handed over."""

_log = logging.getLogger("recorder.sdk")


class UndeliverableError(Exception):
    """The destination cannot take records now; they are kept and offered again."""


class RefusedError(Exception):
    """The destination will never take this record."""


class Destination(Protocol):
    """Where records go; `deliver` raises UndeliverableError or RefusedError."""

    def deliver(self, record: Record) -> None: ...


class Courier:
    """Takes what was seen without delay; a thread spools it and delivers it, in the order it came."""

    def __init__(self, destination: Destination, spool: Spool) -> None:
        self._destination = destination
        self._spool = spool
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
            self._ending = True
            self._queue.put(None)
            self._thread.join(LAST_WORDS_SECONDS)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._queue: Queue[Seen | None] = Queue()
        self._waiting: deque[Record] = deque()
        self._ending = False
        self._failures = 0
        self._complaints: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="recorder-sdk", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        others_wait, taken = True, 0
        while not self._ending:
            with contextlib.suppress(Exception):
                if self._deliver_waiting() and others_wait:
                    others_wait = not self._deliver_left_behind()
            for _ in range(taken):
                self._queue.task_done()
            taken = self._take_in(self._pause() if self._waiting or others_wait else None)
        for _ in range(taken):
            self._queue.task_done()
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
                if seen is not None:
                    with contextlib.suppress(Exception):
                        records += _records_of(seen)
                seen = self._queue.get_nowait()
        except Empty:
            pass
        if records:
            self._waiting.extend(records)
            try:
                self._spool.append(records)
            except Exception as error:
                self._complain(f"cannot keep groups on disk until they are delivered: {error or type(error)}")
        return taken

    def _deliver_waiting(self) -> bool:
        """Deliver what this process has seen; return whether nothing waits any more."""
        had = bool(self._waiting)
        while self._waiting and not self._ending:
            if not self._deliver(self._waiting[0]):
                return False
            self._waiting.popleft()
        if had and not self._waiting:
            self._spool.clear()
        return not self._waiting

    def _deliver_left_behind(self) -> bool:
        """Deliver what processes that have ended left behind; return whether all of it was."""
        for records, path in self._spool.left_by_others():
            if not all(self._deliver(record) for record in records):
                return False
            path.unlink(missing_ok=True)
        return True

    def _deliver(self, record: Record) -> bool:
        try:
            self._destination.deliver(record)
        except UndeliverableError as error:
            self._failures += 1
            self._complain(f"the recorder takes no groups now, which wait on disk: {error}")
            return False
        except RefusedError as error:
            _log.error("the recorder refuses %s: %s", record.get("taskgroup_id"), error)
        except Exception:
            _log.exception("%s cannot be delivered because of a bug", record.get("taskgroup_id"))
        self._failures = 0
        self._complaints.clear()
        return True

    def _complain(self, message: str) -> None:
        """Log each problem once until a delivery succeeds."""
        if message not in self._complaints:
            self._complaints.add(message)
            _log.warning("%s", message)


def _records_of(seen: Seen) -> list[Record]:
    """Return what a response means: a group to enrol, or a number of runs to expect in one."""
    body = _json(seen)
    key = str(uuid.uuid4())
    if seen.group is None:
        return [{"taskgroup_id": body["taskgroup_id"], "key": key}]
    group = httpx.URL(f"http://x/{seen.group}").path[1:]
    runs = body.get("run_ids")
    added = len(runs) if isinstance(runs, list) else 0
    return [{"taskgroup_id": group, "add_runs": added, "key": key}] if added else []


def _json(seen: Seen) -> Any:
    headers = {} if seen.encoding is None else {"content-encoding": seen.encoding}
    return json.loads(httpx.Response(200, headers=headers, content=seen.body).content)
