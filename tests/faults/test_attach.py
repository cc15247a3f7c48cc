"""Groups that programs create with the provider's SDK are enrolled once, and a webhook is told of them, while
the recorder and its API are killed in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import parallel
import pytest
from sqlalchemy import Connection, func, select

from recorder.ledger.entries import Action, WatchChange
from recorder.ledger.status_fields import Phase
from recorder.sdk import attach
from recorder.store.events import has_unpublished
from recorder.store.tables import watches
from recorder.store.transactions import reading
from recorder.tokens import Scope, new_token
from tests.faults.ledgers import Ledger, read_ledgers
from tests.faults.oracle import Pace
from tests.faults.stage import Stage, play, quick_stage
from tests.faults.told import Follower, check_told, told_by
from tests.support.postgres import free_port
from tests.support.program import KEY, Program, Running
from tests.support.webhook_receiver import Receiver, webhook_receiver

PACE = Pace(poll_interval=0.3, longest_interval=1.2, gap_window=4.5, request_timeout=1.5)
SECRET, TOKEN = new_token("batches", Scope.ENROL)
ROUNDS = 2


class Batches:
    """A program that creates groups with the SDK's synchronous or asynchronous client, attached `to`
    something; `added` counts the runs of each group."""

    def __init__(self, provider: str, to: str, added: Counter[str], *, is_async: bool) -> None:
        kind = parallel.AsyncParallel if is_async else parallel.Parallel
        self._client: Any = kind(api_key=KEY, base_url=provider, max_retries=0)
        self._runner = asyncio.Runner()
        self._added = added
        self._attachment = attach(self._client, to=to, token=SECRET if to.startswith("http") else None)

    def create(self) -> None:
        """Create a group with a batch of two runs and one of one."""
        group = self._result(self._client.task_group.create()).task_group_id
        self.add(group, 2)
        self.add(group, 1)

    def add(self, group: str, runs: int) -> None:
        inputs = [{"input": "who?", "processor": "lite"}] * runs
        self._result(self._client.task_group.add_runs(group, inputs=inputs))
        self._added[group] += runs

    def end(self) -> None:
        self._attachment.detach()
        self._result(self._client.close())
        self._runner.close()

    def _result(self, called: Any) -> Any:
        return self._runner.run(called) if asyncio.iscoroutine(called) else called


@contextmanager
def batch_programs(
    stage: Stage, targets: list[str], added: Counter[str], turn: int
) -> Iterator[list[Batches]]:
    """A program for each target; those that are asynchronous in one turn are not in the next."""
    with ExitStack() as ending:
        programs = []
        for number, to in enumerate(targets):
            is_async = (number + turn) % 2 == 1
            programs.append(Batches(stage.upstream.url, to, added, is_async=is_async))
            ending.callback(programs[-1].end)
        yield programs


@contextmanager
def recording(stage: Stage, address: str) -> Iterator[tuple[Running, Running]]:
    """A recorder and an API, which are killed at the end of the block if they still run."""
    with stage.program.start("run") as recorder, stage.program.start("serve") as api:
        recorder.wait_for("recording")
        api.wait_until_it_serves(f"{address}/healthz")
        yield recorder, api


def killed_in_between(stage: Stage, address: str, targets: list[str], added: Counter[str]) -> None:
    """Let programs create groups while the recorder and its API are killed, and while neither is there; what
    the programs could not deliver is left to their next run."""
    for turn in range(ROUNDS):
        with batch_programs(stage, targets, added, turn) as programs:
            with recording(stage, address) as victims:
                for program in programs:
                    program.create()
                for program, victim in zip(programs, victims[:: -1 if turn % 2 else 1], strict=False):
                    program.create()
                    victim.kill()
            for program in programs:
                program.create()


def finish(
    stage: Stage, address: str, targets: list[str], added: Counter[str], receiver: Receiver
) -> Follower:
    """Add a last batch to every group, and let a recorder run until all is settled and told."""
    follower = Follower(stage)
    with recording(stage, address) as (recorder, _):
        with batch_programs(stage, targets, added, ROUNDS) as programs:
            for number, group in enumerate(list(added)):
                programs[number % len(programs)].add(group, 1)

            def enrolled() -> bool | None:
                ledgers = read_ledgers(stage.engine)
                return {one: ledger.watch.expected.runs for one, ledger in ledgers.items()} == added or None

            recorder.wait_until(enrolled, "every group to be enrolled, and its runs expected")

        def all_told() -> bool | None:
            with reading(stage.engine) as connection:
                if done_groups(connection) < len(added) or has_unpublished(connection):
                    return None
            follower.look()
            return set(follower.ids) <= set(receiver.ids) or None

        recorder.wait_until(all_told, "every group to settle, and everything to be told")
        assert recorder.stop() == 0
    return follower


def done_groups(connection: Connection) -> int:
    """How many groups are settled and have as many runs as expected."""
    done = watches.c.phase == Phase.SETTLED.value, watches.c.finished == watches.c.expected_runs
    return connection.scalar(select(func.count()).where(*done)) or 0


def actions(ledger: Ledger) -> Counter[Action]:
    return Counter(entry.content.action for entry in ledger.entries if isinstance(entry.content, WatchChange))


def story(program: Program, kind: str, url: str) -> None:
    with webhook_receiver() as receiver, quick_stage(program, kind, url, PACE, speed=20) as stage:
        folder, port = stage.program.folder / "enrolments", free_port()
        folder.mkdir()
        settings = {
            "RECORDER_ENROL_DIR": str(folder),
            "RECORDER_API_PORT": str(port),
            "RECORDER_API_TOKENS": str(TOKEN),
        }
        on = told_by(stage, receiver)
        on = replace(on, program=on.program.using(**settings))
        address, added = f"http://127.0.0.1:{port}", Counter[str]()
        targets = [address, url, str(folder)]
        killed_in_between(on, address, targets, added)
        follower = finish(on, address, targets, added, receiver)
        ledgers = read_ledgers(on.engine)
        assert {one: ledger.watch.expected.runs for one, ledger in ledgers.items()} == added
        for ledger in ledgers.values():
            found = actions(ledger)
            assert (found[Action.STARTED], found.keys()) == (1, {Action.STARTED, Action.EXPECTED})
        check_told(on, follower, receiver)


def test_groups_of_the_sdk_are_enrolled_once_and_told_of_whatever_dies(
    program: Program, databases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    play(*(partial(story, program, kind, url) for kind, url in databases.items()))
