"""A recorder's own `/metrics` and `/healthz`, which need no database.

They are served by a thread, from before the database is waited for until the recorder has ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from recorder.clock import SteadyClock, steady_seconds
from recorder.polling.worker import Worker
from recorder.polling.write_health import WriteHealth

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

ADDRESS = "127.0.0.1"
HOSTS = ("localhost", ADDRESS)
"""A web page can make a browser ask this server by another name, which is refused."""
STUCK_SECONDS = 30.0
"""A recorder that has done nothing at all for so long is stuck."""
_TICK_SECONDS = 1.0
_REQUEST_SECONDS = 5
"""How long a client may take to send its request."""


class SelfReport(Collector):
    """What a recorder can tell of itself, also before it has started and while its database is away."""

    def __init__(self, steady: SteadyClock = steady_seconds) -> None:
        self._steady = steady
        self._source: tuple[Worker, WriteHealth] | None = None
        self._ticked_at: float | None = None

    @property
    def stuck(self) -> bool:
        """Whether the recorder has started and its event loop has stood still since."""
        return self._ticked_at is not None and self._steady() - self._ticked_at > STUCK_SECONDS

    def tick(self) -> None:
        """Take note that the recorder's event loop runs."""
        self._ticked_at = self._steady()

    @asynccontextmanager
    async def following(self, worker: Worker, health: WriteHealth) -> AsyncIterator[None]:
        """Report on a recorder that runs in this event loop during the block."""

        async def tick() -> None:
            while True:
                self.tick()
                await asyncio.sleep(_TICK_SECONDS)

        self._source = (worker, health)
        ticking = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking
            # What remains to be done has a time limit of its own.
            self._ticked_at = None

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "recorder_self_database_up", "Whether a recorder can write to its database (1) or not (0)."
        )
        if self._source is None:
            up.add_metric([], 0)
            yield up
            return
        worker, health = self._source
        up.add_metric([], int(health.failures == 0))
        yield up
        yield from _counters(worker.counters.as_dict())
        yield from _gauges(worker, health)


def _counters(counts: dict[str, int]) -> Iterator[Metric]:
    polls = CounterMetricFamily("recorder_self_polls", "Number of polls by outcome.", labels=["outcome"])
    polls.add_metric(["answered"], counts["polls"] - counts["failures"])
    entries = CounterMetricFamily(
        "recorder_self_entries_written", "Number of ledger entries written, by kind.", labels=["kind"]
    )
    for name, count in counts.items():
        family, _, label = name.partition(".")
        if label:
            (polls if family == "failures" else entries).add_metric([label], count)
    yield from (polls, entries)
    yield CounterMetricFamily(
        "recorder_self_results_dropped",
        "Number of poll results dropped because the claim was lost.",
        value=counts["dropped"],
    )
    yield CounterMetricFamily("recorder_self_errors", "Number of unexpected errors.", value=counts["errors"])


def _gauges(worker: Worker, health: WriteHealth) -> Iterator[Metric]:
    last_poll, last_write = worker.load.last_poll_at, health.last_write_at
    gauges: dict[str, tuple[str, float | None]] = {
        "polls_in_flight": ("Number of polls that wait for their response.", len(worker.in_flight_since)),
        "results_unwritten": ("Number of results that are not in the database yet.", worker.unwritten),
        "write_failures": (
            "Number of failed writes since the database became unavailable.",
            health.failures,
        ),
        "last_poll_timestamp_seconds": (
            "Time at which the last poll ended.",
            None if last_poll is None else last_poll.timestamp(),
        ),
        "last_write_timestamp_seconds": (
            "Time at which results were last written.",
            None if last_write is None else last_write.timestamp(),
        ),
    }
    for name, (description, value) in gauges.items():
        gauge = GaugeMetricFamily(f"recorder_self_{name}", description)
        if value is not None:
            gauge.add_metric([], value)
        yield gauge


@contextmanager
def serving_report(port: int | None, report: SelfReport) -> Iterator[None]:
    """Serve `report` on a loopback port during the block; without a port, serve nothing.

    Raises:
        OSError: the port cannot be used.
    """
    if port is None:
        yield
        return
    registry = CollectorRegistry()
    registry.register(report)
    ProcessCollector(registry=registry)
    with make_server(ADDRESS, port, _app(report, registry), _Server, _QuietHandler) as server:
        thread = Thread(target=server.serve_forever, name="self-server", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # A probe that is still connected does not keep the recorder from ending.
    block_on_close = False


class _QuietHandler(WSGIRequestHandler):
    timeout = _REQUEST_SECONDS

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        # The default looks up the client's name.
        return str(self.client_address[0])


def _app(
    report: SelfReport, registry: CollectorRegistry
) -> Callable[[WSGIEnvironment, StartResponse], list[bytes]]:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        status, content_type, body = answer(
            environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_HOST", "")
        )
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def answer(method: str, path: str, host: str) -> tuple[str, str, bytes]:
        if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
            return _json("403 Forbidden", {"detail": "ask for localhost or 127.0.0.1"})
        if path not in {"/healthz", "/metrics"}:
            return _json("404 Not Found", {"detail": "there are /healthz and /metrics"})
        if method not in {"GET", "HEAD"}:
            return _json("405 Method Not Allowed", {"detail": "only GET and HEAD are allowed"})
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(registry)
        if report.stuck:
            return _json("503 Service Unavailable", {"status": "stuck"})
        return _json("200 OK", {"status": "ok"})

    return app


def _json(status: str, body: dict[str, str]) -> tuple[str, str, bytes]:
    return status, "application/json", json.dumps(body).encode()
