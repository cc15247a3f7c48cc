"""Recorders that tell a webhook what happens, and a reader of events, for stories about who is told what."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from recorder.clock import utc_now
from recorder.notify.sink_file import read_sink_file
from recorder.store.deliveries import list_sinks
from recorder.store.events import PublishedEvent, read_events
from recorder.store.transactions import reading, writing
from tests.faults.ledgers import read_ledgers
from tests.faults.stage import Stage
from tests.support.event_oracle import expected_events
from tests.support.webhook_receiver import SECRET, Received, Receiver

CLOCK_MADE = ("group.short", "group.overdue")
"""The events of groups that no entry causes."""


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


def told_by(stage: Stage, receiver: Receiver) -> Stage:
    """A stage whose recorders tell a webhook of everything that happens from now on."""
    text = receiver.table("ops")
    (stage.program.folder / "sinks.toml").write_text(text)
    with writing(stage.engine) as connection:
        list_sinks(connection, read_sink_file(text, {"HOOK_SECRET": SECRET}).sinks, utc_now())
    return replace(stage, program=stage.program.using(RECORDER_NOTIFY_FILE="sinks.toml", HOOK_SECRET=SECRET))


def check_told(stage: Stage, follower: Follower, receiver: Receiver) -> dict[str, Counter[str]]:
    """Require that every event is there once, as the ledgers have it, and that the webhook was told of no
    other, and of those of a group in their order. Returns how often the clock made an event of each group."""
    follower.look()
    assert [item.id for item in follower.seen] == list(range(1, len(follower.seen) + 1))
    assert set(receiver.ids) <= set(follower.ids)
    _check_order(receiver)
    of_the_clock = {}
    for group, ledger in read_ledgers(stage.engine).items():
        told = [item.event for item in follower.seen if item.event.taskgroup_id == group]
        found = [(event.type.value, event.subject, event.seq) for event in told]
        assert [one for one in found if one[0] not in CLOCK_MADE] == expected_events(ledger.entries)
        of_the_clock[group] = Counter(kind for kind, _, _ in found if kind in CLOCK_MADE)
    return of_the_clock


def _check_order(receiver: Receiver) -> None:
    first: dict[str, Received] = {}
    for one in receiver.received:
        first.setdefault(one.id, one)
    by_group: dict[str, list[int]] = defaultdict(list)
    for one in first.values():
        by_group[one.data.get("taskgroup_id", "")].append(int(one.id))
    assert all(ids == sorted(ids) for ids in by_group.values())
