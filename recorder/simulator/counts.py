"""What scenes do to the counts, the flag and the identity of a body. Pure."""

from __future__ import annotations

from recorder.simulator.json_text import Literal
from recorder.simulator.kinds import GroupKinds, text, whole
from recorder.simulator.lives import FINISHED, RunStatus
from recorder.simulator.patches import ABSENT, Alteration, Body, Patch
from recorder.simulator.scenes import Hit

COUNT_ALTERATIONS: GroupKinds[Alteration] = GroupKinds()

_ACTIVE = ("status", "is_active")
_TOTAL = ("status", "num_task_runs")
_COUNTS = ("status", "task_run_status_counts")

_add = COUNT_ALTERATIONS.add


@_add(
    "counts further runs in a status that nobody documents",
    status=text("hibernating"),
    runs=whole(1, 0, 10**6),
)
def unknown_status(body: Body, hit: Hit) -> Patch:
    return {(*_COUNTS, hit["status"]): hit["runs"], _TOTAL: body["status"]["num_task_runs"] + hit["runs"]}


@_add("has no counts")
def counts_absent(_body: Body, _hit: Hit) -> Patch:
    return {_COUNTS: ABSENT}


@_add("says null instead of the counts")
def counts_null(_body: Body, _hit: Hit) -> Patch:
    return {_COUNTS: None}


@_add("lacks the first count")
def count_absent(body: Body, _: Hit) -> Patch:
    return {_first(body): ABSENT}


@_add("says null as the first count")
def count_null(body: Body, _: Hit) -> Patch:
    return {_first(body): None}


@_add("says true as the first count")
def count_true(body: Body, _: Hit) -> Patch:
    return {_first(body): True}


@_add("says the first count with a fraction of 0, such as 1.0")
def count_fraction(body: Body, _: Hit) -> Patch:
    first = _first(body)
    count = body["status"]["task_run_status_counts"].get(first[-1], 0)
    return {first: Literal(f"{count}.0")}


@_add("says 0 for each status that no run has")
def counts_zero(body: Body, _: Hit) -> Patch:
    told = body["status"]["task_run_status_counts"]
    return {(*_COUNTS, str(status)): 0 for status in RunStatus if str(status) not in told}


@_add("says of all runs that have ended that they run again")
def counts_fall(body: Body, _: Hit) -> Patch:
    told = body["status"]["task_run_status_counts"]
    ended = [str(status) for status in FINISHED if str(status) in told]
    if not ended:
        return {}
    running = told.get("running", 0) + sum(told[status] for status in ended)
    gone: dict[tuple[str, ...], object] = {(*_COUNTS, status): ABSENT for status in ended}
    return gone | {(*_COUNTS, "running"): running, _ACTIVE: True}


@_add("says `num_task_runs` other than what the counts add up to", by=whole(1, -(10**6), 10**6))
def counts_mismatch(body: Body, hit: Hit) -> Patch:
    return {_TOTAL: body["status"]["num_task_runs"] + hit["by"]}


@_add("lacks `num_task_runs`")
def total_absent(_body: Body, _hit: Hit) -> Patch:
    return {_TOTAL: ABSENT}


@_add("says `num_task_runs` as a text")
def total_text(body: Body, _: Hit) -> Patch:
    return {_TOTAL: str(body["status"]["num_task_runs"])}


@_add("says the opposite of the counts in `is_active`")
def active_contradicts(body: Body, _: Hit) -> Patch:
    return {_ACTIVE: not body["status"]["is_active"]}


@_add("lacks `is_active`")
def active_absent(_body: Body, _hit: Hit) -> Patch:
    return {_ACTIVE: ABSENT}


def _first(body: Body) -> tuple[str, ...]:
    """Return the path of the first count; without any, that of the queued runs."""
    return (*_COUNTS, next(iter(body["status"]["task_run_status_counts"]), "queued"))
