"""A private PostgreSQL server that a test can crash and restart."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.support.postgres import UNPRIVILEGED, running_postgres
from tests.support.program import alive, wait_until

SMALL_DISK_MIB = 100
"""Room for a new server and a little more."""


@dataclass(slots=True)
class Server:
    """The server of the database at `url`: the process `pid`, started by `command` in `folder`."""

    url: str
    pid: int
    command: list[str]
    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def execute(self, *statements: str) -> list[Any]:
        """Run each statement in its own transaction, read-only mode or not; return the last rows."""
        options = "-c default_transaction_read_only=off"
        with psycopg.connect(self.url, autocommit=True, options=options) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def crash(self) -> None:
        """Stop the server immediately, without a checkpoint and without notifying its clients."""
        os.kill(self.pid, signal.SIGQUIT)
        wait_until(lambda: not alive(self.pid) or None, "PostgreSQL to end")

    def start(self) -> None:
        """Restart the server on the same data; it accepts connections once it has recovered."""
        account = pwd.getpwnam(UNPRIVILEGED)
        as_account: dict[str, Any] = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        server = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **(as_account if os.geteuid() == 0 else {}),
        )
        self.started.append(server)
        self.pid = server.pid

    def close(self) -> None:
        for server in self.started:
            server.send_signal(signal.SIGQUIT)
            server.wait(30)


@contextmanager
def small_disk(mebibytes: int = SMALL_DISK_MIB) -> Iterator[Path | None]:
    """Mount a small file system on a new folder for the duration of the block; None if not allowed."""
    folder = tempfile.mkdtemp(prefix="recorder-disk-")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=1777", "tmpfs", folder]
    allowed = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield Path(folder) if allowed else None
    finally:
        if allowed:
            subprocess.run(["umount", "--lazy", folder], check=True)
        Path(folder).rmdir()


@contextmanager
def own_server(parent: Path | None = None) -> Iterator[Server]:
    """Run a private server for the duration of the block, in a folder in `parent`; its commits survive a
    crash."""
    with running_postgres(parent) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER DATABASE postgres SET synchronous_commit = on")
            (data,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        pid = int((Path(data) / "postmaster.pid").read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        server = Server(url, pid, command, Path(f"/proc/{pid}/cwd").readlink())
        try:
            yield server
        finally:
            server.close()
