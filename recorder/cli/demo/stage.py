"""The demo's folder, database and ports, and the processes that use them."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import click
import httpx
from sqlalchemy import URL

from recorder.cli.common import opened_database
from recorder.cli.demo.cast import Client, Role, roles
from recorder.clock import utc_now
from recorder.ledger.transitions import Rules
from recorder.processes import Child, Children
from recorder.store.demo_mark import DEMO_ACTOR
from recorder.store.engine import check_url
from recorder.store.enrolment import watch_group
from recorder.store.migrate import upgrade

POLL_INTERVAL_SECONDS = 1
GAP_GRACE_SECONDS = 2
OUTAGE_START_SECONDS, OUTAGE_END_SECONDS, OUTAGE_STATUS = 9, 15, 503
SPEED = "10"
_READY_SECONDS = 30.0

_RULES = Rules(timedelta(seconds=GAP_GRACE_SECONDS), timedelta(seconds=900), None)


class StoppedEarlyError(Exception):
    """The demo was asked to stop before everything had started."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo runs; `log` has the output of its processes.

    `started` is when the simulator began to answer, by `time.monotonic`.
    """

    folder: Path
    simulator_url: str
    api_url: str
    started: float = 0.0

    @property
    def database(self) -> Path:
        return self.folder / "recorder.db"

    @property
    def database_url(self) -> URL:
        return check_url(f"sqlite:///{self.database}")

    @property
    def log(self) -> Path:
        return self.folder / "demo.log"

    def environment(self) -> dict[str, str]:
        """Return the environment of the processes, without any settings of the user."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RECORDER_", "PARALLEL_"))
        }
        return kept | {
            "PARALLEL_API_KEY": "demo",
            "PARALLEL_BASE_URL": self.simulator_url,
            "RECORDER_DATABASE_URL": f"sqlite:///{self.database}",
            "RECORDER_POLL_INTERVAL": str(POLL_INTERVAL_SECONDS),
            "RECORDER_SETTLED_INTERVAL": "3",
            "RECORDER_GAP_GRACE": str(GAP_GRACE_SECONDS),
            "RECORDER_REQUEST_TIMEOUT": "5",
            "RECORDER_RATE": "100",
            "RECORDER_API_PORT": self.api_url.rsplit(":", 1)[1],
        }


@contextmanager
def staged(children: Children, asked: Callable[[], bool]) -> Iterator[Stage]:
    """Create the folder and the database, and start the recorder, the API and the simulator.

    `children` are stopped in the order of their start, so the simulator ends last.

    Raises:
        StoppedEarlyError: `asked` returned true while they were starting.
    """
    folder = Path(tempfile.mkdtemp(prefix="recorder-demo-"))
    simulator_port, api_port = _free_ports(2)
    stage = Stage(folder, f"http://127.0.0.1:{simulator_port}", f"http://127.0.0.1:{api_port}")
    with opened_database(stage.database_url) as engine:
        upgrade(engine)
    env = stage.environment()
    simulate = (
        "simulate",
        "--port",
        str(simulator_port),
        "--seed",
        "7",
        "--speed",
        SPEED,
        "--outage",
        f"{OUTAGE_START_SECONDS}-{OUTAGE_END_SECONDS}:{OUTAGE_STATUS}",
    )
    with stage.log.open("ab") as log:
        children.start("the recorder", "run", env=env, cwd=folder, output=log)
        api = children.start("the API", "serve", env=env, cwd=folder, output=log)
        simulator = children.start("the simulator", *simulate, env=env, cwd=folder, output=log)
    _wait_until_it_answers(stage, simulator, stage.simulator_url, asked)
    stage = replace(stage, started=time.monotonic())
    _wait_until_it_answers(stage, api, f"{stage.api_url}/healthz", asked)
    yield stage


def enrol_all(stage: Stage, client: Client) -> dict[str, Role]:
    """Create the groups at the simulator and watch them; return their roles by id."""
    enrolled = {}
    with opened_database(stage.database_url) as engine:
        for role in roles():
            taskgroup_id = client.create(role)
            watch_group(engine, taskgroup_id, actor=DEMO_ACTOR, note=None, now=utc_now, rules=_RULES)
            enrolled[taskgroup_id] = role
    return enrolled


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(opened.getsockname()[1]) for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def _wait_until_it_answers(stage: Stage, child: Child, url: str, asked: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and not child.ended:
        if asked():
            raise StoppedEarlyError
        try:
            httpx.get(url, timeout=1)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise click.ClickException(f"{child.name} did not start; see {stage.log}")
