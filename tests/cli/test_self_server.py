"""`RECORDER_METRICS_PORT`: a recorder answers by itself, whatever its database does."""

from __future__ import annotations

import socket
import urllib.request
from contextlib import suppress

import pytest

from tests.support.databases import ON_SQLITE
from tests.support.postgres import free_port
from tests.support.program import QUICK, Program, answers
from tests.support.scripted_upstream import Upstream


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return str(answer.read().decode())


def _two_ports() -> int:
    """Return a free port that is followed by another."""
    while True:
        port = free_port()
        with socket.socket() as other, suppress(OSError, OverflowError):
            other.bind(("127.0.0.1", port + 1))
            return port


def test_it_answers_while_the_database_is_waited_for(bare: Program, upstream: Upstream) -> None:
    port, nowhere = free_port(), free_port()
    program = bare.using(
        **{"PARALLEL_API_KEY": "k", **upstream.settings},
        RECORDER_DATABASE_URL=f"postgresql://ann@127.0.0.1:{nowhere}/recorder",
        RECORDER_METRICS_PORT=str(port),
    )
    with program.start("run") as running:
        running.wait_until_it_serves(f"http://127.0.0.1:{port}/healthz")
        assert "recorder_self_database_up 0.0" in _metrics(port)
        running.stop()
    assert not answers(f"http://127.0.0.1:{port}/healthz")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_every_worker_has_a_port_of_its_own(program: Program, upstream: Upstream) -> None:
    port = _two_ports()
    using = program.using(**QUICK, **upstream.settings, RECORDER_METRICS_PORT=str(port))
    with using.start("run", "--workers", "2") as running:
        for each in (port, port + 1):
            running.wait_until(
                lambda each=each: (
                    (
                        answers(f"http://127.0.0.1:{each}/healthz")
                        and "recorder_self_database_up 1.0" in _metrics(each)
                    )
                    or None
                ),
                f"worker at {each}",
            )
        assert running.stop() == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_workers_need_enough_ports(program: Program, upstream: Upstream) -> None:
    using = program.using(**upstream.settings, RECORDER_METRICS_PORT="65534")
    assert "3 workers need one of 65533 or less" in using.run("run", "--workers", "3").complaint()


@ON_SQLITE
def test_a_port_in_use_stops_the_start(program: Program, upstream: Upstream) -> None:
    port = upstream.url.rpartition(":")[2]
    complaint = program.using(**upstream.settings, RECORDER_METRICS_PORT=port).run("run").complaint()
    assert f"on port {port}: Address already in use" in complaint
    assert "RECORDER_METRICS_PORT" in complaint
