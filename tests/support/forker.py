"""Run commands in forks of a process that has already imported the program, which makes them start fast.

As a program, it reads one request per line and prints the exit status of each command.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from recorder.cli import main

LOADED = (
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
RUN_SECONDS = 60


class Forker:
    """The process that forks for each command."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], files: Sequence[Path]
    ) -> int:
        """Run a command with its standard input, output and error in three files; return its exit status."""
        request = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "files": [str(file) for file in files],
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


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
    for name in LOADED:
        import_module(f"recorder.cli.commands.{name}")
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            _become(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


def _become(arguments: list[str], folder: str, environment: dict[str, str], files: list[str]) -> NoReturn:
    signal.alarm(RUN_SECONDS)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, (file, flags) in enumerate(zip(files, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        os.dup2(os.open(file, flags), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = ["recorder", *arguments]
    status = _run_main()
    sys.stdout.flush()
    sys.stderr.flush()
    # An orderly teardown of the loaded modules would take longer than the command itself.
    os._exit(status)


def _run_main() -> int:
    try:
        main()
    except SystemExit as end:
        assert end.code is None or isinstance(end.code, int)
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _serve_requests()
