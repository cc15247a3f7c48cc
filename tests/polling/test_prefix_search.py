"""When polls ask under the other prefix, and when they take it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from recorder.ledger.entries import Action, WatchChange
from recorder.ledger.poll_outcome import Cause, Failure, Observation, PollOutcome
from recorder.ledger.transitions import observe, start
from recorder.ledger.watch import Watch
from recorder.polling.prefix_search import DOUBTFUL_MISSES, PrefixSearch
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.schedule import Intervals
from recorder.upstream.prefixes import other_prefix
from tests.support.bodies import body_value, moment, parsed
from tests.support.stories import RULES

INTERVALS = Intervals(*(timedelta(seconds=each) for each in (10, 60, 300, 32)))


class Provider:
    """A client whose groups are found under some prefixes, and which counts requests by prefix."""

    def __init__(self, *found_under: str) -> None:
        self.prefix = "/v1beta"
        self.found_under = set(found_under)
        self.requests: Counter[str] = Counter()
        self.other: PollOutcome | None = None
        self.answers_after: dict[str, int] = {}

    async def poll(self, taskgroup_id: str) -> PollOutcome:
        return await self.poll_under(self.prefix, taskgroup_id)

    async def poll_under(self, prefix: str, taskgroup_id: str) -> PollOutcome:
        self.requests[prefix] += 1
        for _ in range(self.answers_after.pop(taskgroup_id, 1)):
            await asyncio.sleep(0)
        if prefix in self.found_under:
            return Observation(moment(1), moment(2), parsed(body_value(taskgroup_id=taskgroup_id)))
        if prefix != self.prefix and self.other is not None:
            return self.other
        return Failure(moment(1), moment(2), Cause.NOT_FOUND, 404, "no")


class Search:
    def __init__(self, runner: asyncio.Runner, *found_under: str) -> None:
        self.provider = Provider(*found_under)
        self.now = 0.0
        self._runner = runner
        self.search = PrefixSearch(cast(Any, self.provider), INTERVALS, RateLimiter(100, 0), lambda: self.now)

    def poll(self, *watches: Watch) -> list[str]:
        """Poll groups concurrently; return what came of it."""

        async def scenario() -> list[PollOutcome]:
            return await asyncio.gather(*map(self.search.poll, watches))

        outcomes = self._runner.run(scenario())
        return ["seen" if isinstance(one, Observation) else one.cause.value for one in outcomes]


Begin = Callable[..., Search]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins a story with the prefixes under which groups are found."""
    with asyncio.Runner() as runner:
        yield lambda *found_under: Search(runner, *found_under)


def unseen(name: str = "tgrp_1") -> Watch:
    return start(name, WatchChange(Action.STARTED, "ann", None), moment(0), RULES).watch


def watched(name: str = "tgrp_1") -> Watch:
    body = parsed(body_value(taskgroup_id=name))
    return observe(unseen(name), Observation(moment(0), moment(0), body), RULES).watch


MISS, SEEN = ["not_found"], ["seen"]


def test_the_other_prefix_is_taken_after_enough_misses_in_a_row(begin: Begin) -> None:
    story = begin("/v1beta")
    assert story.poll(watched()) == SEEN and story.search.taken is None
    story.provider.found_under = {"/v1"}
    for _ in range(DOUBTFUL_MISSES - 1):
        assert story.poll(watched()) == MISS
    assert story.provider.requests["/v1"] == 0
    assert story.poll(watched()) == SEEN and story.search.taken == "/v1"
    assert story.poll(watched()) == SEEN
    assert story.provider.requests == {"/v1beta": 1 + DOUBTFUL_MISSES, "/v1": 2}


def test_at_the_start_one_miss_is_enough_and_polls_meanwhile_wait_for_the_answer(begin: Begin) -> None:
    story = begin("/v1")
    assert story.poll(*(watched(f"tgrp_{number}") for number in range(4))) == SEEN * 4
    assert story.provider.requests == {"/v1beta": 4, "/v1": 4}


def test_a_miss_that_arrives_after_the_prefix_was_left_is_asked_again(begin: Begin) -> None:
    story = begin("/v1")
    story.provider.answers_after["tgrp_2"] = 20
    assert story.poll(watched(), watched("tgrp_2")) == ["seen"] * 2
    assert story.provider.requests == {"/v1beta": 2, "/v1": 2}


def test_one_poll_at_a_time_asks_and_ever_more_rarely(begin: Begin) -> None:
    story, asked_at = begin(), []
    for second in range(200):
        story.now, before = float(second), story.provider.requests["/v1"]
        assert story.poll(watched("tgrp_1"), watched("tgrp_2")) == MISS * 2
        assert story.provider.requests["/v1"] - before <= 1
        asked_at += [second] if story.provider.requests["/v1"] > before else []
    assert asked_at[:4] == [0, 4, 12, 20]
    assert len(asked_at) < 15 and story.search.taken is None


def test_a_group_that_is_gone_among_others_does_not_ask_elsewhere(begin: Begin) -> None:
    story, gone = begin(), watched("tgrp_gone")
    story.poll(gone)
    asked = story.provider.requests["/v1"]
    for _ in range(20):
        story.provider.found_under = {"/v1beta"}
        assert story.poll(watched()) == SEEN
        story.provider.found_under = set()
        story.now += 1000
        assert story.poll(gone) == MISS
    assert story.provider.requests["/v1"] == asked


def test_a_group_that_was_never_seen_asks_elsewhere_as_long_as_none_was_found(begin: Begin) -> None:
    story = begin("/v1")
    assert story.poll(unseen()) == SEEN and story.search.taken == "/v1"


def test_a_group_that_was_never_seen_among_others_does_not_ask_elsewhere(begin: Begin) -> None:
    story = begin("/v1beta")
    assert story.poll(watched()) == SEEN
    story.provider.found_under = {"/v1"}
    for _ in range(10):
        assert story.poll(unseen()) == MISS
    assert story.provider.requests["/v1"] == 0


@pytest.mark.parametrize(
    "answer",
    [
        Failure(moment(1), moment(2), Cause.SERVER_ERROR, 500, "oops"),
        Observation(moment(1), moment(2), parsed(body_value(taskgroup_id="tgrp_of_another"))),
    ],
    ids=["failure", "another group"],
)
def test_anything_but_the_group_leaves_the_prefix_and_the_outcome(begin: Begin, answer: PollOutcome) -> None:
    story = begin()
    story.provider.other = answer
    assert story.poll(watched()) == MISS
    assert story.provider.requests["/v1"] == 1 and story.search.taken is None


def test_it_goes_back_if_the_provider_does(begin: Begin) -> None:
    story = begin("/v1")
    with capture_logs() as logs:
        assert story.poll(watched()) == SEEN and story.search.taken == "/v1"
        story.provider.found_under = {"/v1beta"}
        assert [story.poll(watched()) for _ in range(DOUBTFUL_MISSES)][-1] == SEEN
    assert story.search.taken is None
    assert ["set RECORDER_UPSTREAM_PREFIX" in line["event"] for line in logs] == [True, False]


@pytest.mark.parametrize(
    ("prefix", "other"),
    [("/v1", "/v1beta"), ("/v1beta", "/v1"), ("/proxy/v1beta", "/proxy/v1"), ("", None), ("/v2", None)],
)
def test_the_other_prefix(prefix: str, other: str | None) -> None:
    assert other_prefix(prefix) == other
