"""PgBouncer in transaction mode in front of the tests' PostgreSQL server."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.support.postgres import UNPRIVILEGED, free_port
from tests.support.program import wait_until

SERVERS = 2
"""The number of server connections per database: fewer than the clients have."""
_PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"


@contextmanager
def running_pgbouncer(server: str, *, ignored: str = "", mode: str = "transaction") -> Iterator[str]:
    """Run PgBouncer before the server of a database for the duration of the block; yield the URL through it.

    `ignored` are the start-up parameters that it drops silently; it refuses others that it does not know.
    """
    behind = urlsplit(server)
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="recorder-pgbouncer-"))
    folder.chmod(0o755)
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(f"""
[databases]
* = host={behind.hostname} port={behind.port} user={behind.username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {SERVERS}
max_client_conn = 200
ignore_startup_parameters = {ignored}
""")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [_program(), str(configuration)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **_account(),
        )
    url = server.replace(f":{behind.port}/", f":{port}/")
    try:
        wait_until(lambda: _accepts(url) or process.poll(), "PgBouncer to start")
        assert process.poll() is None, (folder / "log").read_text()
        yield url
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def _program() -> str:
    found = shutil.which("pgbouncer", path=_PLACES)
    if found is None:
        raise RuntimeError("the tests need PgBouncer: apt-get install pgbouncer")
    return found


def _account() -> dict[str, Any]:
    """The options of `subprocess.Popen` that choose the user: it refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam(UNPRIVILEGED)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _accepts(url: str) -> bool | None:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return None
    return True
