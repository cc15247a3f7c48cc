"""An older state after a newer one, as of a replica that lags behind, and the body of another group."""

from __future__ import annotations

import json

import pytest

from recorder.completion.dwell import dwell_of
from recorder.completion.episodes import RunCounts
from recorder.completion.progress import ProgressMark
from recorder.completion.summary import NOTHING, standing_in, summarize, work_so_far
from recorder.ledger.entries import StatusContent
from recorder.ledger.response_body import ResponseBody, parse_body
from recorder.store.derived import summary_row
from tests.support.ledgers import Ledger, body, in_seconds, time

EMPTY = body(modified=0)
RUNNING = body(queued=2, running=3, modified=5)
HALF = body(running=2, completed=3, modified=25)
DONE = body(completed=5, modified=45)
MORE = body(running=4, completed=6, modified=65)
ALL = body(completed=10, modified=85)


def _seeing(*bodies: ResponseBody) -> Ledger:
    """Return a ledger of responses 10 s apart, the first at second 10."""
    ledger = Ledger()
    for number, seen in enumerate(bodies, 1):
        ledger.see(10 * number, seen)
    return ledger


def _anomalies(ledger: Ledger) -> list[tuple[str, ...]]:
    return [entry.content.anomalies for entry in ledger.entries if isinstance(entry.content, StatusContent)]


def _of_another_group(seen: ResponseBody) -> ResponseBody:
    return parse_body(json.dumps({**seen.value, "taskgroup_id": "tgrp_2"}).encode())


OLDER = ("counts_decreased", "modified_at_regressed")


def test_an_older_state_is_recorded_as_said_and_marked() -> None:
    ledger = _seeing(EMPTY, HALF, RUNNING, HALF)
    assert _anomalies(ledger) == [(), (), OLDER, ()]
    said = [entry.content.body for entry in ledger.entries if isinstance(entry.content, StatusContent)]
    assert said == [EMPTY, HALF, RUNNING, HALF]


@pytest.mark.parametrize(
    ("bodies", "count"),
    [
        pytest.param((RUNNING, HALF, RUNNING, HALF, DONE), 1, id="in an episode"),
        pytest.param((RUNNING, HALF, EMPTY, HALF, DONE), 1, id="an empty one in an episode"),
        pytest.param((RUNNING, HALF, DONE, HALF, DONE), 1, id="an active one after the end"),
        pytest.param((RUNNING, HALF, DONE, HALF, RUNNING, HALF, DONE), 1, id="several after the end"),
        pytest.param((RUNNING, HALF, DONE, MORE, DONE, MORE, ALL), 2, id="a settled one in a second episode"),
        pytest.param((RUNNING, DONE, MORE, ALL, DONE, ALL), 2, id="a settled one after a second episode"),
        pytest.param((RUNNING, DONE, MORE, ALL, MORE, DONE, HALF, ALL), 2, id="ever older ones"),
        pytest.param((ALL, DONE, ALL), 1, id="a settled one after the first sight"),
        pytest.param((RUNNING, ALL, DONE, MORE, ALL), 1, id="ones that grow younger"),
    ],
)
def test_an_older_state_neither_opens_nor_ends_an_episode(
    bodies: tuple[ResponseBody, ...], count: int
) -> None:
    newest, honest = 0, []
    for seen in bodies:
        finished = seen.value["status"]["task_run_status_counts"].get("completed", 0)
        if finished >= newest:
            honest.append(seen)
        else:
            honest.append(body(total=5, completed=2))
        newest = max(newest, finished)
    assert len(_seeing(*bodies).episodes()) == count
    # It counts as one that says nothing.
    assert _seeing(*bodies).episodes() == _seeing(*honest).episodes()


def test_the_newest_state_counts_after_an_older_one() -> None:
    """The second older state is younger than the first, and still older than the newest."""
    ledger = _seeing(RUNNING, ALL, EMPTY, DONE, ALL)
    assert _anomalies(ledger) == [(), (), OLDER, OLDER, ()]
    assert len(ledger.episodes()) == 1


@pytest.mark.parametrize(
    ("later", "anomalies"),
    [
        pytest.param(body(completed=2, total=2, modified=46), ("counts_decreased",), id="counts alone"),
        pytest.param(body(completed=2, total=2), ("counts_decreased",), id="no modified_at"),
        pytest.param(body(completed=7, modified=44), ("modified_at_regressed",), id="modified_at alone"),
        pytest.param(body(total=4, modified=44, active=False, completed=5), None, id="unclear"),
    ],
)
def test_one_of_the_two_alone_makes_no_older_state(
    later: ResponseBody, anomalies: tuple[str, ...] | None
) -> None:
    ledger = _seeing(RUNNING, DONE, later)
    if anomalies is None:
        assert len(ledger.episodes()) == 1
    else:
        assert _anomalies(ledger)[-1] == anomalies
        assert len(ledger.episodes()) == 2


def test_counts_may_fall_when_a_new_stretch_begins() -> None:
    again = [body(running=2, completed=1, modified=101), body(running=1, completed=2, modified=110)]
    ledger = _seeing(RUNNING, ALL, body(running=3, modified=100), *again, body(completed=3, modified=120))
    first, second = ledger.episodes()
    assert first.completed is not None
    assert second.completed is not None
    assert (second.runs, second.polls) == (RunCounts(3, 3, None, None), 4)


def test_a_modification_far_in_the_future_does_not_make_the_next_ones_older() -> None:
    far, near = 2 * 86_400, 3600
    for ahead, marks, episodes in ((far, ("counts_decreased",), 2), (near, OLDER, 1)):
        ledger = _seeing(RUNNING, body(completed=5, modified=ahead), body(completed=4, modified=30))
        assert _anomalies(ledger)[-1] == marks
        assert len(ledger.episodes()) == episodes


def test_a_state_from_before_the_new_stretch_is_not_older_than_it() -> None:
    """Its counts are not below those that the new stretch began with."""
    ledger = _seeing(RUNNING, ALL, body(running=3, modified=100), body(running=2, completed=1, modified=95))
    assert _anomalies(ledger)[-1] == ("modified_at_regressed",)
    assert ledger.episodes()[-1].runs.completed == 1


def test_an_older_state_does_not_prolong_an_open_episode() -> None:
    ledger = _seeing(EMPTY, HALF, HALF, RUNNING, RUNNING)
    episode = ledger.only()
    assert (episode.duration_seconds, episode.runs, episode.polls) == (
        30 - 14.5,
        RunCounts(5, 3, None, None),
        4,
    )


def test_an_older_state_sets_no_bound() -> None:
    ledger = _seeing(EMPTY, HALF, RUNNING, DONE)
    assert in_seconds(ledger.only().completed) == (29.5, 19, 40, "midpoint")


def test_an_older_state_has_no_part_in_the_pace() -> None:
    ledger = _seeing(EMPTY, HALF, RUNNING)
    summary, _ = summarize(NOTHING, ledger.entries)
    standing = standing_in(json.loads(summary_row("one", summary)["summary"]))
    assert standing is not None
    work = work_so_far(standing, ledger.watch.open)
    assert work.seen_at == time(20)
    assert work.pace.marks[-1] == ProgressMark(time(20), 3)
    assert (work.pace.finished, work.pace.total) == (3, 5)


def test_time_is_counted_by_what_was_said() -> None:
    ledger = _seeing(EMPTY, DONE, HALF, DONE)
    phases = dwell_of(ledger.entries, ledger.watch.open).phase_seconds()
    assert (phases["active"], phases["settled"], phases["unclear"]) == (10, 10, 0)


def test_the_body_of_another_group_is_unclear_before_all() -> None:
    ledger = _seeing(EMPTY, RUNNING, _of_another_group(ALL), HALF, DONE)
    other = ledger.entries[3].content
    assert isinstance(other, StatusContent)
    assert (other.fields.phase, other.anomalies) == ("unclear", ("id_mismatch",))
    assert ledger.only().polls == 4
    assert ledger.only().runs == RunCounts(5, 5, None, None)
    assert _anomalies(ledger)[-2:] == [(), ()]


@pytest.mark.parametrize("other", [RUNNING, DONE, body(action_required=1), EMPTY])
def test_the_body_of_another_group_opens_and_ends_nothing(other: ResponseBody) -> None:
    assert _seeing(EMPTY, _of_another_group(other)).episodes() == []
    assert _seeing(EMPTY, RUNNING, _of_another_group(other)).only().completed is None


def test_a_body_without_an_id_is_unclear_too() -> None:
    value = {name: member for name, member in DONE.value.items() if name != "taskgroup_id"}
    assert _seeing(RUNNING, parse_body(json.dumps(value).encode())).only().completed is None


def test_the_body_of_another_group_does_not_count_as_a_state_of_this_one() -> None:
    """Neither its marks nor its creation: this group's own next state is compared with its own last one."""
    ledger = _seeing(body(running=5, modified=1, created=-9), _of_another_group(body(-900, 500, completed=9)))
    ledger.see(30, body(running=4, completed=1, modified=2, created=-9))
    assert _anomalies(ledger) == [(), ("id_mismatch",), ()]
    summary, _ = summarize(NOTHING, ledger.entries[:3])
    assert summary.created_at == time(-9)
