"""`--workers`: several recorders as the processes of one command."""

from __future__ import annotations

import os
import signal

import pytest
from sqlalchemy import Engine

from recorder.ledger.entries import Kind
from recorder.store.heartbeats import heartbeats
from recorder.store.history import HistoryFilter, StatusItem, read_history
from recorder.store.transactions import reading
from tests.support.postgres import free_port
from tests.support.program import QUICK, Program, Running
from tests.support.scripted_upstream import Upstream

ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def _pids(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return [beat.pid for beat in heartbeats(connection)]


def _polls(engine: Engine, taskgroup_id: str) -> int:
    with reading(engine) as connection:
        items = read_history(connection, taskgroup_id, HistoryFilter(kinds=[Kind.STATUS]), 1000)
    return sum(item.content.interval.polls for item in items if isinstance(item.content, StatusItem))


def _wait_for_both(running: Running, engine: Engine) -> list[int]:
    def both() -> list[int] | None:
        pids = _pids(engine)
        return pids if len(pids) == 2 else None

    return running.wait_until(both, "both workers to send heartbeats")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("command", ["run", "up"])
def test_sqlite_takes_one_worker(program: Program, upstream: Upstream, command: str) -> None:
    result = program.using(**upstream.settings).run(command, "--workers", "2")
    assert "SQLite lets one process write at a time" in result.complaint()


@ON_POSTGRESQL
def test_workers_end_together(program: Program, engine: Engine, upstream: Upstream) -> None:
    with program.using(**QUICK, **upstream.settings).start("run", "--workers", "2") as running:
        _wait_for_both(running, engine)
        with running.leaving_no_processes():
            assert running.stop() == 0
    assert _pids(engine) == []


@ON_POSTGRESQL
def test_up_starts_workers_that_share_the_groups(
    program: Program, engine: Engine, upstream: Upstream
) -> None:
    using = program.using(**QUICK, **upstream.settings, RECORDER_API_PORT=str(free_port()))
    groups = [upstream.create(runs=1) for _ in range(6)]
    using.ok("watch", *groups)
    with using.start("up", "--workers", "2") as running:
        _wait_for_both(running, engine)
        running.wait_until(lambda: all(map(upstream.answered, groups)) or None, "all groups to be polled")
        with running.leaving_no_processes():
            assert running.stop() == 0
    assert _pids(engine) == []
    for taskgroup_id in groups:
        # Every response is recorded once, whichever worker received it.
        assert _polls(engine, taskgroup_id) == len(upstream.answered(taskgroup_id))


@ON_POSTGRESQL
def test_a_worker_that_dies_ends_the_others_and_is_named(
    program: Program, engine: Engine, upstream: Upstream
) -> None:
    with program.using(**QUICK, **upstream.settings).start("run", "--workers", "2") as running:
        with running.leaving_no_processes():
            os.kill(_wait_for_both(running, engine)[0], signal.SIGKILL)
            assert running.wait() == 1
        assert "of 2 (recorder run) ended unexpectedly, with exit status -9" in running.printed
