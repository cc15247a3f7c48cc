"""`recorder wait`: what it tells, and its exit statuses."""

from __future__ import annotations

import json
import signal
from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Engine

from recorder.cli.output.awaited import AwaitedView
from recorder.clock import utc_now
from recorder.ledger.entries import Action
from recorder.queries.waiting import AwaitedGroups
from recorder.store.enrolment import Deadline, cease_watching
from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.transactions import reading, writing
from tests.support.program import Program
from tests.support.recording import Recording, active, after, settled


@pytest.fixture
def recording(engine: Engine) -> Recording:
    """A group for every outcome that needs no expectations."""
    recording = Recording(engine)
    groups = {
        "done": settled(completed=3),
        "failed": settled(completed=2, failed=1),
        "blocked": {**settled(completed=1), "task_run_status_counts": {"completed": 1, "action_required": 2}},
        "busy": active(running=2, completed=1),
        "stopped": active(running=1),
    }
    for name, status in groups.items():
        recording.watch(name)
        recording.see(name, 1, status)
    cease_watching(
        engine, "stopped", Action.STOPPED, actor="a", note=None, now=lambda: after(2), deadline=Deadline(0)
    )
    return recording


def test_the_exit_status_tells_how_the_groups_ended(program: Program, recording: Recording) -> None:
    for words, status in (
        (["done"], 0),
        (["failed", "done"], 3),
        (["blocked", "failed"], 4),
        (["blocked", "stopped", "done"], 5),
        (["busy", "done", "--timeout", "0"], 6),
        (["busy", "done", "--any"], 0),
        (["busy", "failed", "--timeout", "0"], 3),
    ):
        result = program.run("wait", *words)
        assert (result.status, result.err) == (status, ""), words
    lines = program.run("wait", "failed", "blocked", "stopped").out.splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        "failed: settled: 2 completed, 1 failed",
        "blocked: blocked, some runs require action: 2 action_required, 1 completed",
        "stopped: stopped before it had settled",
    ]


def test_a_settled_group_may_be_short_of_what_is_expected(program: Program, recording: Recording) -> None:
    program.ok("expect", "done", "--runs", "5")
    program.ok("expect", "failed", "--runs", "3")
    result = program.run("wait", "done", "failed")
    assert result.status == 7
    assert "done: settled, short of the runs that were expected (5 expected): 3 completed" in result.out
    assert program.run("wait", "failed").status == 3


def test_it_waits_for_what_is_recorded_meanwhile(program: Program, recording: Recording) -> None:
    with program.start("wait", "busy", "done", "--timeout", "60") as waiting:
        waiting.wait_for("no recorder is running")
        waiting.wait_for("busy: active, 1/3 runs finished")
        recording.see("busy", 11, active(running=1, completed=2))
        waiting.wait_for("busy: active, 2/3 runs finished")
        recording.see("busy", 21, settled(completed=3))
        assert waiting.wait() == 0
        assert "busy: settled, all runs completed: 3 completed" in waiting.printed


def test_whoever_waits_is_told_that_nothing_records(
    program: Program, engine: Engine, recording: Recording
) -> None:
    assert program.run("wait", "busy", "--timeout", "0").err == ""
    told = "no recorder is running; start one with: recorder up, or: recorder run\n"
    assert program.run("wait", "busy", "--timeout", "0.1").err == told
    now = utc_now()
    with writing(engine) as connection:
        beat(connection, Heartbeat("one", "host", 7, now, now, {}, {}))
    assert program.run("wait", "busy", "--timeout", "0.1").err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_not_the_end_of_the_work(
    program: Program, recording: Recording, number: signal.Signals
) -> None:
    with program.start("wait", "busy") as waiting:
        waiting.wait_for("busy: active")
        assert waiting.stop(number) == 1


def test_unknown_groups_are_all_named_at_once(program: Program, recording: Recording) -> None:
    result = program.run("wait", "busy", "nobody", "a b")
    assert (result.status, result.out) == (1, "")
    assert result.complaints == ["Error: 'nobody': was never watched", "Error: 'a b': was never watched"]


def test_the_groups_as_json(program: Program, recording: Recording) -> None:
    result = program.run("wait", "busy", "failed", "--json", "--timeout", "0")
    assert (result.status, result.err) == (3, "")
    items = json.loads(result.out)["items"]
    assert [(item["taskgroup_id"], item["phase"]) for item in items] == [
        ("busy", "active"),
        ("failed", "settled"),
    ]
    with program.start("wait", "busy", "--json") as waiting:
        waiting.wait_for("no recorder is running")
        assert waiting.stop(signal.SIGINT) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("-1", "range x>=0"),
        ("nan", "not a valid number of seconds"),
        ("soon", "not a valid number of seconds"),
    ],
)
def test_a_bad_timeout_is_wrong_usage(bare: Program, words: str, why: str) -> None:
    complaint = bare.run("wait", "a", "--timeout", words).wrong_usage()
    assert "--timeout" in complaint and why in complaint


def test_a_terminal_has_a_bar_of_all_runs_and_a_line_for_each_outcome(
    engine: Engine, recording: Recording
) -> None:
    out = StringIO()
    groups = AwaitedGroups(["busy", "done"], cohort_key=None, gap_window_seconds=30)
    with reading(engine) as connection:
        groups.read(connection, after(2))
    with Progress("{task.description} {task.completed}/{task.total}", console=Console(file=out)) as bar:
        AwaitedView(bar).show(groups, after(2))
    assert out.getvalue().splitlines() == [
        "2026-11-24 12:00:02  done: settled, all runs completed: 3 completed",
        "waiting for 1 of 2 4/6",
    ]
