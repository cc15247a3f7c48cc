"""`recorder serve` over sockets: what HTTP and the production server make of requests and answers."""

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
from urllib.parse import quote

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
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


class Asker:
    """One connection to a server, which is kept open from request to request."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.connect()
        self._socket = self._connection.sock

    def __call__(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask on the connection; an underscore in a header's name stands for a hyphen."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self._connection.request(method, path, headers=named)
        response = self._connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        assert self._connection.sock is self._socket, "the server closed the connection"
        return answer

    def close(self) -> None:
        self._connection.close()


@contextmanager
def _serving(folder: Path, database_url: str) -> Iterator[int]:
    """A server's port, while the block runs."""
    port = free_port()
    settings = {"RECORDER_DATABASE_URL": database_url, "RECORDER_API_PORT": str(port)}
    with Program(folder, settings=settings).start("serve") as server:
        server.wait_until_it_serves(f"http://127.0.0.1:{port}/healthz")
        yield port
        assert server.stop() == 0


@pytest.fixture(scope="module")
def port(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server over a database with a group for each of the ids, which have different counts."""
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
def ask(port: int) -> Iterator[Asker]:
    with closing(Asker(port)) as asker:
        yield asker


def _path(template: str, taskgroup_id: str) -> str:
    return template.format(quote(taskgroup_id, safe=""))


def _running(number: int) -> int:
    """The count that was last said of the group with that number."""
    return 3 * number + 3


def test_any_id_in_every_path(ask: Asker) -> None:
    for number, taskgroup_id in enumerate(IDS):
        for template in PATHS:
            answer = ask(_path(template, taskgroup_id))
            assert answer.status == 200, (template, taskgroup_id, answer)
            said = answer.said
            assert said.get("taskgroup_id", taskgroup_id) == taskgroup_id
            if said.get("status"):
                assert said["status"]["task_run_status_counts"] == {"running": _running(number)}
        history = ask(
            _path("/api/v1/groups/{}/history?order=desc&kind=watch,status&limit=2", taskgroup_id)
        ).said
        following = ask(history["next"]).said
        seqs = [item["seq"] for item in history["items"] + following["items"]]
        assert seqs == sorted(set(seqs), reverse=True) and (len(seqs), seqs[-1]) == (4, 1)


@pytest.mark.parametrize(
    "taskgroup_id", ["nobody", "y" * 255, "y" * 256, "ü%", "a\0b", "a\nb", "%2E%2E", "\ufffd"]
)
def test_any_unknown_id_in_every_path(ask: Asker, taskgroup_id: str) -> None:
    for template in PATHS:
        answer = ask(_path(template, taskgroup_id))
        assert (answer.status, answer.headers.get_content_maintype()) == (404, "application"), template
        assert answer.said["type"] in {"/docs/problems#unknown-group", "error"}


@pytest.mark.parametrize("mistaken", ["%FF", "%C3%28", "a%2Fb", "%", "%zz", "", ".", "..", "%2E%2E"])
def test_what_is_no_id_is_not_found(ask: Asker, mistaken: str) -> None:
    for template in PATHS[1:]:
        answer = ask(template.format(mistaken))
        assert (answer.status, answer.headers.get_content_maintype()) == (404, "application"), template


@pytest.mark.parametrize("template", [*PATHS, "/api/v1/groups", "/healthz", "/openapi.json"])
def test_head_and_options(ask: Asker, template: str) -> None:
    path = _path(template, IDS[0])
    got, head, options = ask(path), ask(path, "HEAD"), ask(path, "OPTIONS")
    assert (head.status, head.body) == (200, b"")
    assert {*head.headers} == {*got.headers}
    assert head.headers["Content-Length"] == str(len(got.body))
    assert head.headers["ETag"] == got.headers["ETag"]
    assert (options.status, options.body, options.headers["Allow"]) == (204, b"", "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("template", [*PATHS, "/api/v1/groups"])
def test_what_has_not_changed_and_what_is_long(ask: Asker, template: str) -> None:
    path = _path(template, IDS[0])
    got = ask(path)
    again = ask(path, If_None_Match=got.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == got.headers["ETag"]
    packed = ask(path, Accept_Encoding="gzip")
    if len(got.body) >= 1000:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.body) == got.body
    else:
        assert "Content-Encoding" not in packed.headers
        assert packed.body == got.body


def test_the_connection_stays_open_after_every_kind_of_answer(ask: Asker) -> None:
    for method, path, status in (
        *(("GET", "/api/v1/groups", 200), ("HEAD", "/api/v1/groups", 200), ("OPTIONS", "/healthz", 204)),
        *(("GET", "/nowhere", 404), ("HEAD", "/nowhere", 404), ("POST", "/api/v1/groups", 405)),
        *(("GET", "/api/v1/groups?limit=0", 422), ("GET", "/healthz", 200)),
    ):
        assert ask(path, method).status == status, path


def test_many_threads_get_what_they_asked_for(port: int) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        wrong = list(pool.map(lambda number: _ask_often(port, number), range(THREADS)))
    assert wrong == [[]] * THREADS


def _ask_often(port: int, first: int) -> list[Any]:
    """Ask for one group after the other; return the wrong answers."""
    wrong: list[Any] = []
    with closing(Asker(port)) as ask:
        for asked in range(REQUESTS):
            number = (first * 5 + asked) % len(IDS)
            answer = ask(_path("/api/v1/groups/{}/status", IDS[number]))
            right = (IDS[number], {"running": _running(number)})
            said = answer.said
            if (said["taskgroup_id"], said["status"]["task_run_status_counts"]) != right:
                wrong.append((number, answer))
    return wrong


@contextmanager
def _away(database_url: str) -> Iterator[None]:
    """Keep a database from who wants to read it, while the block runs."""
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
def test_a_database_that_goes_away_and_comes_back(
    database_url: str, engine: Engine, recording: Recording, tmp_path: Path
) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1))
    engine.dispose()
    with _serving(tmp_path, database_url) as port, closing(Asker(port)) as ask:
        before = {path: ask(_path(path, "tgrp_1")) for path in (*PATHS, "/api/v1/groups", "/readyz")}
        assert {answer.status for answer in before.values()} == {200}
        with _away(database_url):
            for path in before:
                answer = ask(_path(path, "tgrp_1"))
                assert answer.status == 503, path
                assert int(answer.headers["Retry-After"]) > 0
                assert answer.headers.get_content_maintype() == "application"
            assert ask("/healthz").status == 200
        for path, answer in before.items():
            assert ask(_path(path, "tgrp_1")).body == answer.body
