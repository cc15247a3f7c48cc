"""Groups that were seen before are not found all at once: the upstream moved them, or does not know them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from recorder.clock import utc_now
from recorder.ledger.entries import Action, Gap, Kind, WatchChange
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.watch import WatchState
from recorder.settings import Settings
from recorder.simulator import SimulatorSettings
from recorder.simulator.scenes import Scene
from recorder.store.groups import GroupItem, list_groups
from recorder.store.heartbeats import heartbeats
from recorder.store.history import HistoryFilter, read_history
from recorder.store.transactions import reading
from tests.polling.recorders import Upstream, all_settled, record
from tests.support.request_log import read_log
from tests.support.simulator import MovableClock, simulating

HOUR = 3600
GROUPS, RECORDERS = 6, 2


class Scripted:
    """An upstream on which a scene begins when the test says so, and lasts until it says so again."""

    def __init__(self, upstream: Upstream, clock: MovableClock) -> None:
        self.upstream = upstream
        self.next_scene = lambda: clock.move(HOUR)

    def polls(self, prefix: str, status: int) -> list[dict[str, Any]]:
        lines = read_log(self.upstream.log)
        return [
            line
            for line in lines
            if line["method"] == "GET" and line["path"].startswith(f"{prefix}/") and line["status"] == status
        ]


@contextmanager
def scripted(folder: Path, what: str, groups: frozenset[int] | None = None) -> Iterator[Scripted]:
    scene = Scene(1, what, groups=groups, start=HOUR, end=2 * HOUR)
    clock, log = MovableClock(), folder / "requests.ndjson"
    settings = SimulatorSettings(speed=20, scenario=(scene,), log_path=log)
    with simulating(settings, clock) as url:
        upstream = Upstream(url, log)
        try:
            yield Scripted(upstream, clock)
        finally:
            upstream.close()


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return settings.model_copy(update={"gap_grace": 3.0, "gone_after": 1.0})


def listed(engine: Engine) -> list[GroupItem]:
    with reading(engine) as connection:
        return list_groups(connection, limit=100)


def reports(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [beat.report["upstream"] for beat in heartbeats(connection)]


def kinds(engine: Engine) -> set[Kind]:
    with reading(engine) as connection:
        groups = [group.watch.taskgroup_id for group in list_groups(connection, limit=100)]
        return {
            item.kind for group in groups for item in read_history(connection, group, HistoryFilter(), 100)
        }


def events(logs: list[Any], words: str) -> int:
    return sum(words in line["event"] for line in logs)


class Steps:
    """What a test waits for, one condition after the other; each is followed by an act."""

    def __init__(self, *steps: tuple[Any, Any]) -> None:
        self._steps = list(steps)

    def __call__(self) -> bool:
        condition, act = self._steps[0]
        if condition():
            act()
            del self._steps[0]
        return not self._steps


def nothing() -> None:
    pass


def test_polls_take_the_other_prefix_when_the_provider_moves(
    engine: Engine, tmp_path: Path, settings: Settings
) -> None:
    with scripted(tmp_path, "v1_only") as provider, capture_logs() as logs:
        ids = {provider.upstream.create(engine, settings) for _ in range(GROUPS)}

        def all_found_there() -> bool:
            return {line["taskgroup_id"] for line in provider.polls("/v1", 200)} == ids

        def all_have_moved() -> bool:
            return {report["prefix"] for report in reports(engine)} == {"/v1"}

        settled = (lambda: all_settled(engine)), provider.next_scene
        record(
            settings,
            engine,
            provider.upstream,
            Steps(settled, (all_found_there, nothing), (all_have_moved, nothing)),
            recorders=RECORDERS,
        )
        assert provider.polls("/v1beta", 404)
        assert provider.polls("/v1", 404) == []
    assert {group.watch.state for group in listed(engine)} == {WatchState.WATCHING}
    assert kinds(engine) == {Kind.WATCH, Kind.STATUS}
    assert events(logs, "found under another prefix") == RECORDERS


def test_groups_that_are_missing_together_do_not_become_gone(
    engine: Engine, tmp_path: Path, quick: Settings
) -> None:
    states: set[str] = set()

    def missing_for_long() -> bool:
        states.update(report["state"] for report in reports(engine))
        runs = [group.watch.failures for group in listed(engine)]
        return "not_found" in states and all(
            run.missing_polls > 4
            and run.missing_since is not None
            and utc_now() - run.missing_since > timedelta(seconds=2 * quick.gone_after)
            for run in runs
        )

    def all_answered() -> bool:
        return (
            all(not group.watch.failures.attempts for group in listed(engine))
            and events(logs, "found again") == RECORDERS
        )

    with scripted(tmp_path, "gone") as provider, capture_logs() as logs:
        for _ in range(GROUPS):
            provider.upstream.create(engine, quick)
        settled = (lambda: all_settled(engine)), provider.next_scene
        steps = Steps(settled, (missing_for_long, provider.next_scene), (all_answered, nothing))
        record(quick, engine, provider.upstream, steps, recorders=RECORDERS)
        tried = provider.polls("/v1", 410)
        refused = provider.polls("/v1beta", 410)
    assert 1 <= len(tried) < len(refused)
    assert events(logs, "that is the upstream's doing") == RECORDERS
    for group in listed(engine):
        assert group.watch.state is WatchState.WATCHING
        with reading(engine) as connection:
            found = read_history(
                connection, group.watch.taskgroup_id, HistoryFilter(kinds=[Kind.GAP, Kind.WATCH]), 10
            )
        assert [item.content.action for item in found if isinstance(item.content, WatchChange)] == [
            Action.STARTED
        ]
        causes = [item.content.cause for item in found if isinstance(item.content, Gap)]
        assert Cause.NOT_FOUND in causes


def test_one_group_among_many_becomes_gone(engine: Engine, tmp_path: Path, quick: Settings) -> None:
    with scripted(tmp_path, "not_found", frozenset({2})) as provider, capture_logs() as logs:
        ids = [provider.upstream.create(engine, quick) for _ in range(GROUPS)]

        def one_is_gone() -> bool:
            return WatchState.GONE in {group.watch.state for group in listed(engine)}

        settled = (lambda: all_settled(engine)), provider.next_scene
        record(quick, engine, provider.upstream, Steps(settled, (one_is_gone, nothing)))
    gone = {group.watch.taskgroup_id for group in listed(engine) if group.watch.state is WatchState.GONE}
    assert gone == {ids[1]}
    assert events(logs, "that is the upstream's doing") == 0
