"""Run the real program in separate processes, either to completion or in the background.

The output of every command is checked for the secrets it was given; a leak fails the test.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from tests.support.forker import ForkedProcess, Forker

KEY = "pk-recognisable-7f3a91"
PASSWORD = "pw-recognisable-c04b52"

WAIT_SECONDS = 60
STOP_SECONDS = 10
"""How long a command may take to exit after it is asked to."""
QUICK = {
    "RECORDER_POLL_INTERVAL": "0.2",
    "RECORDER_MAX_INTERVAL": "0.2",
    "RECORDER_SETTLED_INTERVAL": "0.2",
    "RECORDER_GAP_GRACE": "5",
    "RECORDER_REQUEST_TIMEOUT": "5",
}
"""Settings that keep tests of a running recorder fast."""

Process = subprocess.Popen[bytes] | ForkedProcess
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Result:
    """The exit status, standard output and standard error of a command."""

    status: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """The lines on standard error, but for the warning about ids that are shorter than the provider's."""
        return [line for line in self.err.splitlines() if "look like the provider's ids" not in line]

    def complaint(self, status: int = 1) -> str:
        """The single line on standard error of a command that failed with `status` and no other output."""
        assert (self.status, self.out, len(self.complaints)) == (status, "", 1), self
        return self.complaints[0]

    def wrong_usage(self) -> str:
        """The single line on standard error of a command that was used wrongly."""
        return self.complaint(2)


def command_line(*arguments: str, name: str = "recorder") -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def require_clean(text: str) -> str:
    """Return the output of a command after checking that it has no secret and no stack trace."""
    for unwanted in (KEY, PASSWORD, "Traceback", "sqlalche.me"):
        assert unwanted not in text, text
    return text


@dataclass(frozen=True, slots=True)
class Program:
    """`recorder` in a working folder, with the given settings and none from the surrounding environment.

    Without a `forker`, each command has to import the program again. Another `name` is another program.
    """

    folder: Path
    forker: Forker | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    name: str = "recorder"

    def using(self, **settings: str) -> Program:
        """Return a copy with more settings."""
        return replace(self, settings={**self.settings, **settings})

    @property
    def environment(self) -> dict[str, str]:
        outer = {
            name: text for name, text in os.environ.items() if not name.startswith(("RECORDER_", "PARALLEL_"))
        }
        # Recorders of other tests have their own, so none is noticed.
        return {**outer, "TMPDIR": str(self.temporary), **self.settings}

    @property
    def temporary(self) -> Path:
        """The folder for temporary files, which is beside that of the program."""
        folder = self.folder.with_name(f"{self.folder.name}-temporary")
        folder.mkdir(exist_ok=True)
        return folder

    def run(self, *arguments: str, text: str | bytes = b"") -> Result:
        """Run a command to completion, with `text` on its standard input."""
        files = [self.folder.with_name(f"{self.folder.name}-{name}") for name in ("in", "out", "err")]
        for file in files:
            file.write_bytes(b"")
        files[0].write_bytes(text.encode() if isinstance(text, str) else text)
        if self.forker is None:
            status = self._run_process(arguments, files)
        else:
            status = self.forker.run([self.name, *arguments], self.folder, self.environment, files)
        out, err = (require_clean(file.read_text("utf-8")) for file in files[1:])
        return Result(status, out, err)

    def _run_process(self, arguments: Sequence[str], files: Sequence[Path]) -> int:
        stdin, stdout, stderr = files
        with stdin.open("rb") as text, stdout.open("wb") as out, stderr.open("wb") as err:
            return subprocess.run(
                command_line(*arguments, name=self.name),
                check=False,
                stdin=text,
                stdout=out,
                stderr=err,
                cwd=self.folder,
                env=self.environment,
                timeout=WAIT_SECONDS,
            ).returncode

    def ok(self, *arguments: str, text: str = "") -> str:
        """Return the output of a command that must succeed with nothing on standard error."""
        result = self.run(*arguments, text=text)
        assert (result.status, result.complaints) == (0, []), result
        return result.out

    @contextmanager
    def start(self, *arguments: str) -> Iterator[Running]:
        """Start a command in the background; it is killed if it is still running when the block ends."""
        output = self.folder / f"{arguments[0]}-{time.monotonic_ns()}.output"
        output.touch()
        process = self._start_process(arguments, output)
        running = Running(process, output)
        try:
            yield running
        finally:
            running.kill()
        require_clean(running.printed)

    def _start_process(self, arguments: Sequence[str], output: Path) -> Process:
        if self.forker is not None:
            files = Path(os.devnull), output, output
            return self.forker.start([self.name, *arguments], self.folder, self.environment, files)
        with output.open("wb") as file:
            return subprocess.Popen(
                command_line(*arguments, name=self.name),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
            )


@dataclass(frozen=True, slots=True)
class Running:
    """A running command; `output` receives its standard output and standard error."""

    process: Process
    output: Path

    @property
    def printed(self) -> str:
        return self.output.read_text("utf-8")

    def wait_for(self, words: str) -> str:
        """Wait until a line with `words` is printed, and return it."""

        def line() -> str | None:
            return next((line for line in self.printed.splitlines() if words in line), None)

        return self.wait_until(line, f"{words!r} to be printed")

    def wait_until_it_serves(self, url: str) -> None:
        self.wait_until(lambda: answers(url) or None, f"{url} to answer")

    def wait_until(self, look: Callable[[], _T | None], what: str) -> _T:
        """Wait until `look` finds something; fail if the command exits first."""

        def still_looking() -> _T | None:
            found = look()
            assert found is not None or self.process.poll() is None, f"ended: {self.printed}"
            return found

        return wait_until(still_looking, what)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the command to exit without being stopped; return its exit status."""
        return self.process.wait(seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop the command with a signal; return its exit status."""
        self.process.send_signal(number)
        return self.wait()

    def descendants(self) -> list[int]:
        """The ids of all processes started by the command, directly or indirectly."""
        return descendants(self.process.pid)

    def descendant(self, command: str) -> int:
        """The id of the descendant process that runs the given command of the program."""
        return next(pid for pid in self.descendants() if command in _words(pid))

    @contextmanager
    def leaving_no_processes(self) -> Iterator[None]:
        """Require that its child processes exit soon after the command is stopped in the block."""
        started = self.descendants()
        try:
            yield
            wait_until(lambda: not any(map(alive, started)) or None, "its processes to end", STOP_SECONDS)
        finally:
            self.kill_all(started)

    def kill(self) -> None:
        """Kill the command and all processes it has started, if still running."""
        left = [] if self.process.poll() is not None else self.descendants()
        self.process.kill()
        self.process.wait()
        self.kill_all(left)

    @staticmethod
    def kill_all(pids: list[int]) -> None:
        """Kill the processes that are still running."""
        for pid in filter(alive, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def watch_entries(program: Program, taskgroup_id: str) -> list[dict[str, Any]]:
    """The watch entries of a group, in order."""
    page = json.loads(program.ok("history", "--json", "--kind", "watch", "--", taskgroup_id))
    return [entry["watch"] for entry in page["items"]]


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def wait_until(look: Callable[[], _T | None], what: str, seconds: float = WAIT_SECONDS) -> _T:
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.05)
    return found


def descendants(pid: int) -> list[int]:
    parents = {int(entry.name): _stat(int(entry.name))[1] for entry in Path("/proc").glob("[0-9]*")}

    def below(parent: int) -> Iterator[int]:
        for child in (child for child, its_parent in parents.items() if its_parent == str(parent)):
            yield child
            yield from below(child)

    return list(below(pid))


def alive(pid: int) -> bool:
    """Whether a process is running; a zombie is not."""
    return _stat(pid)[0] not in {"Z", "X", ""}


def _words(pid: int) -> list[str]:
    """The command line of a process, as a list of words."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def _stat(pid: int) -> tuple[str, str]:
    """A process's state and its parent's id, both empty if it does not exist."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    return state, parent
