"""Child processes: start them, watch them, and stop them in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Sent by Ctrl-C, by service managers, and by a terminal that is closed."""
STOP_SECONDS = 9.0
_PARENT_CHECK_SECONDS = 0.5
_CHILD_CHECK_SECONDS = 0.1


def end_with_parent() -> None:
    """Send SIGTERM to this process as soon as its parent has ended.

    A parent that is killed cannot stop its children, which would keep running and occupy their ports.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


@dataclass(frozen=True, slots=True)
class Child:
    """A command of this program in a process of its own; `name` is for messages."""

    name: str
    process: subprocess.Popen[bytes]

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None


class Children:
    """The children of one command, in the order in which to stop them."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(
        self,
        name: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        output: IO[bytes] | None = None,
    ) -> Child:
        """Start `recorder ARGUMENTS` with its output going to `output` (None: to this process's own)."""
        # In its own session, so that Ctrl-C reaches only this process, which stops the children in order.
        process = subprocess.Popen(  # noqa: S603 (this program)
            [sys.executable, "-m", "recorder.cli.child", *arguments],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        child = Child(name, process)
        self._children.append(child)
        return child

    def ended(self) -> Child | None:
        """Return a child that has ended, None while all are running."""
        return next((child for child in self._children if child.ended), None)

    def stop(self) -> None:
        """Stop all in order: each gets SIGTERM and time to end, then it and its descendants are killed."""
        self._end(time.monotonic() + STOP_SECONDS)

    def stop_together(self) -> None:
        """Stop all at once, as `stop` does one after the other."""
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children:
            child.process.terminate()
        self._end(deadline)

    def _end(self, deadline: float) -> None:
        for child in self._children:
            with suppress(subprocess.TimeoutExpired):
                child.process.terminate()
                child.process.wait(max(0.5, deadline - time.monotonic()))
            with suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether this process has received a signal to stop."""
    asked = False

    def ask(_number: int, _frame: object) -> None:
        nonlocal asked
        asked = True

    before = {number: signal.signal(number, ask) for number in STOP_SIGNALS}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_while(children: Children, keep_waiting: Callable[[], bool]) -> Child | None:
    """Wait while `keep_waiting` holds and all children run; return the child that ended, None if none did."""
    while keep_waiting():
        ended = children.ended()
        if ended is not None:
            return ended
        time.sleep(_CHILD_CHECK_SECONDS)
    return None
