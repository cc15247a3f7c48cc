"""Answers that are no sight of the group as it is now: older states, other groups' bodies, absurd times."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from recorder.completion.episodes import Outcome, episodes_of
from recorder.completion.summary import NOTHING, summarize
from recorder.ledger.anomalies import Anomaly
from recorder.ledger.entries import Entry, StatusContent
from recorder.ledger.response_body import ResponseBody, parse_body
from recorder.ledger.status_fields import Phase
from tests.support.ledgers import Ledger, body, in_seconds

DONE = body(completed=10, modified=299)
LAGGING = body(running=2, completed=8, modified=200)


def _seeing(*seen: ResponseBody, first: float = 10) -> Ledger:
    ledger = Ledger()
    for number, response in enumerate(seen):
        ledger.see(first + 10 * number, response)
    return ledger


def _anomalies(ledger: Ledger) -> list[tuple[str, ...]]:
    return [entry.content.anomalies for entry in ledger.entries if isinstance(entry.content, StatusContent)]


def _other_group(**status: int) -> ResponseBody:
    value = body(modified=900, **status).value | {"taskgroup_id": "tgrp_other"}
    return parse_body(json.dumps(value).encode())


def test_an_older_state_after_the_end_opens_no_episode() -> None:
    ledger = _seeing(body(running=10, modified=5), DONE, LAGGING, DONE, DONE, first=290)
    episode = ledger.only()
    assert episode.outcome is Outcome.COMPLETED
    assert episode.duration_seconds > 200
    assert _anomalies(ledger)[2] == (Anomaly.COUNTS_DECREASED, Anomaly.MODIFIED_AT_REGRESSED)


def test_a_replica_that_catches_up_is_older_until_it_has() -> None:
    catching_up = (
        body(running=4, completed=6, modified=150),
        LAGGING,
        body(running=1, completed=9, modified=250),
    )
    episodes = _seeing(body(running=10, modified=5), DONE, *catching_up, DONE).episodes()
    assert len(episodes) == 1


def test_an_older_state_before_any_run_was_added() -> None:
    episodes = _seeing(body(running=10, modified=5), DONE, body(modified=1), DONE).episodes()
    assert len(episodes) == 1


def test_an_older_state_while_active_sets_no_bound_and_no_counts() -> None:
    ledger = _seeing(
        body(modified=1),
        body(running=8, completed=2, modified=15),
        body(running=9, completed=1, modified=12),
        body(completed=10, modified=38),
    )
    episode = ledger.only()
    # The window of the end begins where the newest state was last asked for, at 19, not at 29.
    assert in_seconds(episode.completed) == (38, 19, 40, "modified_at")
    still_open = _seeing(
        body(running=8, completed=2, modified=15), body(running=9, completed=1, modified=12)
    ).only()
    assert (still_open.runs.completed, still_open.polls) == (2, 2)
    assert still_open.duration_seconds == 0


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(body(running=2, completed=8, modified=400), id="counts fall alone"),
        pytest.param(body(running=2, completed=12, modified=200), id="modified_at falls alone"),
        pytest.param(body(running=2, completed=10, modified=200), id="counts stay"),
        pytest.param(body(running=2, completed=8), id="modified_at unknown"),
    ],
)
def test_other_states_open_the_next_episode(later: ResponseBody) -> None:
    assert len(_seeing(body(running=10, modified=5), DONE, later, first=290).episodes()) == 2


def test_the_next_stretch_of_work_begins_anew() -> None:
    purged = body(running=3, completed=1, modified=400)
    ledger = _seeing(body(running=10, modified=5), DONE, purged, body(completed=4, modified=410), first=290)
    assert [episode.censored for episode in ledger.episodes()] == [False, False]


def test_a_modified_at_far_ahead_makes_nothing_else_older() -> None:
    mistaken = body(running=1, completed=9, modified=10 * 365 * 86_400)
    ledger = _seeing(body(running=10, modified=5), mistaken, body(running=2, completed=8, modified=30), DONE)
    assert ledger.only().polls == 4
    assert ledger.only().completed is not None


def test_the_body_of_another_group_is_unclear() -> None:
    ledger = _seeing(body(running=50, modified=5), _other_group(completed=3))
    last = ledger.entries[-1].content
    assert isinstance(last, StatusContent)
    assert (last.fields.phase, last.anomalies[-1]) == (Phase.UNCLEAR, Anomaly.ID_MISMATCH)
    assert ledger.only().censored
    assert ledger.only().runs.total == 50


def test_an_entry_of_rules_1_with_the_body_of_another_group_is_skipped_too() -> None:
    ledger = _seeing(body(running=50, modified=5), _other_group(completed=3), body(completed=50, modified=25))
    older = [_as_by_rules_1(entry) for entry in ledger.entries]
    assert episodes_of(older, ledger.watch.open) == ledger.episodes()
    assert len(ledger.episodes()) == 1


def _as_by_rules_1(entry: Entry) -> Entry:
    content = entry.content
    if not isinstance(content, StatusContent) or Anomaly.ID_MISMATCH not in content.anomalies:
        return entry
    fields = replace(content.fields, phase=Phase.SETTLED)
    return replace(entry, content=replace(content, fields=fields, rules=1))


@pytest.mark.parametrize("year", [1, 1970, 1999])
def test_a_placeholder_for_the_creation_dates_nothing(year: int) -> None:
    absurd = _created(f"{year:04}-01-01T00:00:00Z", running=3)
    episode = _seeing(absurd, body(completed=3)).only()
    assert in_seconds(episode.started) == (10, None, 10, "first_sight")
    assert Anomaly.BAD_TIMESTAMP in _anomalies(_seeing(absurd))[0]


def test_a_placeholder_for_modified_at_dates_nothing() -> None:
    value = body(completed=3).value
    value["status"]["modified_at"] = "0001-01-01T00:00:00Z"
    ledger = _seeing(parse_body(json.dumps(value).encode()))
    assert in_seconds(ledger.only().completed) == (10, None, 10, "first_sight")
    assert _anomalies(ledger) == [(Anomaly.BAD_TIMESTAMP,)]


def test_a_creation_after_the_observation_dates_nothing() -> None:
    ledger = _seeing(body(created=11, running=3), body(created=11, completed=3))
    assert in_seconds(ledger.only().started) == (10, None, 10, "first_sight")
    assert _anomalies(ledger) == [(Anomaly.BAD_TIMESTAMP,), ()]


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(_other_group(running=1), id="another group"),
        pytest.param(body(created=1000, running=1), id="after the observation"),
    ],
)
def test_durations_since_the_creation_ignore_what_is_not_the_groups_own(response: ResponseBody) -> None:
    summary, _ = summarize(NOTHING, _seeing(body(created=-5, running=1), response).entries)
    assert summary.created_at is not None
    assert summary.created_at < Ledger().entries[0].at


def _created(text: str, **counts: int) -> ResponseBody:
    return parse_body(json.dumps(body(**counts).value | {"created_at": text}).encode())
