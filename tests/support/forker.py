"""Run commands in forks of a process that has already imported the programs, which makes them start fast.

As a program, it reads one request per line and answers each with one line.
"""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import alembic.config

from recorder.cli.main import main, recorder
from tests.support.databases import upgrade_database

PROGRAMS: dict[str, Callable[[], object]] = {"recorder": main, "alembic": alembic.config.main}
COMMANDS = (
    "archive",
    "checkpoint",
    "completion",
    "db",
    "demo",
    "export",
    "gaps",
    "groups",
    "history",
    "import_",
    "run",
    "serve",
    "simulate",
    "status",
    "token",
    "up",
    "verify",
    "watching",
)
LATE = (
    "psycopg",
    "recorder.store.dialects.postgres_timeouts",
    "rich._emoji_codes",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
"""What commands import once they run."""
WARM_UP = (["watch", "one"], ["groups"], ["status", "one"], ["history", "one"], ["completion"])
RUN_SECONDS = 60


class Forker:
    """The process that forks for each command."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._one_at_a_time = threading.Lock()

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], files: Sequence[Path]
    ) -> int:
        """Run a command, whose first word is one of PROGRAMS, and return its exit status.

        Its standard input, output and error are three files.
        """
        return int(self._ask("run", _command(arguments, folder, environment, files)))

    def start(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], files: Sequence[Path]
    ) -> ForkedProcess:
        """Start a command in a session of its own; the arguments mean what they do in `run`."""
        return ForkedProcess(self, self._ask("start", _command(arguments, folder, environment, files)))

    def poll(self, pid: int) -> int | None:
        """Return the exit status of a started command once it has exited."""
        status: int | None = self._ask("poll", pid)
        return status

    def _ask(self, what: str, about: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one_at_a_time:
            self._process.stdin.write(json.dumps([what, about]) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


@dataclass(slots=True)
class ForkedProcess:
    """A started command, with the methods of `subprocess.Popen` that tests use."""

    forker: Forker
    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.forker.poll(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(0.01)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _command(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], files: Sequence[Path]
) -> dict[str, Any]:
    return {
        "arguments": list(arguments),
        "folder": str(folder),
        "environment": dict(environment),
        "files": [str(file) for file in files],
    }


@contextmanager
def running_forker() -> Iterator[Forker]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.forker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        yield Forker(process)


def _serve_requests() -> None:
    for name in (*(f"recorder.cli.commands.{command}" for command in COMMANDS), *LATE):
        import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        _warm_up(Path(folder))
    # Collections in the children would otherwise copy the memory that they share with this process.
    gc.freeze()
    while line := sys.stdin.readline():
        what, about = json.loads(line)
        print(json.dumps(_ANSWERS[what](about)), flush=True)  # noqa: T201


def _warm_up(folder: Path) -> None:
    """Run some commands, so that children find what the first run of a command would have to prepare."""
    url = f"sqlite:///{folder / 'recorder.db'}"
    upgrade_database(url)
    before = dict(os.environ)
    os.environ["RECORDER_DATABASE_URL"] = url
    printed = io.TextIOWrapper(io.BytesIO())
    with redirect_stdout(printed), redirect_stderr(printed):
        for words in WARM_UP:
            recorder.main(words, standalone_mode=False)
    os.environ.clear()
    os.environ.update(before)


def _run(command: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        signal.alarm(RUN_SECONDS)
        status = _become(**command)
        # An orderly teardown of the loaded modules would take longer than the command itself.
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _start(command: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        os.setsid()
        # Exits as any process does, since it may have threads that keep it from that.
        sys.exit(_become(**command))
    return child


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


_ANSWERS: dict[str, Callable[[Any], int | None]] = {"run": _run, "start": _start, "poll": _poll}


def _become(arguments: list[str], folder: str, environment: dict[str, str], files: list[str]) -> int:
    """Run a command in this process; return its exit status."""
    os.chdir(folder)
    # Warming up has found the folder for temporary files of this process, not that of the command.
    tempfile.tempdir = None
    os.environ.clear()
    os.environ.update(environment)
    # Output and error may be the same file.
    for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_APPEND)):
        os.dup2(os.open(files[number], flags), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = arguments
    status = _run_main(PROGRAMS[arguments[0]])
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _run_main(program: Callable[[], object]) -> int:
    try:
        program()
    except SystemExit as end:
        assert end.code is None or isinstance(end.code, int)
        return (end.code or 0) % 256
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _serve_requests()
