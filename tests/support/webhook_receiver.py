"""Receivers of webhooks, which verify requests with the other side's library, and misbehave if asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FLOOD = 100_000_000
_CHUNK = b"x" * 65_536


@dataclass(frozen=True, slots=True)
class Received:
    """A request whose signature is right: its id, and its body's members."""

    id: str
    type: str
    data: dict[str, Any]


@dataclass
class Receiver:
    """A server at `url`; `answer` returns the status to answer a request with, and may block first.

    With `floods`, answers have a body of FLOOD bytes; `flooded` counts those that were sent. `redirect` is
    the location that goes with the status, if any.
    """

    url: str = ""
    answer: Callable[[Received], int] = lambda _: 200
    floods: bool = False
    flooded: int = 0
    redirect: str | None = None
    received: list[Received] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.received]

    def table(self, name: str, more: str = "") -> str:
        """The table of a sink that is this receiver, whose secret is in HOOK_SECRET."""
        return f'[[webhook]]\nname = "{name}"\nurl = "{self.url}"\nsecret_env = "HOOK_SECRET"\n{more}\n'


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        state = self.server.state
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            Webhook(SECRET).verify(body, {name.lower(): value for name, value in self.headers.items()})
        except Exception as error:
            state.problems.append(repr(error))
        members = json.loads(body)
        received = Received(self.headers["webhook-id"], members["type"], members["data"])
        state.received.append(received)
        status = state.answer(received)
        with suppress(ConnectionError):
            self.send_response(status, SECRET)
            if state.redirect is not None:
                self.send_header("Location", state.redirect)
            self.send_header("Content-Length", str(FLOOD if state.floods else 0))
            self.end_headers()
            for _ in range(FLOOD // len(_CHUNK) if state.floods else 0):
                self.wfile.write(_CHUNK)
                state.flooded += len(_CHUNK)

    def do_GET(self) -> None:
        self.server.state.problems.append("a GET")
        self.send_error(405)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, state: Receiver) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = state


@contextmanager
def webhook_receiver() -> Iterator[Receiver]:
    """Run a receiver in a thread for the duration of the block; every request must verify."""
    state = Receiver()
    with _Server(state) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
    assert state.problems == []
