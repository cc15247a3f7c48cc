"""A database, an upstream with a request log, and the program; several stories can run concurrently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import Engine, select

from recorder.clock import utc_now
from recorder.ledger.transitions import Rules
from recorder.simulator import SimulatorSettings
from recorder.store.engine import check_url, open_engine
from recorder.store.enrolment import watch_group
from recorder.store.tables import watches
from tests.faults.ledgers import read_ledgers
from tests.faults.oracle import CLOCKS, Answer, Pace, answers_by_group, check_ledger
from tests.faults.slow import SlowSimulator, Visit
from tests.support.program import KEY, Program, Running
from tests.support.scripted_upstream import Upstream
from tests.support.simulator import simulating

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stage:
    """One database, with an `engine` for the test itself, and one upstream that writes a `log`."""

    program: Program
    engine: Engine
    upstream: Upstream
    log: Path
    pace: Pace

    def enrol(self, groups: int, runs: int) -> list[str]:
        """Create groups at the upstream, each with `runs` runs, and watch them."""
        ids = [self.upstream.create(runs) for _ in range(groups)]
        rules = Rules(self.pace.window, timedelta(days=1), None)
        for group in ids:
            watch_group(self.engine, group, actor="a test", note=None, now=utc_now, rules=rules)
        return ids

    def answers(self) -> dict[str, list[Answer]]:
        return answers_by_group(self.log)

    def wait_for_answers(self, recorder: Running, more: int) -> None:
        """Wait for `more` further responses for every watched group."""
        before = {group: len(answers) for group, answers in self.answers().items()}
        wanted = {group: before.get(group, 0) + more for group in self._watched()}

        def answered() -> bool | None:
            now = self.answers()
            return all(len(now.get(group, ())) >= count for group, count in wanted.items()) or None

        recorder.wait_until(answered, f"{more} responses for every group")

    def wait_until_written(self, recorder: Running) -> None:
        """Wait until the newest responses of most groups are in their ledgers."""

        def written() -> bool | None:
            newest = {group: answers[-1].answered for group, answers in self.answers().items()}
            seen = self._last_seen()
            return sum(seen[group] >= at - CLOCKS for group, at in newest.items()) > len(seen) / 2 or None

        recorder.wait_until(written, "most responses to be written")

    def lost(self) -> dict[str, int]:
        """Check every ledger; return the number of responses missing from it, by group."""
        answers = self.answers()
        return {
            group: check_ledger(ledger, answers.get(group, []), self.pace)
            for group, ledger in read_ledgers(self.engine).items()
        }

    def claims(self) -> set[str]:
        """The names of the recorders that hold a claim."""
        with self.engine.connect() as connection:
            return {owner for owner in connection.scalars(select(watches.c.owner)) if owner is not None}

    def _watched(self) -> list[str]:
        with self.engine.connect() as connection:
            return list(connection.scalars(select(watches.c.taskgroup_id)))

    def _last_seen(self) -> dict[str, datetime]:
        """When each group's newest status was last seen."""
        found = select(watches.c.taskgroup_id, watches.c.last_seen_at)
        with self.engine.connect() as connection:
            return {row.taskgroup_id: row.last_seen_at or _NEVER for row in connection.execute(found)}


@contextmanager
def quick_stage(program: Program, kind: str, url: str, pace: Pace, *, speed: float) -> Iterator[Stage]:
    """A stage whose upstream responds immediately."""
    program, log = _in_folder(program, kind)
    with (
        simulating(SimulatorSettings(api_key=KEY, log_path=log, speed=speed)) as address,
        Upstream(address, log) as upstream,
        _stage(program, url, upstream, log, pace) as stage,
    ):
        yield stage


@contextmanager
def slow_stage(
    program: Program, kind: str, url: str, pace: Pace, seconds_for: Callable[[str], float]
) -> Iterator[tuple[Stage, SlowSimulator]]:
    """A stage whose upstream delays its responses by `seconds_for(taskgroup_id)`."""
    program, log = _in_folder(program, kind)
    simulator = SlowSimulator(SimulatorSettings(api_key=KEY, log_path=log, speed=4), seconds_for)
    with (
        simulator.running(),
        Upstream(simulator.url, log) as upstream,
        _stage(program, url, upstream, log, pace) as stage,
    ):
        yield stage, simulator


def play(*stories: Callable[[], None]) -> None:
    """Run stories concurrently, as they spend most of their time waiting."""
    with ThreadPoolExecutor(len(stories)) as pool:
        playing = [pool.submit(story) for story in stories]
    for story in playing:
        story.result()


def name_of(recorder: Running) -> str:
    """The name under which a recorder claims groups."""
    return recorder.wait_for("recording").split("recorder=")[-1].strip()


def check_visits(visits: list[Visit], groups: int) -> None:
    """Check that each of so many groups was polled, none while another poll of it was in flight."""
    by_group: dict[str, list[Visit]] = defaultdict(list)
    for visit in sorted(visits, key=lambda visit: visit.came):
        by_group[visit.taskgroup_id].append(visit)
    assert len(by_group) == groups
    for group in by_group.values():
        for one, next_one in pairwise(group):
            assert one.left <= next_one.came, (one, next_one)


def _in_folder(program: Program, kind: str) -> tuple[Program, Path]:
    """The program in a folder of its own, and the path of a request log there."""
    folder = program.folder / f"{kind}-stage"
    folder.mkdir()
    return replace(program, folder=folder), folder / "requests.log"


@contextmanager
def _stage(program: Program, url: str, upstream: Upstream, log: Path, pace: Pace) -> Iterator[Stage]:
    settings = {
        "PARALLEL_API_KEY": KEY,
        "RECORDER_DATABASE_URL": url,
        "RECORDER_POLL_INTERVAL": str(pace.poll_interval),
        "RECORDER_MAX_INTERVAL": str(pace.longest_interval),
        "RECORDER_SETTLED_INTERVAL": str(pace.longest_interval),
        "RECORDER_GAP_GRACE": str(pace.gap_window),
        "RECORDER_REQUEST_TIMEOUT": str(pace.request_timeout),
        "RECORDER_LEASE": str(pace.request_timeout + 2.1),
        "RECORDER_RATE": "2000",
        **upstream.settings,
    }
    engine = open_engine(check_url(url))
    try:
        yield Stage(program.using(**settings), engine, upstream, log, pace)
    finally:
        engine.dispose()
