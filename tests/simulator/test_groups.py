"""Properties of a group's body over its lifetime."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from recorder.ledger.timestamps import parse_time
from recorder.simulator.groups import Groups, SimulatedGroup
from recorder.simulator.runs import PROCESSOR_SECONDS, OutcomeMix, RunOutcome, RunStatus, Steering

CREATED = datetime(2026, 11, 24, 12, 16, 0, 250, tzinfo=UTC)
MIX = OutcomeMix(failed=0.2, cancelled=0.2, blocked=0.1, detour=0.3)
FINISHED = ("completed", "failed", "cancelled")

processors = st.lists(st.sampled_from(sorted(PROCESSOR_SECONDS)), min_size=1, max_size=12)
additions = st.lists(st.tuples(st.floats(0, 500), processors), min_size=1, max_size=4)
moments = st.lists(st.floats(0, 10_000), min_size=1, max_size=30).map(sorted)
seeds = st.integers(0, 2**64)
speeds = st.floats(0.5, 1000)


def after(seconds: float) -> datetime:
    return CREATED + timedelta(seconds=seconds)


def filled_group(
    seed: int, speed: float, additions: list[tuple[float, list[str]]]
) -> tuple[SimulatedGroup, float, int]:
    """Return a group with runs added after each pause, the seconds until the last, and the number of runs."""
    groups = Groups(seed, speed, MIX)
    group = groups.create({"team": "a"}, CREATED)
    elapsed = 0.0
    for pause, batch in additions:
        elapsed += pause
        groups.add_runs(group, batch, Steering(), after(elapsed))
    return group, elapsed, sum(len(batch) for _, batch in additions)


@given(seeds, speeds, additions, moments)
def test_the_runs_agree_with_the_counts_and_the_last_change(
    seed: int, speed: float, additions: list[tuple[float, list[str]]], moments: list[float]
) -> None:
    groups = Groups(seed, speed, MIX)
    group = groups.create(None, CREATED)
    ids = []
    for pause, batch in additions:
        ids += groups.add_runs(group, batch, Steering(), after(pause))
    for moment in moments:
        # At the moment of a change it has happened.
        now = parse_time(group.status(after(500 + moment))["modified_at"])
        runs = [run.body(now) for run in groups.runs(group)]
        assert [run["run_id"] for run in runs] == ids
        assert Counter(run["status"] for run in runs) == group.status(now)["task_run_status_counts"]
        assert max(run["modified_at"] for run in runs) == group.status(now)["modified_at"]


def finished(status: dict[str, Any]) -> int:
    return sum(status["task_run_status_counts"].get(name, 0) for name in FINISHED)


@given(seeds, speeds, additions, moments)
def test_counts_add_up_and_agree_with_is_active(
    seed: int, speed: float, additions: list[tuple[float, list[str]]], moments: list[float]
) -> None:
    group, start, runs = filled_group(seed, speed, additions)
    for moment in moments:
        status = group.status(after(start + moment))
        counts = status["task_run_status_counts"]
        assert sum(counts.values()) == status["num_task_runs"] == runs
        assert min(counts.values()) > 0
        assert status["is_active"] == bool({"queued", "running", "cancelling"} & set(counts))


@given(seeds, speeds, additions, moments)
def test_finished_runs_stay_finished_and_modified_at_never_regresses(
    seed: int, speed: float, additions: list[tuple[float, list[str]]], moments: list[float]
) -> None:
    group, start, _ = filled_group(seed, speed, additions)
    before = group.status(after(start))
    for moment in moments:
        now = after(start + moment)
        status = group.status(now)
        assert finished(status) >= finished(before)
        assert parse_time(before["modified_at"]) <= parse_time(status["modified_at"]) <= now
        before = status


@given(seeds, speeds, additions, moments)
def test_modified_at_changes_exactly_when_the_counts_do(
    seed: int, speed: float, additions: list[tuple[float, list[str]]], moments: list[float]
) -> None:
    group, start, _ = filled_group(seed, speed, additions)
    for moment in moments:
        status = group.status(after(start + moment))
        modified_at = parse_time(status["modified_at"])
        assert group.status(modified_at) == status
        assert group.status(modified_at - timedelta(microseconds=1)) != status


@given(seeds, speeds, additions, moments)
def test_the_same_seed_gives_the_same_bodies_regardless_of_requests(
    seed: int, speed: float, additions: list[tuple[float, list[str]]], moments: list[float]
) -> None:
    one, start, _ = filled_group(seed, speed, additions)
    other, _, _ = filled_group(seed, speed, additions)
    for moment in moments:
        one.body(after(start + moment))
    last = after(start + moments[-1])
    assert one.body(last) == other.body(last)


@given(seeds, additions)
def test_every_run_ends_or_stays_blocked(seed: int, additions: list[tuple[float, list[str]]]) -> None:
    group, start, _ = filled_group(seed, 1, additions)
    status = group.status(after(start + 8_000))
    assert status["is_active"] is False
    assert set(status["task_run_status_counts"]) <= {*FINISHED, "action_required"}


def test_a_group_does_not_depend_on_when_others_are_created_or_filled() -> None:
    early, late = Groups(5, 1, MIX), Groups(5, 1, MIX)
    first = early.create(None, CREATED)
    early.add_runs(first, ["core"] * 20, Steering(), CREATED)
    second = early.create(None, CREATED)
    same_first, same_second = late.create(None, CREATED), late.create(None, CREATED)
    assert [first.taskgroup_id, second.taskgroup_id] == [same_first.taskgroup_id, same_second.taskgroup_id]
    ids = early.add_runs(second, ["core"] * 20, Steering(), CREATED)
    assert late.add_runs(same_second, ["core"] * 8, Steering(), CREATED) == ids[:8]
    assert late.add_runs(same_second, ["core"] * 12, Steering(), CREATED) == ids[8:]
    assert second.body(after(150)) == same_second.body(after(150))


def test_another_seed_gives_other_ids_and_statuses() -> None:
    one, _, _ = filled_group(1, 1, [(0, ["core"] * 50)])
    other, _, _ = filled_group(2, 1, [(0, ["core"] * 50)])
    assert one.taskgroup_id != other.taskgroup_id
    assert one.status(after(150)) != other.status(after(150))


def test_an_earlier_body_is_not_changed_by_runs_added_later() -> None:
    groups = Groups(0, 1, MIX)
    group = groups.create(None, CREATED)
    groups.add_runs(group, ["lite"] * 3, Steering(), after(10))
    before = group.body(after(5)), group.body(after(15))
    assert [body["status"]["num_task_runs"] for body in before] == [0, 3]
    groups.add_runs(group, ["lite"] * 2, Steering(), after(20))
    assert (group.body(after(5)), group.body(after(15))) == before


def test_a_new_group_is_empty_and_inactive() -> None:
    assert Groups(0, 1, MIX).create({"n": 1, "ok": True}, CREATED).body(after(5))["status"] == {
        "num_task_runs": 0,
        "task_run_status_counts": {},
        "is_active": False,
        "status_message": None,
        "modified_at": None,
    }


def test_the_body_has_the_members_and_time_format_of_the_upstream() -> None:
    groups = Groups(0, 10, MIX)
    group = groups.create({"n": 1, "ok": True}, CREATED)
    steering = Steering(RunOutcome.COMPLETED, seconds=15)
    groups.add_runs(group, ["lite", "lite"], steering, after(1))
    assert group.body(after(2.499999))["status"]["task_run_status_counts"] == {"running": 2}
    assert group.body(after(60)) == {
        "taskgroup_id": group.taskgroup_id,
        "metadata": {"n": 1, "ok": True},
        "status": {
            "num_task_runs": 2,
            "task_run_status_counts": {"completed": 2},
            "is_active": False,
            "status_message": "2 of 2 task runs finished",
            "modified_at": "2026-11-24T12:16:02.500250Z",
        },
        "created_at": "2026-11-24T12:16:00.000250Z",
    }


def test_blocked_runs_leave_the_group_inactive_and_unfinished() -> None:
    groups = Groups(0, 1, MIX)
    group = groups.create(None, CREATED)
    groups.add_runs(group, ["lite"], Steering(RunOutcome.BLOCKED, seconds=1), CREATED)
    groups.add_runs(group, ["lite"], Steering(RunOutcome.FAILED, seconds=1), CREATED)
    status = group.status(after(86_400))
    assert status["task_run_status_counts"] == {"action_required": 1, "failed": 1}
    assert status["is_active"] is False


def test_a_settled_group_becomes_active_again_when_runs_are_added() -> None:
    groups = Groups(0, 1, MIX)
    group = groups.create(None, CREATED)
    groups.add_runs(group, ["lite"], Steering(RunOutcome.COMPLETED, seconds=1), CREATED)
    assert group.status(after(2))["is_active"] is False
    groups.add_runs(group, ["lite"], Steering(RunOutcome.COMPLETED, seconds=5), after(3))
    assert group.status(after(3))["is_active"] is True
    assert group.status(after(3))["task_run_status_counts"] == {"completed": 1, "running": 1}
    assert group.status(after(8))["task_run_status_counts"] == {"completed": 2}


def test_run_statuses_are_those_of_the_upstream() -> None:
    assert set(RunStatus) == {
        "queued",
        "action_required",
        "running",
        "completed",
        "failed",
        "cancelling",
        "cancelled",
    }
