"""`recorder run`: records all responses, once or until a signal, and leaves nothing behind."""

from __future__ import annotations

import json
import secrets
import signal
import sqlite3
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from recorder.store.tables import recorders, watches
from tests.support.postgres import free_port
from tests.support.program import QUICK, Program, wait_until
from tests.support.scripted_upstream import Upstream

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def latest(program: Program, taskgroup_id: str) -> dict[str, Any]:
    return dict(json.loads(program.ok("status", taskgroup_id, "--json")))


def runs_seen(program: Program, taskgroup_id: str) -> int | None:
    status = latest(program, taskgroup_id)["status"]
    return None if status is None else int(status["num_task_runs"])


def polls_recorded(program: Program, taskgroup_id: str) -> int:
    page = json.loads(program.ok("history", taskgroup_id, "--json", "--kind", "status", "--limit", "1000"))
    return sum(entry["polls"] for entry in page["items"])


def require_nothing_left_behind(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(select(recorders)).all() == []
        assert {row.owner for row in connection.execute(select(watches))} == {None}
        assert {row.lease_until for row in connection.execute(select(watches))} == {None}


@pytest.mark.parametrize(
    ("database_url", "number"),
    [("sqlite", signal.SIGINT), ("postgresql", signal.SIGTERM)],
    indirect=["database_url"],
)
def test_it_records_all_responses_until_a_signal(
    program: Program, engine: Engine, upstream: Upstream, number: signal.Signals
) -> None:
    program = program.using(**QUICK, **upstream.settings)
    groups = [upstream.create(), upstream.create(runs=2)]
    program.ok("watch", *groups)
    with program.start("run") as recorder:
        recorder.wait_until(lambda: runs_seen(program, groups[1]), "the group to be recorded")
        upstream.add_runs(groups[1], 3)
        recorder.wait_until(lambda: runs_seen(program, groups[1]) == 5 or None, "the change to be recorded")
        assert recorder.stop(number) == 0
    for group in groups:
        answered = upstream.answered(group)
        assert polls_recorded(program, group) == len(answered)
        assert latest(program, group)["status"] == answered[-1]["status"]
    require_nothing_left_behind(engine)


@ON_SQLITE
def test_a_second_signal_is_harmless(program: Program, engine: Engine, upstream: Upstream) -> None:
    program = program.using(**QUICK, **upstream.settings)
    group = upstream.create()
    program.ok("watch", group)
    with program.start("run") as recorder:
        recorder.wait_until(lambda: runs_seen(program, group), "the group to be recorded")
        recorder.process.send_signal(signal.SIGINT)
        recorder.process.send_signal(signal.SIGINT)
        assert recorder.stop(signal.SIGTERM) == 0
    require_nothing_left_behind(engine)


def test_it_stops_while_the_upstream_hangs(bare: Program, upstream: Upstream) -> None:
    """A poll in progress must not delay the exit."""
    with bare.start("simulate", "--port", "0", "--outage", "0-600:hang") as simulator:
        url = simulator.wait_for("simulated upstream at").split()[-1]
        program = bare.using(PARALLEL_API_KEY="k", PARALLEL_BASE_URL=url, RECORDER_REQUEST_TIMEOUT="25")
        program.run("watch", "one")
        with program.start("run") as recorder:
            recorder.wait_until(lambda: is_claimed(bare) or None, "the poll to start")
            assert recorder.stop() == 0


def is_claimed(program: Program) -> bool:
    with sqlite3.connect(program.folder / "recorder.db") as connection:
        ((owner,),) = connection.execute("SELECT owner FROM watches").fetchall()
    connection.close()
    return owner is not None


@ON_POSTGRESQL
def test_it_stops_while_the_database_is_locked(program: Program, engine: Engine, upstream: Upstream) -> None:
    program = program.using(**QUICK, **upstream.settings)
    group = upstream.create()
    program.ok("watch", group)
    with program.start("run") as recorder:
        recorder.wait_until(lambda: len(upstream.answered(group)) or None, "the first poll")
        with engine.begin() as connection:
            # Without this the server would take back the lock before the recorder gives up waiting.
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(text("LOCK TABLE watches IN ACCESS EXCLUSIVE MODE"))
            recorder.wait_for("database unavailable")
            recorder.stop()
        assert "ended" in recorder.printed


@ON_POSTGRESQL
def test_missing_privileges_are_reported_in_one_line(program: Program, engine: Engine) -> None:
    with engine.begin() as connection:
        name = f"nobody_{secrets.token_hex(4)}"
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
    stranger = engine.url.set(drivername="postgresql", username=name).render_as_string(hide_password=False)
    program = program.using(RECORDER_DATABASE_URL=stranger)
    for command in (["groups"], ["watch", "one"], ["status", "one"]):
        assert "permission denied" in program.run(*command).complaint()


def test_the_log_can_be_json(bare: Program, upstream: Upstream) -> None:
    program = bare.using(**QUICK, **upstream.settings, PARALLEL_API_KEY="k", RECORDER_LOG_FORMAT="json")
    program.run("db", "upgrade")
    result = program.run("run", "--once")
    assert result.status == 0
    assert [json.loads(line)["event"] for line in result.complaints]


def test_once_polls_due_groups_and_prints_the_counts(
    program: Program, engine: Engine, upstream: Upstream
) -> None:
    program = program.using(**upstream.settings)
    groups = [upstream.create(), upstream.create(runs=2), upstream.create(runs=1)]
    program.ok("watch", *groups)
    program.ok("pause", groups[2])
    first, second = program.run("run", "--once"), program.run("run", "--once")
    assert (first.status, first.out) == (0, "2 polled, 0 failed, 2 written\n")
    assert (second.status, second.out) == (0, "0 polled, 0 failed, 0 written\n")
    assert [len(upstream.answered(group)) for group in groups] == [1, 1, 0]
    require_nothing_left_behind(engine)


@ON_SQLITE
@pytest.mark.parametrize("trouble", ["unknown group", "wrong key", "connection refused"])
def test_once_fails_if_the_upstream_does(
    program: Program, engine: Engine, upstream: Upstream, trouble: str
) -> None:
    program = program.using(**upstream.settings)
    if trouble == "wrong key":
        program = program.using(PARALLEL_API_KEY="another")
    if trouble == "connection refused":
        program = program.using(PARALLEL_BASE_URL=f"http://127.0.0.1:{free_port()}")
    group = "unknown" if trouble == "unknown group" else upstream.create()
    program.ok("watch", group)
    result = program.run("run", "--once")
    assert (result.status, result.out) == (1, "1 polled, 1 failed, 0 written\n")
    require_nothing_left_behind(engine)


@ON_SQLITE
def test_it_keeps_running_while_the_upstream_is_unreachable(program: Program, upstream: Upstream) -> None:
    program = program.using(**QUICK, PARALLEL_BASE_URL=f"http://127.0.0.1:{free_port()}")
    program.ok("watch", "--exact", "one")
    with program.start("run") as recorder:
        assert "unreachable" in recorder.wait_for("polls are failing")
        assert recorder.stop() == 0


@ON_POSTGRESQL
def test_groups_are_watched_and_paused_while_it_runs(
    program: Program, engine: Engine, upstream: Upstream
) -> None:
    program = program.using(**QUICK, **upstream.settings)
    first, second = upstream.create(), upstream.create()
    program.ok("watch", first)
    with program.start("run") as recorder:
        recorder.wait_until(lambda: runs_seen(program, first), "the first group to be recorded")
        program.ok("pause", first)
        program.ok("watch", second)
        recorder.wait_until(lambda: runs_seen(program, second), "the second group to be recorded")
        assert recorder.stop() == 0
    kinds = [entry["kind"] for entry in json.loads(program.ok("history", first, "--json"))["items"]]
    assert kinds == ["watch", "status", "watch"]


@ON_POSTGRESQL
def test_two_recorders_share_a_database(program: Program, engine: Engine, upstream: Upstream) -> None:
    program = program.using(**QUICK, **upstream.settings)
    groups = [upstream.create() for _ in range(6)]
    program.ok("watch", *groups)
    with program.start("run") as one, program.start("run") as other:

        def all_seen_often() -> bool | None:
            return all(polls_recorded(program, group) > 2 for group in groups) or None

        wait_until(all_seen_often, "every group to be polled three times")
        assert (one.stop(), other.stop()) == (0, 0)
    for group in groups:
        assert polls_recorded(program, group) == len(upstream.answered(group))
    require_nothing_left_behind(engine)
