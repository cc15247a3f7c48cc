"""A rate limit for all requests holds back every recorder of the database."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from sqlalchemy import Engine

from recorder.ledger.entries import Gap, Kind
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.timestamps import parse_time
from recorder.polling.retry_hold import RetryHold
from recorder.polling.schedule import LONGEST_RETRY
from recorder.settings import Settings
from recorder.store.history import HistoryFilter, read_history
from recorder.store.transactions import reading
from tests.polling.recorders import StartUpstream, record
from tests.support.request_log import read_log

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
GROUPS, RECORDERS = 40, 2


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def limited(seconds: float, retry_after: float | None = 60) -> Failure:
    return Failure(at(seconds - 0.1), at(seconds), Cause.RATE_LIMITED, 429, "slow down", retry_after)


def answered(seconds: float) -> Observation:
    return Observation(at(seconds - 0.1), at(seconds), parse_body(b'{"status": {}}'))


def limit_for_all(hold: RetryHold, retry_after: float = 60) -> None:
    for number in range(4):
        hold.polled(f"tgrp_{number}", limited(number * 0.5, retry_after))


def test_a_limit_that_several_groups_meet_holds_back_all() -> None:
    hold = RetryHold()
    limit_for_all(hold)
    assert hold.holds(at(2)) and hold.holds(at(61)) and not hold.holds(at(62))
    assert hold.news() and not hold.news()


def test_a_limit_of_one_group_holds_back_nothing() -> None:
    hold = RetryHold()
    for seconds in range(10):
        hold.polled("tgrp_1", limited(seconds))
    assert not hold.holds(at(10)) and not hold.news()


def test_groups_that_meet_limits_while_others_are_answered_hold_back_nothing() -> None:
    hold = RetryHold()
    for number in range(20):
        hold.polled(f"tgrp_{number}", limited(number * 0.3))
        if number % 3 == 0:
            hold.polled("tgrp_fine", answered(number * 0.3 + 0.1))
    assert not hold.holds(at(7))


def test_the_first_response_to_a_later_poll_ends_it() -> None:
    hold = RetryHold()
    limit_for_all(hold)
    hold.polled("tgrp_early", answered(1.05))
    assert hold.holds(at(2)) and hold.news()
    hold.polled("tgrp_1", answered(3))
    assert not hold.holds(at(3)) and hold.news()


def test_it_never_lasts_longer_than_a_retry() -> None:
    hold = RetryHold()
    limit_for_all(hold, retry_after=3600)
    assert hold.until == at(1.5) + LONGEST_RETRY


def test_what_another_recorder_reports_is_obeyed_unless_its_clock_is_wrong() -> None:
    hold = RetryHold()
    hold.told(at(3600), at(0))
    assert not hold.holds(at(1))
    hold.told(at(30), at(0))
    assert hold.holds(at(1)) and not hold.news()


def test_recorders_wait_together_and_the_gaps_say_why(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    pace = {
        "poll_interval": 4.0,
        "max_interval": 4.0,
        "settled_interval": 4.0,
        "gap_grace": 4.0,
        "rate": 12.0,
    }
    settings = settings.model_copy(update=pace)
    upstream = start_upstream("5-16:429")
    ids = [upstream.create(engine, settings) for _ in range(GROUPS)]

    def gaps(taskgroup_id: str) -> list[Gap]:
        with reading(engine) as connection:
            items = read_history(connection, taskgroup_id, HistoryFilter(kinds=[Kind.GAP]), 10)
        return [item.content for item in items if isinstance(item.content, Gap)]

    record(settings, engine, upstream, lambda: all(map(gaps, ids)), recorders=RECORDERS)
    refused = [parse_time(line["at"]) for line in read_log(upstream.log) if line["status"] == 429]
    # Groups are due all the time, but they wait until their gaps are about to open.
    longest_pause = max(later - earlier for earlier, later in pairwise(sorted(refused)))
    assert longest_pause > timedelta(seconds=1)
    assert len(refused) <= 1.2 * GROUPS
    causes = Counter(gap.cause for taskgroup_id in ids for gap in gaps(taskgroup_id))
    # A slow machine may make some polls too late by itself.
    assert causes[Cause.RATE_LIMITED] >= 0.8 * causes.total()
