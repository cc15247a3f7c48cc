"""Backtest the ETA: replay groups in virtual time and count how often the truth is below each quantile.

    python benchmarks/eta_backtest.py [--groups N] [--seed S] [--mixed]
    python benchmarks/eta_backtest.py --database URL

Without a database, groups of 20 to 500 runs that start together are simulated for each processor. There are
two additional kinds: `core, slow` uses processor core but takes twice as long as its cohort, and `steady`
finishes its runs at a constant rate. Each group is polled every 10 s, and its cohort is 200 earlier groups
of its kind (with --mixed: of all processors).

With a database, finished episodes are replayed from their ledgers. The cohort of an episode consists of those
with the same `processor` in the metadata that were known at the time.
"""

from __future__ import annotations

import argparse
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import fmean, median

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from recorder.completion.cohort import CohortCurve
from recorder.completion.episodes import Episode, episodes_of
from recorder.completion.eta import (
    Estimate,
    NoEstimate,
    WorkSoFar,
    estimate,
    from_cohort,
    from_pace,
)
from recorder.completion.progress import ProgressMarks
from recorder.ledger.entries import Entry, Interval, StatusContent
from recorder.ledger.status_fields import FINISHED_STATUSES, Phase, StatusFields
from recorder.simulator.runs import PROCESSOR_SECONDS, OutcomeMix, Steering, draw_life
from recorder.store.engine import check_url, open_engine
from recorder.store.groups import list_groups
from recorder.store.history import read_entries
from recorder.store.transactions import reading

PROGRESS = (0.25, 0.50, 0.75)
POLL_SECONDS = 10.0
COHORT_SIZE = 200
STEADY = "steady"
SLOW = "core, slow"
_SLOWNESS = 2.0
_START = datetime(2026, 1, 1, tzinfo=UTC)
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Case:
    """A group at some point in its work; it settled `left_seconds` later."""

    kind: str
    progress: float
    standing: WorkSoFar
    cohort: CohortCurve
    left_seconds: float


def draw_ends(random: Random, kind: str) -> list[float]:
    """Draw a group; return the seconds from its start to the end of each run, in ascending order."""
    size = random.randint(20, 500)
    if kind == STEADY:
        seconds = random.uniform(0.5, 5.0)
        return [seconds * number for number in range(1, size + 1)]
    processor, slowness = ("core", _SLOWNESS) if kind == SLOW else (kind, 1.0)
    lives = (draw_life(random, processor, OutcomeMix(), Steering()) for _ in range(size))
    return sorted(slowness * life[-1].seconds for life in lives)


def draw_cohort(random: Random, kinds: Sequence[str], size: int = COHORT_SIZE) -> CohortCurve:
    """Draw a cohort of earlier groups of these kinds, in equal shares."""
    ends = [draw_ends(random, kinds[number % len(kinds)])[-1] for number in range(size)]
    return CohortCurve.of(np.array(ends), np.ones(size, dtype=np.bool_))


def replay(random: Random, kind: str, cohort: CohortCurve) -> Iterator[Case]:
    """Draw a group, poll it, and yield a case at the first poll that reaches each level of PROGRESS."""
    ends = draw_ends(random, kind)
    pace = ProgressMarks().seen(_START, 0, len(ends))
    awaited = list(PROGRESS)
    seconds = random.uniform(0.0, POLL_SECONDS)
    while awaited and (finished := bisect_right(ends, seconds)) < len(ends):
        seen_at = _START + timedelta(seconds=seconds)
        pace = pace.seen(seen_at, finished, len(ends))
        while awaited and finished / len(ends) >= awaited[0]:
            standing = WorkSoFar(_START, seen_at, pace)
            yield Case(kind, awaited.pop(0), standing, cohort, ends[-1] - seconds)
        seconds += POLL_SECONDS


def simulated(groups: int, seed: int, *, mixed: bool) -> Iterator[Case]:
    """Yield the cases of `groups` groups of each kind."""
    for kind in (*PROCESSOR_SECONDS, SLOW, STEADY):
        random = Random(f"{seed}/{kind}")  # noqa: S311 - chance, not secrecy
        own = "core" if kind == SLOW else kind
        cohort = draw_cohort(random, tuple(PROCESSOR_SECONDS) if mixed else (own,))
        for _ in range(groups):
            yield from replay(random, kind, cohort)


@dataclass(frozen=True, slots=True)
class _Recorded:
    kind: str
    episode: Episode
    readings: list[tuple[datetime, StatusFields]]
    finished_before: int


def recorded(ledgers: Iterable[tuple[Sequence[Entry], Interval | None]]) -> Iterator[Case]:
    """Yield the cases of all finished episodes in complete ledgers, each given with its last interval."""
    found = [item for entries, interval in ledgers for item in _episodes(entries, interval)]
    for item in found:
        yield from _cases(item, [other for other in found if other.kind == item.kind])


def ledgers_in(connection: Connection) -> Iterator[tuple[Sequence[Entry], Interval | None]]:
    """Yield the ledger of every group in a database with its open interval."""
    page = list_groups(connection, limit=_PAGE)
    while page:
        for group in page:
            yield list(read_entries(connection, group.watch.taskgroup_id)), group.watch.open
        last = page[-1].watch
        page = list_groups(connection, limit=_PAGE, after=(last.enrolled_at, last.taskgroup_id))


def _episodes(entries: Sequence[Entry], interval: Interval | None) -> Iterator[_Recorded]:
    clear = list(_clear(entries))
    for episode in episodes_of(entries, interval):
        opened, end = episode.started.latest, episode.completed.latest if episode.completed else None
        seen = [(at, fields) for at, fields in clear if at >= opened and (end is None or at < end)]
        before = [_finished(fields) or 0 for at, fields in clear if at < opened]
        yield _Recorded(_kind(clear), episode, seen, before[-1] if before else 0)


def _clear(entries: Iterable[Entry]) -> Iterator[tuple[datetime, StatusFields]]:
    for entry in entries:
        if isinstance(entry.content, StatusContent) and entry.content.fields.phase is not Phase.UNCLEAR:
            yield entry.at, entry.content.fields


def _kind(clear: Sequence[tuple[datetime, StatusFields]]) -> str:
    metadata = json.loads(clear[-1][1].metadata or "null")
    return str(metadata.get("processor")) if isinstance(metadata, dict) else "None"


def _finished(fields: StatusFields) -> int | None:
    counts = [fields.count(name) for name in FINISHED_STATUSES]
    return None if counts == [None] * len(counts) else sum(count or 0 for count in counts)


def _cases(item: _Recorded, known: Sequence[_Recorded]) -> Iterator[Case]:
    """Yield a case at the first observation that reaches each level of PROGRESS in the episode."""
    started, completed = item.episode.started, item.episode.completed
    if completed is None:
        return
    before = item.finished_before
    pace = ProgressMarks() if started.earliest is None else ProgressMarks().seen(started.at, before, None)
    awaited = list(PROGRESS)
    for at, fields in item.readings:
        finished, total = _finished(fields), fields.num_task_runs
        pace = pace.seen(at, finished, total)
        if finished is None or total is None or total <= before:
            continue
        while awaited and (finished - before) / (total - before) >= awaited[0]:
            standing = WorkSoFar(started.at, at, pace, blocked=fields.phase is Phase.BLOCKED)
            left = (completed.at - at).total_seconds()
            yield Case(item.kind, awaited.pop(0), standing, _cohort_at(at, known), left)


def _cohort_at(moment: datetime, known: Iterable[_Recorded]) -> CohortCurve:
    """Return the cohort as of `moment`, with the episodes unfinished at that time censored."""
    begun = [item.episode for item in known if item.episode.started.at < moment]
    over = [episode.completed is not None and episode.completed.at <= moment for episode in begun]
    seconds = [
        episode.duration_seconds if ended else (moment - episode.started.at).total_seconds()
        for episode, ended in zip(begun, over, strict=True)
    ]
    return CohortCurve.of(np.array(seconds, dtype=np.float64), np.array(over, dtype=np.bool_))


@dataclass(frozen=True, slots=True)
class Score:
    """How well one basis did over several cases.

    `given` is the share of cases with an estimate; the other figures refer to these. `below` has the shares
    of cases whose truth was below p10, p50 and p90, `covered` is the share from p10 to p90, and `width` is
    the median of (p90 - p10) divided by the actual time left.
    """

    given: float
    below: tuple[float, float, float]
    covered: float
    width: float


def score(cases: Sequence[Case], results: Sequence[Estimate | NoEstimate]) -> Score | None:
    """Compare estimates with the truth; return None if there are no estimates."""
    pairs = [
        (case.standing.seen_at + timedelta(seconds=case.left_seconds), case, result)
        for case, result in zip(cases, results, strict=True)
        if isinstance(result, Estimate)
    ]
    if not pairs:
        return None
    return Score(
        len(pairs) / len(cases),
        (
            fmean(truth < result.p10 for truth, _, result in pairs),
            fmean(truth < result.p50 for truth, _, result in pairs),
            fmean(truth < result.p90 for truth, _, result in pairs),
        ),
        fmean(result.p10 <= truth <= result.p90 for truth, _, result in pairs),
        median(_width(result) / max(case.left_seconds, 1e-6) for _, case, result in pairs),
    )


def _width(result: Estimate) -> float:
    return (result.p90 - result.p10).total_seconds()


def table_of(cases: Iterable[Case]) -> Table:
    """Return a table of the scores by kind, progress and basis."""
    table = Table("groups", "progress", "basis", title="Truth below p10, p50, p90, and covered by p10 to p90")
    for heading in ("cases", "given", "< p10", "< p50", "< p90", "covered", "width"):
        table.add_column(heading, justify="right")
    parts: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        parts[case.kind, f"{case.progress:.0%}"].append(case)
        parts[case.kind, "all"].append(case)
        if case.kind in PROCESSOR_SECONDS:
            parts["all processors", f"{case.progress:.0%}"].append(case)
            parts["all processors", "all"].append(case)
    kinds = dict.fromkeys(kind for kind, _ in parts)
    for kind in sorted(kinds, key=lambda kind: kind == "all processors"):
        for progress in (*(f"{share:.0%}" for share in PROGRESS), "all"):
            _add_rows(table, kind, progress, parts.get((kind, progress), []))
        table.add_section()
    return table


def _add_rows(table: Table, kind: str, progress: str, cases: Sequence[Case]) -> None:
    bases = {
        "product": [estimate(case.standing, case.cohort) for case in cases],
        "pace": [from_pace(case.standing) for case in cases],
        "cohort": [from_cohort(case.standing, case.cohort) for case in cases],
    }
    for basis, results in bases.items():
        scored = score(cases, results)
        if scored is None:
            table.add_row(kind, progress, basis, str(len(cases)), "0 %")
            continue
        shares = (scored.given, *scored.below, scored.covered)
        cells = (*(f"{share:.0%}" for share in shares), f"{scored.width:.2f}")
        table.add_row(kind, progress, basis, str(len(cases)), *cells)


def main() -> None:
    parser = argparse.ArgumentParser(description="Backtest the ETA.")
    parser.add_argument("--groups", type=int, default=200, help="simulated groups of each kind (200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mixed", action="store_true", help="draw the cohort from all processors")
    parser.add_argument("--database", metavar="URL", help="replay recorded groups instead")
    arguments = parser.parse_args()
    if arguments.database is None:
        cases = list(simulated(arguments.groups, arguments.seed, mixed=arguments.mixed))
    else:
        engine = open_engine(check_url(arguments.database), read_only=True)
        with reading(engine) as connection:
            cases = list(recorded(ledgers_in(connection)))
        engine.dispose()
    Console().print(table_of(cases))


if __name__ == "__main__":
    main()
