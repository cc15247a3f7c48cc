"""If the upstream sends the API key back, neither the key nor the body is stored or shown anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, select, text

from recorder.clock import utc_now
from recorder.store.tables import entries, watches
from tests.support.forker import Forker
from tests.support.program import KEY, Program
from tests.support.stub_server import OK, response

TAIL = "the-tail-of-a-body"

Echo = Callable[[str], bytes]


def _long_message(key: str) -> str:
    return f"the key {key} is {'x' * 300} {TAIL}"


ECHOES: dict[str, Echo] = {
    "a-message": lambda key: response("402 Payment Required", {"detail": _long_message(key)}).data,
    "another-message": lambda key: (
        response("500 No", {"error": {"message": _long_message(key.upper())}}).data
    ),
    "a-list": lambda key: response("422 No", {"detail": [{"msg": f"{key[:11]}\n{key[11:]}"}]}).data,
    "a-phrase": lambda key: response(f"503 {_long_message(key)}", b"").data,
    "a-page": lambda key: response("503 No", f"<html>{_long_message(key)}</html>".encode()).data,
    "a-page-with-200": lambda key: response("200 OK", f"<html>{_long_message(key)}</html>".encode()).data,
    "a-location": lambda key: (
        response("302 Found", b"", f"Location: http://{key}/?{_long_message(key)}").data
    ),
    "headers": lambda key: response("500 No", b"", f"X-Api-Key: {key}", f"Set-Cookie: {key} and more=1").data,
    "a-retry-after": lambda key: response("429 No", b"", f"Retry-After: {key}").data,
    "an-encoding": lambda key: response("200 OK", b"", f"Content-Encoding: {key}").data,
    "a-duplicate": lambda key: (
        response("200 OK", f'{{"{"x" * 60}{key}": 1, "{"x" * 60}{key}": 2}}'.encode()).data
    ),
    "garbage": lambda key: f"{key} {TAIL}\r\n\r\n".encode(),
}
ECHOED = {"a-message", "another-message", "a-list", "a-phrase", "a-duplicate"}
"""The echoes of which a redacted part appears in the failure's detail."""


class EchoServer(ThreadingHTTPServer):
    """Responds with the echo that the group's id names, or with a group once it is `healthy`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.healthy = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: EchoServer

    def do_GET(self) -> None:
        echo = ECHOES.get(self.path.rpartition("/")[2], unauthorized)
        self.wfile.write(OK.data if self.server.healthy.is_set() else echo(self.headers["x-api-key"]))

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def unauthorized(key: str) -> bytes:
    return response("401 Unauthorized", {"detail": _long_message(key)}).data


@pytest.fixture
def upstream() -> Iterator[EchoServer]:
    with EchoServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def program(tmp_path: Path, forker: Forker, database_url: str, upstream: EchoServer) -> Program:
    quick = {"POLL_INTERVAL": "1", "MAX_INTERVAL": "6", "GAP_GRACE": "3", "RATE": "500"}
    settings = {f"RECORDER_{name}": text for name, text in quick.items()}
    settings["RECORDER_DATABASE_URL"] = database_url
    return Program(tmp_path, forker, {"PARALLEL_API_KEY": KEY, "PARALLEL_BASE_URL": upstream.url, **settings})


def everything_stored(engine: Engine, folder: Path) -> str:
    """Return every row of every table and view, and every file, including the program's output."""
    inspector = inspect(engine)
    with engine.connect() as connection:
        rows = [
            str(connection.execute(text(f'SELECT * FROM "{name}"')).all())
            for name in inspector.get_table_names() + inspector.get_view_names()
        ]
    files = [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    return "\n".join(rows + files)


def require_hidden(printed: str) -> None:
    """Require that a text has neither the end of a body nor a long piece of the key, in any case."""
    pieces = {KEY[start : start + 8].lower() for start in range(len(KEY) - 7)}
    found = [piece for piece in [TAIL, *pieces] if piece in printed.lower()]
    assert found == []


@pytest.mark.parametrize(
    ("database_url", "log_format"), [("sqlite", "console"), ("postgresql", "json")], indirect=["database_url"]
)
def test_an_echo_of_the_key_is_stored_nowhere(
    program: Program, engine: Engine, upstream: EchoServer, log_format: str
) -> None:
    def groups_in_a_gap() -> dict[str, str] | None:
        now = utc_now()
        with engine.connect() as connection:
            rows = connection.execute(select(watches)).all()
        in_gap = {row.taskgroup_id: row.failures for row in rows if row.failures and row.gap_at < now}
        return in_gap if in_gap.keys() == ECHOES.keys() else None

    def all_gaps_written() -> bool | None:
        with engine.connect() as connection:
            gaps = connection.execute(select(entries).where(entries.c.kind == "gap")).all()
        return len(gaps) == len(ECHOES) or None

    with program.using(RECORDER_LOG_FORMAT=log_format).start("run") as recorder:
        recorder.wait_for("recording")
        program.ok("watch", "--exact", *ECHOES)
        failures = recorder.wait_until(groups_in_a_gap, "every group to be in a gap")
        recorder.wait_for("polls are failing")
        require_hidden(everything_stored(engine, program.folder))
        upstream.healthy.set()
        recorder.wait_until(all_gaps_written, "every gap to be written")
        assert recorder.stop() == 0
    assert {group for group, tallies in failures.items() if "[redacted]" in tallies} == ECHOED
    require_hidden(everything_stored(engine, program.folder))
    require_hidden("".join(program.ok(*command) for command in [("groups", "--json"), ("gaps", "a-message")]))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_rejected_key_is_reported_without_the_key(program: Program, engine: Engine) -> None:
    program.ok("watch", "--exact", "one", "two", "three")
    with program.using(RECORDER_LOG_FORMAT="json").start("run") as recorder:
        line = recorder.wait_for("the upstream rejects the API key")
        recorder.wait_for("polls are failing")
        require_hidden(everything_stored(engine, program.folder))
        assert recorder.stop() == 0
    assert "401 Unauthorized: the key [redacted] is xxx" in line
    require_hidden(everything_stored(engine, program.folder))
