"""Descriptions of the changes between two statuses."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.ledger.entries import Action, Kind, WatchChange
from recorder.ledger.status_fields import phase_of
from recorder.queries.change_text import ReportedStatus, status_text, watch_text

ABSENT: Any = object()


def status(*, counts: Any = ABSENT, total: Any = 3, is_active: Any = True, **members: Any) -> dict[str, Any]:
    """A status without the members that are ABSENT."""
    complete = {
        "num_task_runs": total,
        "task_run_status_counts": {"running": 3} if counts is ABSENT else counts,
        "is_active": is_active,
        "status_message": None,
        "modified_at": None,
        **members,
    }
    return {name: value for name, value in complete.items() if value is not ABSENT}


def reported(body_status: dict[str, Any], **members: Any) -> ReportedStatus:
    body = {"taskgroup_id": "t", "metadata": None, "created_at": None, "status": body_status, **members}
    return ReportedStatus(phase_of(body_status), body)


def counts(before: Any, now: Any) -> tuple[ReportedStatus, ReportedStatus]:
    return reported(status(counts=before)), reported(status(counts=now))


def bodies(before: dict[str, Any], now: dict[str, Any]) -> tuple[ReportedStatus, ReportedStatus]:
    return reported(status(), **before), reported(status(), **now)


def statuses(before: dict[str, Any], now: dict[str, Any]) -> tuple[ReportedStatus, ReportedStatus]:
    return reported(status(**before)), reported(status(**now))


OTHER_CHANGE = "changed in a part not shown here"

CHANGES: list[tuple[tuple[ReportedStatus, ReportedStatus], str]] = [
    (counts({"queued": 3}, {"queued": 1, "running": 2}), "+2 running, -2 queued"),
    (counts({"running": 3}, {"completed": 3}), "+3 completed, -3 running"),
    (counts({"running": 3, "failed": 0}, {"running": 3}), "failed absent, was 0"),
    (counts({"running": 3}, {"running": 3, "failed": 0}), "failed 0, was absent"),
    (counts({"running": 3, "failed": None}, {"running": 3, "failed": 1}), "failed 1, was null"),
    (counts({"running": 1}, {"running": True}), "running true, was 1"),
    (counts({"running": 1}, {"running": 1.5}), "running 1.5, was 1"),
    (counts({"running": 1}, {"running": 10**25}), f"+{10**25 - 1} running"),
    (counts({"running": 1}, {"running": -1}), "-2 running"),
    (counts({"running": 3}, {"running": 3, "new one": 2}), "+2 new one"),
    (counts({"running": 3}, None), 'task_run_status_counts null, was {"running": 3}'),
    (counts(ABSENT, [1]), 'task_run_status_counts [1], was {"running": 3}'),
    (statuses({"total": 3}, {"total": 5}), "+2 runs in all"),
    (statuses({"total": 3}, {"total": ABSENT}), "num_task_runs absent, was 3"),
    (statuses({"total": 3}, {"total": "3"}), 'num_task_runs "3", was 3'),
    (statuses({"is_active": True}, {"is_active": None}), "from active to unclear"),
    (statuses({"is_active": False}, {"is_active": None}), "is_active null, was false"),
    (statuses({"is_active": 1}, {"is_active": ABSENT}), "is_active absent, was 1"),
    (statuses({"status_message": None}, {"status_message": "all well"}), 'message "all well"'),
    (statuses({"status_message": "all well"}, {"status_message": None}), "message removed"),
    (statuses({"status_message": "x"}, {"status_message": ABSENT}), "message absent"),
    (statuses({"status_message": None}, {"status_message": "x" * 99}), f'message "{"x" * 59}...'),
    (statuses({"modified_at": None}, {"modified_at": "soon"}), 'modified_at "soon", was null'),
    (statuses({"modified_at": None}, {"modified_at": "soon", "total": 4}), "+1 run in all"),
    (statuses({}, {"speed": {"a": 1}}), 'speed {"a": 1}, was absent'),
    (statuses({"speed": [1, [2]]}, {"speed": [1, [True]]}), "speed [1, [true]], was [1, [2]]"),
    (statuses({"y" * 99: 1}, {"y" * 99: 2}), f"{'y' * 60}... 2, was 1"),
    (bodies({"metadata": None}, {"metadata": {"a": 1}}), 'metadata {"a": 1}'),
    (bodies({"metadata": {"a": 1}}, {"metadata": None}), "metadata null"),
    (
        bodies({"metadata": {"a": 1, "b": 1, "c": 1}}, {"metadata": {"a": 2, "b": 1, "d": 1}}),
        "metadata changed (a, d, c)",
    ),
    (
        bodies({"metadata": {"a": 1}}, {"metadata": dict.fromkeys("bcdef", 0)}),
        "metadata changed (b, c, d, 3 more)",
    ),
    (bodies({"created_at": None}, {"created_at": "now"}), 'created_at "now", was null'),
    (bodies({}, {"taskgroup_id": "u"}), 'taskgroup_id "u", was "t"'),
    (bodies({"new": None}, {}), "new absent, was null"),
    (bodies({}, {}), OTHER_CHANGE),
    (bodies({"new": 1}, {"new": 1.0}), OTHER_CHANGE),
    (
        (
            reported(status(), metadata={"a": 1}),
            reported(status(counts={"completed": 3}, is_active=False), metadata={"a": 2}),
        ),
        "from active to settled; +3 completed, -3 running; metadata changed (a)",
    ),
]


@pytest.mark.parametrize(("pair", "words"), CHANGES, ids=[words for _, words in CHANGES])
def test_a_change(pair: tuple[ReportedStatus, ReportedStatus], words: str) -> None:
    before, now = pair
    assert status_text(before, now, Kind.STATUS) == words


@pytest.mark.parametrize(("kind", "after"), [(Kind.GAP, "after the gap"), (Kind.WATCH, "after the break")])
def test_the_first_status_after_a_gap_or_a_break(kind: Kind, after: str) -> None:
    one, other = reported(status()), reported(status(total=4))
    assert status_text(one, one, kind) == f"unchanged {after}"
    assert status_text(one, other, kind) == f"{after}: +1 run in all"


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (status(counts={"queued": 2, "running": 1, "failed": 0}), "first seen: 2 queued, 1 running"),
        (status(counts={}), "first seen: no runs"),
        (status(counts={"queued": None}), "first seen: null queued"),
        (status(counts=[]), "first seen: task_run_status_counts []"),
        ({"is_active": True}, "first seen: task_run_status_counts absent"),
        (status(status_message="hello"), 'first seen: 3 running; message "hello"'),
    ],
)
def test_the_first_status(first: dict[str, Any], words: str) -> None:
    for kind in (Kind.WATCH, Kind.GAP):
        assert status_text(None, reported(first), kind) == words


def change(action: Action, actor: str = "ada", note: str | None = None) -> WatchChange:
    return WatchChange(action, actor, note)


GONE = change(Action.GONE, "recorder")
BACK = change(Action.RESUMED, "recorder")


@pytest.mark.parametrize(
    ("newest", "before", "words"),
    [
        (change(Action.STARTED), None, "started by ada"),
        (change(Action.PAUSED, note="lunch"), None, "paused by ada: lunch"),
        (change(Action.STOPPED), change(Action.PAUSED), "stopped by ada"),
        (GONE, None, "gone by recorder: the provider reports no such group"),
        (
            change(Action.RETIRED, "recorder"),
            None,
            "retired by recorder: settled, and unchanged for a long time",
        ),
        (BACK, GONE, "resumed by recorder: the provider reports it again"),
        (BACK, change(Action.PAUSED), "resumed by recorder"),
        (change(Action.RESUMED), GONE, "resumed by ada"),
        (change(Action.RESUMED, "recorder", "tried"), GONE, "resumed by recorder: tried"),
    ],
)
def test_a_change_of_the_watch(newest: WatchChange, before: WatchChange | None, words: str) -> None:
    assert watch_text(newest, before) == words
