"""A text stream on which writing never waits, whatever becomes of its reader."""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from collections.abc import Callable

LINES = 1000
"""How many lines may wait to be written."""
DRAIN_SECONDS = 1.0


class LogStream(io.TextIOBase):
    """Hands text over to a thread that writes it to the file descriptor `fd`.

    While its reader hangs, up to LINES lines wait. Further ones are dropped, and so are those that cannot be
    written, as on a full disk. Once writing succeeds again, `report` is called with the number of dropped
    lines; it may write to the stream.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, fd: int, report: Callable[[int], None]) -> None:
        self._fd = fd
        self._report = report
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        data = text.encode(self.encoding, self.errors)
        with self._changed:
            if len(self._waiting) < LINES:
                self._waiting.append(data)
                self._changed.notify_all()
            else:
                self._dropped += data.count(b"\n")
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def fileno(self) -> int:
        return self._fd

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until everything is written, but no longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                data = self._waiting[0]
            written = self._write(data)
            with self._changed:
                self._waiting.popleft()
                if not written:
                    self._dropped += data.count(b"\n")
                dropped = self._dropped if written else 0
                self._dropped -= dropped
                self._changed.notify_all()
            if dropped:
                self._report(dropped)

    def _write(self, data: bytes) -> bool:
        """Write all of `data`, waiting for the reader; return whether that succeeded."""
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            return False
        return True
