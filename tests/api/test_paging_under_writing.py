"""Reading pages while a recorder writes: no item is skipped or repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Event, Thread
from typing import Any
from urllib.parse import urljoin

import pytest
from sqlalchemy import Engine

from tests.support.api_client import Client, Clock
from tests.support.recording import Recording, active

GROUPS = "/api/v1/groups"
HISTORY = f"{GROUPS}/tgrp_0/history"
INITIAL_GROUPS = 40
"""The number of groups when the first page is read; there are at least half as many entries."""
MAX_STEPS = 25
"""The maximum number of steps that the recorder takes while pages are read."""


class Writer(Thread):
    """Takes steps one after the other until it is stopped or has taken them all."""

    def __init__(self, step: Callable[[int], None]) -> None:
        super().__init__()
        self._step = step
        self._stopped = Event()
        self._written, self._changed = 0, Condition()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for number in range(MAX_STEPS):
                if self._stopped.is_set():
                    break
                self._step(number)
                self._count()
        except Exception as error:
            self.error = error
        finally:
            self._count(MAX_STEPS)

    def _count(self, steps: int = 1) -> None:
        with self._changed:
            self._written += steps
            self._changed.notify_all()

    def wait_for_more(self) -> None:
        """Wait until another step has been written, or no more will be."""
        with self._changed:
            so_far = self._written
            self._changed.wait_for(lambda: self._written > so_far or self._written >= MAX_STEPS)

    def stop(self) -> None:
        self._stopped.set()
        self.join()


@contextmanager
def _writing(step: Callable[[int], None]) -> Iterator[Writer]:
    writer = Writer(step)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()
    assert writer.error is None


def _read(client: Client, address: str, writer: Writer) -> list[dict[str, Any]]:
    """Return the items of all pages; something is written between any two while the writer runs."""
    items: list[dict[str, Any]] = []
    next_url: str | None = address
    while next_url is not None:
        page = client.get(next_url)
        items += page["items"]
        next_url = page["next"] and urljoin(address, page["next"])
        writer.wait_for_more()
    return items


def _see(recording: Recording, number: int) -> None:
    """Record a new status, every third time after a gap."""
    at = number * 100 + (50 if number % 3 == 0 else 0)
    recording.see("tgrp_0", 1 + at, active(running=number + 1))


def _record(engine: Engine) -> None:
    """Record a group with some entries."""
    recording = Recording(engine)
    recording.watch("tgrp_0")
    for number in range(INITIAL_GROUPS // 2):
        _see(recording, number)


@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_growing_history(client: Client, recording: Recording, order: str) -> None:
    initial = len(client.get(f"{HISTORY}?limit=1000")["items"])
    assert initial >= INITIAL_GROUPS // 2
    with _writing(lambda number: _see(recording, INITIAL_GROUPS // 2 + number)) as writer:
        seqs = [item["seq"] for item in _read(client, f"{HISTORY}?limit=3&order={order}", writer)]
    assert len(client.get(f"{HISTORY}?limit=1000")["items"]) > initial
    if order == "asc":
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) > initial
    else:
        assert seqs == list(range(seqs[0], 0, -1))
        assert seqs[0] >= initial


@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_growing_history_with_an_open_gap(
    client: Client, clock: Clock, recording: Recording, order: str
) -> None:
    clock.seconds = 10**6
    with _writing(lambda number: _see(recording, INITIAL_GROUPS // 2 + number)) as writer:
        seqs = [item["seq"] for item in _read(client, f"{HISTORY}?limit=3&order={order}", writer)]
    newest_last = seqs if order == "asc" else seqs[::-1]
    assert newest_last == [*range(1, len(seqs)), None]


@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize("resource", ["gaps?limit=2", "history?kind=gap&limit=2"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_gaps_while_more_are_closed(client: Client, recording: Recording, resource: str, order: str) -> None:
    address = f"{GROUPS}/tgrp_0/{resource}&order={order}"
    initial = [item["seq"] for page in client.pages(address) for item in page["items"]]
    assert len(initial) > 5
    with _writing(lambda number: _see(recording, INITIAL_GROUPS // 2 + number)) as writer:
        seqs = [item["seq"] for item in _read(client, address, writer)]
    assert len(seqs) == len(set(seqs))
    assert seqs == sorted(seqs, reverse=order == "desc")
    assert [seq for seq in seqs if seq <= max(initial)] == initial


def test_groups_while_more_are_enrolled(client: Client, recording: Recording) -> None:
    initial = [f"tgrp_{number}" for number in range(INITIAL_GROUPS)]
    for taskgroup_id in initial:
        recording.watch(taskgroup_id, int(taskgroup_id.partition("_")[2]) // 3)

    def step(number: int) -> None:
        at, taskgroup_id = 100 + number, initial[number * 7 % INITIAL_GROUPS]
        recording.watch(f"later_{number}", at)
        if number % 2:
            recording.see(taskgroup_id, at, active(running=1 + number))
        else:
            recording.pause(taskgroup_id, at)
            recording.watch(taskgroup_id, at + 0.5)

    with _writing(step) as writer:
        shown = [group["taskgroup_id"] for group in _read(client, f"{GROUPS}?limit=3", writer)]
    assert len(shown) == len(set(shown))
    assert [name for name in shown if name in initial] == sorted(
        initial, key=lambda name: (-(int(name.partition("_")[2]) // 3), name)
    )
