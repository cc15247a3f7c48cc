"""The commands of the page on waiting and sinks do what the page says, in its order."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from api.app import create_app
from recorder.simulator import SimulatorSettings
from recorder.store.events import publish_events
from recorder.store.transactions import writing
from tests.support.databases import ON_SQLITE
from tests.support.forker import Forker
from tests.support.pages import blocks, page, section
from tests.support.program import KEY, Program
from tests.support.recording import Recording, active, settled
from tests.support.simulator import simulating
from tests.support.webhook_receiver import SECRET
from tests.support.wsgi_server import serving

pytestmark = [ON_SQLITE, pytest.mark.integration]

PAGE = page("docs/wait-and-be-told.md")
BLOCKS = blocks(PAGE)
LINES = [line for block in BLOCKS if block.language == "sh" for line in block.code.splitlines()]
(TOML,) = (block.code for block in BLOCKS if block.language == "toml")
(CRON,) = (block.code for block in BLOCKS if not block.language)
(ACTIONS,) = (block.code for block in BLOCKS if block.language == "yaml")
SENSOR = next(block.code for block in BLOCKS if "settled_or_raise" in block.code)
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def program(tmp_path: Path, forker: Forker, database_url: str) -> Program:
    return Program(tmp_path, forker, {"RECORDER_DATABASE_URL": database_url})


def _record(engine: Engine) -> None:
    recording = Recording(engine)
    for group in ("tgrp_1", "tgrp_2"):
        recording.watch(group)
        recording.see(group, 1, active(running=500))
    recording.see("tgrp_1", 9, settled(completed=500))
    with writing(engine) as connection:
        publish_events(connection)


@contextmanager
def _chat() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a service for Apprise, and the messages that it gets."""
    messages: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"json://127.0.0.1:{server.server_port}", messages
    finally:
        server.shutdown()
        server.server_close()


def _carry_out(program: Program, line: str, address: str) -> None:
    """Run a line of the page as a shell would; what follows `&&` if the first command has succeeded."""
    for command in line.split(" && "):
        words = shlex.split(command)
        if words[0] == "recorder" and "--follow" in words:
            with program.start(*words[1:]) as running:
                running.wait_for("group.settled")
                assert running.stop() == 0
        elif words[0] == "recorder":
            result = program.run(*words[1:])
            assert result.status == 0, (command, result.out, result.err)
        elif words[0] == "curl":
            (url,) = (word for word in words if word.startswith(ADDRESS))
            assert httpx.get(url.replace(ADDRESS, address), trust_env=False).json()["items"] is not None
        else:
            assert words[0] in {"echo", "python"}, command


@pytest.mark.ledger(fill=_record)
def test_every_command_works(program: Program, engine: Engine, tmp_path: Path) -> None:
    sinks = tmp_path / "sinks.toml"
    sinks.write_text(TOML)
    with _chat() as (chat, messages), serving(create_app(engine)) as address:
        secrets = {"PIPELINE_SECRET": SECRET, "CHAT_URL": chat, "MAIL_URL": chat}
        here = program.using(RECORDER_NOTIFY_FILE=str(sinks), **secrets)
        for line in LINES:
            _carry_out(here, line, address)
        assert len(messages) == 1
        sensor: dict[str, Any] = {"__name__": "example"}
        exec(compile(SENSOR, "example", "exec"), sensor)
        assert sensor["settled_or_raise"]("tgrp_1", address) is True
        assert sensor["settled_or_raise"]("tgrp_2", address) is False
    for command in re.findall(r"run: (recorder .+)", ACTIONS):
        assert program.run(*shlex.split(command.replace("$GROUP", "tgrp_1"))[1:]).status == 0


def test_recording_once_needs_no_process_that_keeps_running(program: Program, tmp_path: Path) -> None:
    assert "Neither recording nor notifying needs a process" in section(PAGE, "cron")
    _, _, command = CRON.strip().removeprefix("* * * * * ").partition(" && ")
    with simulating(SimulatorSettings(api_key=KEY)) as url:
        here = program.using(PARALLEL_API_KEY=KEY, PARALLEL_BASE_URL=url)
        groups, key = f"{url}/v1beta/tasks/groups", {"x-api-key": KEY}
        here.ok("watch", httpx.post(groups, headers=key, json={}, trust_env=False).json()["taskgroup_id"])
        result = here.run(*shlex.split(command)[1:])
    assert result.status == 0 and "polled" in result.out
    (group,) = json.loads(here.ok("groups", "--json"))["items"]
    assert group["phase"] == "empty"
