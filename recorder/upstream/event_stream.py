"""Server-sent events as bytes arrive: only their data, which is all that the upstream uses. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from recorder.ledger.poll_outcome import Cause
from recorder.upstream.error_causes import PollFailedError


class EventReader:
    """Splits a stream into events, as the HTML standard describes it; keeps at most one event in memory.

    An event larger than `max_event_bytes`, or data that is not UTF-8, raises PollFailedError.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._most = max_event_bytes
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._first = True

    @property
    def inside_an_event(self) -> bool:
        """Whether data has come that no event ends yet."""
        return bool(self._rest or self._data)

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the data of each event that ends in `chunk`."""
        # A line break may be cut in two; one of these may be the first half of the other.
        text = self._rest + chunk
        held = text.endswith(b"\r")
        lines = (text[:-1] if held else text).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + (b"\r" if held else b"")
        for line in lines:
            if (data := self._line(line)) is not None:
                yield data
        self._refuse_larger(self._size + len(self._rest))

    def finish(self) -> Iterator[str]:
        """Yield the event that the end of the stream completes: a line break may have waited for its half."""
        if self._rest.endswith(b"\r"):
            yield from self.feed(b"\n")

    def _line(self, line: bytes) -> str | None:
        if self._first:
            self._first, line = False, line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._event()
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
            self._refuse_larger(self._size)
        return None

    def _event(self) -> str | None:
        data, self._data, self._size = self._data, [], 0
        if not data:
            return None
        try:
            return b"\n".join(data).decode()
        except UnicodeDecodeError:
            raise PollFailedError(Cause.MALFORMED, "an event that is not UTF-8") from None

    def _refuse_larger(self, size: int) -> None:
        if size > self._most:
            raise PollFailedError(Cause.TOO_LARGE, f"an event is larger than {self._most} bytes")
