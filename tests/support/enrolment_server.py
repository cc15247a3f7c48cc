"""A stand-in for the recorder's enrolment routes, which keeps what it is sent and can be told to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Sent:
    """A request: its path, its JSON body and its headers by lower-case name."""

    path: str
    body: Any
    headers: dict[str, str]


@dataclass
class EnrolmentServer:
    """Answers each request with `status`, and a `location` if there is one; a request that enrols `refused`
    with 422, and one about the group `away` with 503."""

    url: str = ""
    status: int = 201
    location: str | None = None
    refused: str | None = None
    away: str | None = None
    requests: list[Sent] = field(default_factory=list)

    @property
    def bodies(self) -> list[tuple[str, Any]]:
        """What was sent, by the last part of its path."""
        return [(sent.path.rpartition("/")[2], sent.body) for sent in self.requests]


@contextmanager
def enrolment_server(port: int = 0) -> Iterator[EnrolmentServer]:
    """Run the server in a thread for the duration of the block."""
    state = EnrolmentServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.requests.append(Sent(self.path, body, headers))
            answer = json.dumps({"detail": "as it was told"}).encode()
            is_refused = state.refused is not None and state.refused in json.dumps(body)
            is_away = state.away is not None and state.away in self.path
            self.send_response(422 if is_refused else 503 if is_away else state.status)
            if state.location is not None:
                self.send_header("Location", state.location)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
