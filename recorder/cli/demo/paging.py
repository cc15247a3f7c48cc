"""Pages of a table that does not fit on a terminal: turned by time, or by key."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PAGE_SECONDS = 5.0
_KEY = re.compile(r"\x1b\[(?:[ABCD]|[56]~)|.", re.DOTALL)
_STEPS = {
    **dict.fromkeys((" ", "n", "\x1b[C", "\x1b[B", "\x1b[6~"), 1),
    **dict.fromkeys(("b", "p", "\x1b[D", "\x1b[A", "\x1b[5~"), -1),
}
_MOST_BYTES = 1024


class Pager:
    """Which of several pages is shown. It changes every few seconds until a key turns it."""

    def __init__(self, now: float) -> None:
        self._page = 0
        self._turned_at = now
        self.by_hand = False

    def press(self, keys: str) -> None:
        """Turn a page for each key that does: space, n, b, p, the arrows, Page Up and Page Down."""
        for key in _KEY.findall(keys):
            if step := _STEPS.get(key, 0):
                self._page += step
                self.by_hand = True

    def page(self, pages: int, now: float) -> int:
        """Return the page to show at `now` (in seconds, by any clock), from 0."""
        if not self.by_hand and now - self._turned_at >= PAGE_SECONDS:
            self._page, self._turned_at = self._page + 1, now
        self._page %= max(1, pages)
        return self._page


@contextmanager
def pressed_keys() -> Iterator[Callable[[], str]]:
    """Yield a function that returns the keys that were pressed since it was last called.

    There are none where standard input is not a terminal, or is one that another process has now.
    """
    if not _owns_terminal():
        yield lambda: ""
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield lambda: _read(descriptor)
    finally:
        # What is left of the keys must not reach the shell.
        if _owns_terminal():
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _owns_terminal() -> bool:
    """Whether this process may change the terminal: one in the background would be stopped for it."""
    try:
        descriptor = sys.stdin.fileno()
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False


def _read(descriptor: int) -> str:
    ready, _, _ = select.select([descriptor], [], [], 0)
    try:
        return os.read(descriptor, _MOST_BYTES).decode(errors="replace") if ready else ""
    except OSError:
        return ""
