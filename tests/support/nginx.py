"""nginx in front of the API, with a configuration that the documentation gives."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError

from tests.support.postgres import free_port
from tests.support.program import wait_until

_PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_ELSEWHERE = 404


@contextmanager
def running_nginx(locations: str, folder: Path) -> Iterator[str]:
    """Run nginx with `locations` of its only server for the duration of the block; yield its address.

    Its files are in `folder`; `access.log` there has the path and the status of each request.
    """
    port = free_port()
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in _TEMPORARY)
    configuration = folder / "nginx.conf"
    configuration.write_text(f"""
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    log_format asked '$request_uri $status';
    access_log {folder}/access.log asked;
    {paths}
    server {{
        listen 127.0.0.1:{port};
        absolute_redirect off;
        {locations}
    }}
}}
""")
    process = subprocess.Popen(
        [_program(), "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(configuration)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(address) or process.poll(), "nginx to start")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _program() -> str:
    found = shutil.which("nginx", path=_PLACES)
    if found is None:
        raise RuntimeError("the tests need nginx: apt-get install nginx")
    return found


def _answers(address: str) -> bool | None:
    try:
        urllib.request.urlopen(f"{address}/outside", timeout=10).close()
    except HTTPError as error:
        return error.code == _ELSEWHERE
    except URLError:
        return None
    return True
