"""`recorder serve` over sockets, through HTTP and the production server."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import psycopg
import pytest
from sqlalchemy import Engine

from recorder.store.engine import check_url, open_engine
from tests.support.postgres import free_port
from tests.support.program import Program
from tests.support.recording import Recording, active

IDS = [
    *("a b", " leading", "100%", "%2F", "%25", "a%20b", "ä", "日本 😀", "e\u0301", "a.b", "...", ".hidden"),
    *("a+b", "a?b#c", "a;b=c", "a&b", '"\\', "status", "~", "x" * 255, "é" * 255, "😀" * 255),
]
PATHS = [
    *(f"/api/v1/groups/{{}}{resource}" for resource in ("", "/status", "/history", "/completion", "/gaps")),
    *("/api/v1/groups/{}/audit", "/v1/tasks/groups/{}", "/v1beta/tasks/groups/{}"),
]
THREADS, REQUESTS = 8, 200


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class KeepAliveClient:
    """Sends requests over one connection, which the server must keep open."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.connect()
        self._socket = self._connection.sock

    def __call__(self, path: str, method: str = "GET", **headers: str) -> Response:
        """Send a request; underscores in the names of headers stand for hyphens."""
        renamed = {name.replace("_", "-"): text for name, text in headers.items()}
        self._connection.request(method, path, headers=renamed)
        response = self._connection.getresponse()
        received = Response(response.status, response.headers, response.read())
        assert self._connection.sock is self._socket, "the server closed the connection"
        return received

    def close(self) -> None:
        self._connection.close()


@contextmanager
def _serving(folder: Path, database_url: str) -> Iterator[int]:
    """Run a server during the block; yields its port."""
    port = free_port()
    settings = {"RECORDER_DATABASE_URL": database_url, "RECORDER_API_PORT": str(port)}
    with Program(folder, settings=settings).start("serve") as server:
        server.wait_until_it_serves(f"http://127.0.0.1:{port}/healthz")
        yield port
        assert server.stop() == 0


@pytest.fixture(scope="module")
def port(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server whose database has a group for each of `IDS`, with different counts."""
    folder = tmp_path_factory.mktemp("real_server")
    path = folder / "recorder.db"
    shutil.copyfile(sqlite_template, path)
    engine = open_engine(check_url(f"sqlite:///{path}"))
    recording = Recording(engine)
    for number, taskgroup_id in enumerate(IDS):
        recording.watch(taskgroup_id, number)
        for seen in range(3):
            recording.see(taskgroup_id, 100 + 3 * number + seen, active(running=3 * number + seen + 1))
    engine.dispose()
    with _serving(folder, f"sqlite:///{path}") as port:
        yield port


@pytest.fixture
def send(port: int) -> Iterator[KeepAliveClient]:
    with closing(KeepAliveClient(port)) as client:
        yield client


def _path(template: str, taskgroup_id: str) -> str:
    return template.format(quote(taskgroup_id, safe=""))


def _running(number: int) -> int:
    """Return the latest count of the group with that number."""
    return 3 * number + 3


def test_any_id_in_every_path(send: KeepAliveClient) -> None:
    for number, taskgroup_id in enumerate(IDS):
        for template in PATHS:
            response = send(_path(template, taskgroup_id))
            assert response.status == 200, (template, taskgroup_id, response)
            body = response.json
            assert body.get("taskgroup_id", taskgroup_id) == taskgroup_id
            if body.get("status"):
                assert body["status"]["task_run_status_counts"] == {"running": _running(number)}
        address = _path("/api/v1/groups/{}/history?order=desc&kind=watch,status&limit=2", taskgroup_id)
        history = send(address).json
        next_page = send(urljoin(address, history["next"])).json
        seqs = [item["seq"] for item in history["items"] + next_page["items"]]
        assert seqs == sorted(set(seqs), reverse=True) and (len(seqs), seqs[-1]) == (4, 1)


@pytest.mark.parametrize(
    "taskgroup_id", ["nobody", "y" * 255, "y" * 256, "ü%", "a\0b", "a\nb", "%2E%2E", "\ufffd"]
)
def test_any_unknown_id_in_every_path(send: KeepAliveClient, taskgroup_id: str) -> None:
    for template in PATHS:
        response = send(_path(template, taskgroup_id))
        assert (response.status, response.headers.get_content_maintype()) == (404, "application"), template
        assert response.json["type"] in {"/docs/problems#unknown-group", "error"}


@pytest.mark.parametrize("invalid", ["%FF", "%C3%28", "a%2Fb", "%", "%zz", "", ".", "..", "%2E%2E"])
def test_invalid_ids_are_not_found(send: KeepAliveClient, invalid: str) -> None:
    for template in PATHS[1:]:
        response = send(template.format(invalid))
        assert (response.status, response.headers.get_content_maintype()) == (404, "application"), template


@pytest.mark.parametrize("template", [*PATHS, "/api/v1/groups", "/healthz", "/openapi.json"])
def test_head_and_options(send: KeepAliveClient, template: str) -> None:
    path = _path(template, IDS[0])
    got, head, options = send(path), send(path, "HEAD"), send(path, "OPTIONS")
    assert (head.status, head.body) == (200, b"")
    assert {*head.headers} == {*got.headers}
    assert head.headers["Content-Length"] == str(len(got.body))
    assert head.headers["ETag"] == got.headers["ETag"]
    allowed = "GET, HEAD, OPTIONS, POST" if template == "/api/v1/groups" else "GET, HEAD, OPTIONS"
    assert (options.status, options.body, options.headers["Allow"]) == (204, b"", allowed)


@pytest.mark.parametrize("template", [*PATHS, "/api/v1/groups"])
def test_conditional_and_compressed_responses(send: KeepAliveClient, template: str) -> None:
    path = _path(template, IDS[0])
    got = send(path)
    again = send(path, If_None_Match=got.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == got.headers["ETag"]
    compressed = send(path, Accept_Encoding="gzip")
    if len(got.body) >= 1000:
        assert compressed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(compressed.body) == got.body
    else:
        assert "Content-Encoding" not in compressed.headers
        assert compressed.body == got.body


def test_the_connection_stays_open_after_every_kind_of_response(send: KeepAliveClient) -> None:
    for method, path, status in (
        *(("GET", "/api/v1/groups", 200), ("HEAD", "/api/v1/groups", 200), ("OPTIONS", "/healthz", 204)),
        *(("GET", "/nowhere", 404), ("HEAD", "/nowhere", 404), ("POST", "/api/v1/events", 405)),
        *(("GET", "/api/v1/groups?limit=0", 422), ("GET", "/healthz", 200)),
    ):
        assert send(path, method).status == status, path


def test_concurrent_requests_get_their_own_responses(port: int) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        wrong = list(pool.map(lambda number: _send_many(port, number), range(THREADS)))
    assert wrong == [[]] * THREADS


def _send_many(port: int, first: int) -> list[Any]:
    """Request one group after the other; return the wrong responses."""
    wrong: list[Any] = []
    with closing(KeepAliveClient(port)) as send:
        for sent in range(REQUESTS):
            number = (first * 5 + sent) % len(IDS)
            response = send(_path("/api/v1/groups/{}/status", IDS[number]))
            expected = (IDS[number], {"running": _running(number)})
            body = response.json
            if (body["taskgroup_id"], body["status"]["task_run_status_counts"]) != expected:
                wrong.append((number, response))
    return wrong


@contextmanager
def _unavailable(database_url: str) -> Iterator[None]:
    """Make a database unavailable during the block."""
    if database_url.startswith("sqlite"):
        path = Path(database_url.removeprefix("sqlite:///"))
        files = [found for end in ("", "-wal", "-shm") if (found := Path(f"{path}{end}")).exists()]
        for file in files:
            file.rename(file.with_name(f"moved-{file.name}"))
        yield
        for file in files:
            file.with_name(f"moved-{file.name}").rename(file)
    else:
        server, _, name = database_url.rpartition("/")
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            yield
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=["database_url"])
def test_the_server_recovers_with_its_database(
    database_url: str, engine: Engine, recording: Recording, tmp_path: Path
) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1))
    engine.dispose()
    with _serving(tmp_path, database_url) as port, closing(KeepAliveClient(port)) as send:
        before = {path: send(_path(path, "tgrp_1")) for path in (*PATHS, "/api/v1/groups", "/readyz")}
        assert {response.status for response in before.values()} == {200}
        with _unavailable(database_url):
            for path in before:
                response = send(_path(path, "tgrp_1"))
                assert response.status == 503, path
                assert int(response.headers["Retry-After"]) > 0
                assert response.headers.get_content_maintype() == "application"
            assert send("/healthz").status == 200
        for path, response in before.items():
            assert send(_path(path, "tgrp_1")).body == response.body
