"""Running the recorder's commands as real processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

_WAIT_SECONDS = 60


def clean_environment(**settings: str) -> dict[str, str]:
    """Return the environment without the settings of whoever runs the tests, and with `settings`."""
    kept = {
        name: text for name, text in os.environ.items() if not name.startswith(("RECORDER_", "PARALLEL_"))
    }
    return {**kept, **settings}


def recorder(folder: Path, env: dict[str, str], *arguments: str) -> str:
    """Run a command to its end, which must be a good one; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "recorder", *arguments],
        check=False,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=_WAIT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Running:
    """A command at work, its output in a file."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self._process = process
        self._output = output

    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def wait_for_output(self, pattern: str) -> str:
        """Wait until it has printed `pattern`; return the first group of it."""
        found: list[str] = []

        def printed() -> bool:
            match = re.search(pattern, self.output())
            found.extend(match.groups() if match else ())
            return match is not None

        wait_until(printed, self)
        return found[0] if found else ""

    def ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        """End it as an operator would; it must end well, and soon."""
        self._process.terminate()
        assert self._process.wait(10) == 0, self.output()

    def kill(self) -> None:
        if not self.ended():
            self._process.kill()
            self._process.wait()


@contextmanager
def running(folder: Path, env: dict[str, str], *arguments: str) -> Iterator[Running]:
    """Start a command and end it with the block, if it still runs then."""
    output = folder / f"{arguments[0]}.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "recorder", *arguments],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    started = Running(process, output)
    try:
        yield started
    finally:
        started.kill()


def wait_until(done: Callable[[], bool], program: Running) -> None:
    """Look again and again until `done()`; fail if the program ends before, or it takes too long."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not done():
        assert not program.ended(), program.output()
        assert time.monotonic() < deadline, f"waited for {_WAIT_SECONDS} s: {program.output()[-2000:]}"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.TransportError:
        return False
