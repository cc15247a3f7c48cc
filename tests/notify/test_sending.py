"""Telling sinks over real sockets, whatever they do."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from recorder.clock import utc_now
from recorder.notify.events import Event, EventType
from recorder.notify.sending import MAX_ANSWER_BYTES, Sender, SinkAnswer, knows_service
from recorder.notify.sink_file import read_sink_file
from recorder.notify.sinks import Sink
from tests.support.postgres import free_port
from tests.support.webhook_receiver import FLOOD, SECRET, Receiver, webhook_receiver

pytestmark = pytest.mark.integration

EVENT = Event(EventType.SETTLED, "1", utc_now(), "tgrp_1", 3, {"taskgroup_id": "tgrp_1", "outcome": "failed"})
QUICK, PATIENT = 0.5, 20.0


def only(text: str, **environment: str) -> Sink:
    found = read_sink_file(text, {"HOOK_SECRET": SECRET, **environment})
    assert found.complaints == ()
    return found.sinks[0]


def send(sink: Sink, seconds: float = PATIENT, event: Event = EVENT) -> SinkAnswer:
    async def scenario() -> SinkAnswer:
        async with Sender(utc_now, seconds) as sender:
            return await sender.send(sink, "17", event)

    return asyncio.run(scenario())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with webhook_receiver() as running:
        yield running


def test_a_webhook_that_takes_it(receiver: Receiver) -> None:
    assert send(only(receiver.table("ops"))) == SinkAnswer()
    (received,) = receiver.received
    assert (received.id, received.type, received.data) == ("17", "group.settled", EVENT.data)


STATUSES = [
    (204, None, False),
    (410, "410 Gone", True),
    (404, "404 Not Found", False),
    (500, "500 Internal Server Error", False),
    (302, "302 Found", False),
    (799, "799", False),
]


@pytest.mark.parametrize(("status", "error", "gone"), STATUSES)
def test_what_a_status_means(receiver: Receiver, status: int, error: str | None, gone: bool) -> None:
    """The receiver's own words, which here are the secret, are not repeated, and a redirect not followed."""
    receiver.answer = lambda _: status
    receiver.redirect = receiver.url if status == 302 else None
    assert send(only(receiver.table("ops"))) == SinkAnswer(error, gone)
    assert len(receiver.received) == 1


def test_a_webhook_that_hangs(receiver: Receiver) -> None:
    end = threading.Event()
    receiver.answer = lambda _: 200 if end.wait(PATIENT) else 500
    assert send(only(receiver.table("ops")), QUICK) == SinkAnswer("no complete answer in time")
    end.set()


def test_a_webhook_that_answers_with_100_mb(receiver: Receiver) -> None:
    receiver.floods = True
    assert send(only(receiver.table("ops"))) == SinkAnswer()
    # What the sockets of both sides hold was sent, too.
    assert receiver.flooded < FLOOD / 4
    assert MAX_ANSWER_BYTES < FLOOD / 1000


def test_a_webhook_that_is_not_there() -> None:
    with webhook_receiver() as receiver:
        text = receiver.table("ops")
    assert send(only(text)) == SinkAnswer("connection refused")


class _Service(ThreadingHTTPServer):
    """A service that Apprise knows: it takes JSON."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ServiceHandler)
        self.status = 200
        self.end = threading.Event()
        self.bodies: list[dict[str, Any]] = []


class _ServiceHandler(BaseHTTPRequestHandler):
    server: _Service

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if self.server.status == 0:
            self.server.end.wait(PATIENT)
        self.send_response(self.server.status or 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def service() -> Iterator[_Service]:
    with _Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.end.set()
        server.shutdown()
        thread.join()


def chat(service: _Service) -> Sink:
    url = f"json://ann:recognisable@127.0.0.1:{service.server_port}/recognisable"
    return only('[[notify]]\nname = "chat"\nurl_env = "CHAT_URL"', CHAT_URL=url)


def test_a_service_gets_words(service: _Service) -> None:
    assert send(chat(service)) == SinkAnswer()
    (told,) = service.bodies
    assert told["title"] == "Group settled: failed"
    assert "tgrp_1" in told["message"]


def test_a_service_is_told_what_has_no_details(service: _Service) -> None:
    rejected = Event(EventType.KEY_REJECTED, "1", utc_now(), None, None, {})
    assert send(chat(service), event=rejected) == SinkAnswer()
    (told,) = service.bodies
    assert told["title"] == "The provider rejects the API key"


def test_a_service_that_refuses(service: _Service, capfd: pytest.CaptureFixture[str]) -> None:
    service.status = 401
    assert send(chat(service)) == SinkAnswer("the service answered 401 Unauthorized")
    assert capfd.readouterr() == ("", "")


def test_a_service_that_is_not_there() -> None:
    url = f"json://ann:recognisable@127.0.0.1:{free_port()}/recognisable"
    sink = only('[[notify]]\nname = "chat"\nurl_env = "CHAT_URL"', CHAT_URL=url)
    assert send(sink) == SinkAnswer("the service cannot be reached")


def test_a_service_that_hangs(service: _Service) -> None:
    service.status = 0
    assert send(chat(service), QUICK) == SinkAnswer("no complete answer in time")


def test_unknown_services(capfd: pytest.CaptureFixture[str]) -> None:
    assert knows_service("mailto://ann:recognisable@example.org")
    assert not knows_service("nosuch://recognisable")
    assert capfd.readouterr() == ("", "")
