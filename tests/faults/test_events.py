"""Recorders killed at random times leave every event, once and in one order, and tell a webhook of each."""

from __future__ import annotations

import os
import random
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from recorder.clock import utc_now
from recorder.notify.sink_file import read_sink_file
from recorder.store.deliveries import list_sinks
from recorder.store.enrolment import Deadline, expect_of_group
from recorder.store.events import PublishedEvent, read_events
from recorder.store.transactions import reading, writing
from tests.faults.ledgers import read_ledgers
from tests.faults.oracle import Pace
from tests.faults.stage import Stage, play, quick_stage
from tests.support.event_oracle import expected_events
from tests.support.program import Program
from tests.support.webhook_receiver import SECRET, Received, Receiver, webhook_receiver

SEED = int(os.environ.get("FAULTS_SEED", "20261124"))
KILLS, GROUPS, RUNS = 6, 8, 4
PACE = Pace(poll_interval=0.3, longest_interval=1.8, gap_window=4.5, request_timeout=1.5)


class Follower:
    """Reads events as a client does that keeps the last id it has seen."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.seen: list[PublishedEvent] = []

    @property
    def ids(self) -> list[str]:
        return [str(item.id) for item in self.seen]

    def look(self) -> None:
        with reading(self._stage.engine) as connection:
            last = self.seen[-1].id if self.seen else 0
            self.seen += read_events(connection, after=last, limit=10_000)


CLOCK_MADE = ("group.short", "group.overdue")


def expect_too_much(stage: Stage, group: str) -> None:
    """Expect one run too many of a group, within a moment."""
    now = utc_now()
    expect_of_group(
        *(stage.engine, group, {"runs": RUNS + 1, "by": now}),
        actor="a test",
        note=None,
        now=lambda: now,
        deadline=Deadline(0),
    )


def killed_often(stage: Stage, chance: random.Random, follower: Follower, receiver: Receiver) -> None:
    """Start two recorders and kill both, repeatedly; then let one record until every group is settled."""
    for _ in range(KILLS):
        expect_too_much(stage, stage.enrol(GROUPS, RUNS)[0])
        with ExitStack() as running:
            recorders = [running.enter_context(stage.program.start("run")) for _ in range(2)]
            recorders[0].wait_for("recording")
            for recorder in recorders:
                # Not synchronisation: the kills must come at random times.
                time.sleep(chance.uniform(0, 1))
                follower.look()
                recorder.kill()
    with stage.program.start("run") as recorder:

        def all_settled() -> bool | None:
            follower.look()
            if not set(follower.ids) <= set(receiver.ids):
                return None
            told = Counter(kind for kind, _ in {(i.event.type, i.event.taskgroup_id) for i in follower.seen})
            settled = told["group.settled"] == KILLS * GROUPS
            return (settled and all(told[kind] == KILLS for kind in CLOCK_MADE)) or None

        recorder.wait_until(all_settled, "every group to settle, and everything to be told")
        assert "settled" in recorder.printed
        assert recorder.stop() == 0
    follower.look()


def told_by(stage: Stage, receiver: Receiver) -> Stage:
    """A stage whose recorders tell a webhook of everything that happens from now on."""
    text = receiver.table("ops")
    (stage.program.folder / "sinks.toml").write_text(text)
    with writing(stage.engine) as connection:
        list_sinks(connection, read_sink_file(text, {"HOOK_SECRET": SECRET}).sinks, utc_now())
    return replace(stage, program=stage.program.using(RECORDER_NOTIFY_FILE="sinks.toml", HOOK_SECRET=SECRET))


def check_order(receiver: Receiver) -> None:
    """Require that the webhook was told of the events of each group in their order."""
    first: dict[str, Received] = {}
    for one in receiver.received:
        first.setdefault(one.id, one)
    by_group: dict[str, list[int]] = defaultdict(list)
    for one in first.values():
        by_group[one.data.get("taskgroup_id", "")].append(int(one.id))
    assert all(ids == sorted(ids) for ids in by_group.values())


def story(program: Program, kind: str, url: str) -> None:
    with webhook_receiver() as receiver, quick_stage(program, kind, url, PACE, speed=20) as stage:
        on = told_by(stage, receiver)
        follower = Follower(on)
        killed_often(on, random.Random(f"{SEED}-{kind}"), follower, receiver)
        assert set(receiver.ids) <= set(follower.ids)
        check_order(receiver)
        assert [item.id for item in follower.seen] == list(range(1, len(follower.seen) + 1))
        for group, ledger in read_ledgers(on.engine).items():
            told = [item.event for item in follower.seen if item.event.taskgroup_id == group]
            found = [(event.type.value, event.subject, event.seq) for event in told]
            caused = [happened for happened in found if happened[0] not in CLOCK_MADE]
            assert caused == expected_events(ledger.entries)
            of_the_clock = Counter(kind for kind, _, _ in found if kind in CLOCK_MADE)
            assert of_the_clock in (Counter(), Counter(CLOCK_MADE))


def test_every_event_is_told_once_whatever_dies(program: Program, databases: dict[str, str]) -> None:
    play(*(partial(story, program, kind, url) for kind, url in databases.items()))
