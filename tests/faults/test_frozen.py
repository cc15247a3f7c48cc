"""Recorders and databases that freeze: nothing is written twice, and nobody waits for them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Engine, select

from recorder.store.tables import watches
from recorder.store.transactions import DatabaseUnavailableError, writing
from tests.faults.oracle import Pace
from tests.faults.stage import Stage, check_visits, name_of, play, slow_stage
from tests.support.breakable_postgres import Server, own_server
from tests.support.program import STOP_SECONDS, Program, Running, descendants, wait_until

GROUPS, RUNS = 24, 6
PACE = Pace(poll_interval=0.3, longest_interval=1.8, gap_window=60, request_timeout=2.5)


def frozen_longer_than_its_leases(program: Program, kind: str, url: str) -> None:
    chance = random.Random(kind)
    seconds = partial(chance.uniform, 0.05, 0.4)
    with slow_stage(program, kind, url, PACE, lambda _: seconds()) as (stage, simulator):
        stage.enrol(GROUPS, RUNS)
        one_is_frozen(stage)
        lost = stage.lost()
    check_visits(simulator.visits, GROUPS)
    # Only the polls in flight at the frozen recorder are lost.
    assert set(lost.values()) <= {0, 1}


def one_is_frozen(stage: Stage) -> None:
    with stage.program.start("run") as first, stage.program.start("run") as second:
        both = {name_of(first), name_of(second)}
        stage.wait_for_answers(second, 2)
        first.wait_until(lambda: stage.claims() == both or None, "both to have polls in flight")
        freeze(first, stage.engine)
        left = {name_of(first)}
        second.wait_until(lambda: not stage.claims() & left or None, "its groups to be claimed by the other")
        stage.wait_for_answers(second, 1)
        first.process.send_signal(signal.SIGCONT)
        stage.wait_for_answers(second, 2)
        assert first.stop() == 0 and second.stop() == 0
        assert "errors=0" in first.printed and "errors=0" in second.printed
    assert stage.claims() == set()


def freeze(recorder: Running, engine: Engine) -> None:
    """Freeze a recorder while it is in no transaction; on SQLite, it would hold the only lock for good."""

    def frozen_outside_transactions() -> bool | None:
        recorder.process.send_signal(signal.SIGSTOP)
        try:
            with writing(engine) as connection:
                connection.execute(select(watches).with_for_update(nowait=True))
        except DatabaseUnavailableError:
            recorder.process.send_signal(signal.SIGCONT)
            return None
        return True

    wait_until(frozen_outside_transactions, "the recorder to be in no transaction")


def test_a_recorder_that_wakes_up_after_its_leases_writes_nothing_twice(
    program: Program, databases: dict[str, str]
) -> None:
    play(*(partial(frozen_longer_than_its_leases, program, kind, url) for kind, url in databases.items()))


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Freeze the server with all its sessions; its kernel still accepts what is sent."""
    pids = [server.pid, *descendants(server.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def test_a_recorder_ends_in_time_while_its_database_is_frozen(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    with (
        own_server() as server,
        slow_stage(program, "frozen", server.url, PACE, lambda _: 1.0) as (stage, simulator),
    ):
        program = stage.program.using(
            RECORDER_CHECKPOINT_DIR=str(folder), RECORDER_CHECKPOINT_INTERVAL="1", RECORDER_LOG_FORMAT="json"
        )
        program.ok("db", "upgrade")
        stage.enrol(GROUPS, RUNS)
        with program.start("run") as recorder:
            recorder.wait_for("checkpoint written")
            # Their responses come when they cannot be written any more.
            recorder.wait_until(lambda: simulator.waiting or None, "polls to be in flight")
            with frozen(server):
                recorder.wait_for("database unavailable")
                began = time.monotonic()
                recorder.process.send_signal(signal.SIGTERM)
                status = recorder.wait(STOP_SECONDS)
                assert time.monotonic() - began < STOP_SECONDS
            unwritten = int(recorder.wait_for("unwritten").split('"unwritten": ')[1].split(",")[0])
            assert status == (1 if unwritten else 0)
            assert unwritten > 0
