"""What claims about runs add up to, and which of them contradict what was seen."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from recorder.completion.claimed_runs import (
    MOST_CURVE_STEPS,
    ClaimedRun,
    FinishedSight,
    claimed_milestones,
    contradictions,
    curve_of,
    processors_of,
)
from recorder.ledger.timestamps import format_time
from recorder.simulator.groups import Groups
from recorder.simulator.runs import OutcomeMix, Steering
from tests.support.exact_survival import exact_quantile
from tests.support.recording import after

END = after(10_000)


def run(
    status: str | None = "completed",
    created: float | None = 0,
    modified: float | None = 10,
    on: str | None = "core",
) -> ClaimedRun:
    return ClaimedRun(
        on, status, None if created is None else after(created), None if modified is None else after(modified)
    )


def problems(
    runs: list[ClaimedRun], *sights: FinishedSight, asked_at: datetime = END, taken_at: datetime = END
) -> list[tuple[str, int | None, int, float | None]]:
    found = contradictions(runs, sights, asked_at, taken_at)
    return [(one["problem"], one["seq"], one["runs"], one["seconds"]) for one in found]


def sight(seq: int, observed: float, asked: float, finished: int, total: int | None = None) -> FinishedSight:
    return FinishedSight(seq, after(observed), after(asked), finished, total)


times = st.integers(0, 60)
statuses = st.sampled_from(
    ["completed", "failed", "cancelled", "running", "queued", "action_required", "new"]
)
some_runs = st.lists(st.builds(run, statuses, times, times), max_size=20)


@given(some_runs)
def test_durations_are_those_of_exact_arithmetic(runs: list[ClaimedRun]) -> None:
    found = processors_of(runs, after(60))
    if not runs:
        assert found == []
        return
    ((item),) = found
    finished = [one for one in runs if one.status in ("completed", "failed", "cancelled")]
    ended = [one.lasted for one in finished if one.lasted is not None]
    longer = [
        60 - (one.created_at - after(0)).total_seconds()
        for one in runs
        if one not in finished
        if one.created_at
    ]
    rows = [(seconds, True) for seconds in ended] + [(seconds, False) for seconds in longer]
    assert (item["runs"], item["finished"]) == (len(runs), len(finished))
    assert (item["durations"]["completed"], item["durations"]["censored"]) == (len(ended), len(longer))
    for name, p in (("p50", Fraction(1, 2)), ("p90", Fraction(9, 10))):
        assert item["durations"][name]["seconds"] == exact_quantile(rows, p)
    assert item["durations"]["max_seconds"] == max(ended, default=None)


def test_waits_are_those_of_running_and_queued_runs() -> None:
    runs = [
        run("running", 0, 4),
        run("running", 0, 6),
        run("queued", 0, 0),
        run("completed", 0, 9),
        run("running", 5, 1),
    ]
    ((item),) = processors_of(runs, after(20))
    waits = item["waits"]
    assert (waits["runs"], waits["completed"], waits["censored"]) == (3, 2, 1)
    assert (waits["min_seconds"], waits["p50"]["seconds"], waits["max_seconds"]) == (4, 6, 6)


def test_processors_are_in_order_and_none_comes_last() -> None:
    found = processors_of([run(on=None), run(on="pro"), run(on="core"), run(on="core")], END)
    assert [(item["processor"], item["runs"]) for item in found] == [("core", 2), ("pro", 1), (None, 1)]


@given(some_runs)
def test_the_curve_counts_what_had_finished_by_each_time(runs: list[ClaimedRun]) -> None:
    moments = [one.finished_at for one in runs if one.finished_at is not None]
    assert curve_of(runs) == [
        {
            "claimed_at": format_time(moment),
            "finished": (count := sum(other <= moment for other in moments)),
            "fraction": count / len(runs),
        }
        for moment in sorted(set(moments))
    ]


def test_a_long_curve_has_its_ends_and_no_more_steps_than_allowed() -> None:
    steps = curve_of([run(modified=number) for number in range(1, 5001)])
    assert len(steps) == MOST_CURVE_STEPS
    assert [step["finished"] for step in (steps[0], steps[-1])] == [1, 5000]


@given(some_runs)
def test_milestones_are_times_of_the_curve(runs: list[ClaimedRun]) -> None:
    moments = sorted(one.finished_at for one in runs if one.finished_at is not None)
    found = claimed_milestones(runs)
    assert [one["fraction"] for one in found] == ([0.5, 0.9, 0.95, 0.99, 1] if runs else [])
    for one in found:
        needed = ceil(Fraction(str(one["fraction"])) * len(runs))
        assert one["runs"] == needed
        assert one["claimed_at"] == (format_time(moments[needed - 1]) if needed <= len(moments) else None)


@given(
    st.integers(0, 2**32), st.lists(st.floats(0, 400), min_size=1, max_size=12).map(sorted), st.floats(0, 5)
)
def test_an_honest_provider_is_never_contradicted(seed: int, polls: list[float], slowness: float) -> None:
    """Poll a simulated group at any moments, each poll taking any part of 5 s, and then ask for its runs."""
    groups, random = Groups(seed, 1, OutcomeMix(failed=0.3, cancelled=0.2, blocked=0.1)), Random(seed)
    group = groups.create(None, after(0))
    groups.add_runs(group, ["lite", "core", "base"] * 4, Steering(), after(0))
    sights, asked = [], after(0)
    for seq, at in enumerate(polls, 1):
        asked = max(asked, after(at))
        answered = asked + timedelta(seconds=slowness)
        status = group.status(asked + timedelta(seconds=slowness * random.random()))
        counts = status["task_run_status_counts"]
        finished = sum(counts.get(name, 0) for name in ("completed", "failed", "cancelled"))
        sights.append(FinishedSight(seq, answered, asked, finished, status["num_task_runs"]))
        asked = answered
    taken = asked + timedelta(seconds=1)
    runs = [
        ClaimedRun(
            body["processor"],
            body["status"],
            datetime.fromisoformat(body["created_at"]),
            datetime.fromisoformat(body["modified_at"]),
        )
        for body in (one.body(taken) for one in groups.runs(group))
    ]
    assert contradictions(runs, sights, asked, taken) == []


def test_claims_outside_the_bounds_are_found_on_either_side() -> None:
    runs = [run(modified=10), run(modified=20), run("running", 0, 5)]
    inside = [sight(1, 5, 9, 0), sight(2, 12, 18, 1), sight(3, 20, 40, 2)]
    assert problems(runs, *inside) == []
    assert problems(runs, sight(4, 9.5, 10, 1)) == [("too_late", 4, 1, 0.5)]
    assert problems(runs, sight(4, 9.5, 10, 2)) == [("too_late", 4, 2, 10.5)]
    assert problems(runs, sight(4, 30, 40, 3)) == [("too_late", 4, 1, None)]
    assert problems(runs, sight(4, 5, 11, 0)) == [("too_early", 4, 1, 1.0)]
    assert problems(runs, sight(4, 12, 25, 0)) == [("too_early", 4, 2, 15.0)]


def test_sights_after_the_snapshot_and_older_states_are_left_out() -> None:
    runs = [run(modified=10)]
    assert problems(runs, sight(1, 31, 40, 2, 2), asked_at=after(30)) == []
    assert problems(runs, sight(1, 12, 14, 1), sight(2, 15, 16, 0)) == []


def test_runs_that_are_missing_are_told_and_excuse_what_is_late() -> None:
    runs = [run(modified=10)]
    assert problems(runs, sight(1, 12, 14, 2, 3)) == [("runs_missing", None, 2, None)]


def test_impossible_times_are_found() -> None:
    runs = [run(created=5, modified=4), run(modified=12), run(modified=15), run(modified=None)]
    assert problems(runs, taken_at=after(11)) == [
        ("times_reversed", None, 1, None),
        ("in_the_future", None, 2, 4.0),
    ]
