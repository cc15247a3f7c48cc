"""The architecture page: folders, columns, figures and the example of a gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recorder.ledger.entries import Action, Gap, WatchChange
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.transitions import Transition, fail, observe, start
from recorder.polling import service
from recorder.polling.result_writer import WRITE_BATCH
from recorder.polling.schedule import Intervals, plan
from recorder.settings import Settings
from recorder.status_file import ALIVE_SECONDS
from recorder.store.tables import watches
from tests.support.bodies import RUNNING
from tests.support.pages import ROOT, first_codes, page, table

PAGE = "docs/architecture.md"


def test_folders() -> None:
    packages = {path.parent.relative_to(ROOT) for path in ROOT.glob("recorder/*/__init__.py")}
    described = set(first_codes(table(PAGE, "Folders")))
    assert described == {str(path) for path in packages} | {"api", "migrations"}


def test_the_four_times_are_columns() -> None:
    assert set(first_codes(table(PAGE, "The four times of a watch row"))) <= set(watches.c.keys())


def test_figures() -> None:
    text = page(PAGE)
    assert service.CLAIM_SECONDS == service.FLUSH_SECONDS
    assert text.count(f"Every {service.CLAIM_SECONDS} s") == 2
    assert f"up to {WRITE_BATCH} results" in text
    assert f"has stood still for {ALIVE_SECONDS:g} s" in text
    assert f"polls under way get {service.LAST_POLLS_SECONDS:g} s" in text
    assert f"All of it has {service.SHUTDOWN_SECONDS:g} s" in text


def _moment(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-24T{clock}").replace(tzinfo=UTC)


def test_the_example_of_a_gap() -> None:
    """Replay the page's table of polls with the default settings and check the resulting entries."""
    settings = Settings.model_construct()
    rules = settings.rules
    intervals = Intervals(
        timedelta(seconds=settings.poll_interval),
        timedelta(seconds=settings.max_interval),
        timedelta(seconds=settings.settled_interval),
        rules.gap_window,
    )
    noon = _moment("12:00:00")
    step = start("tgrp_1", WatchChange(Action.STARTED, "ada", None), noon, rules)
    step = observe(step.watch, Observation(noon, noon, RUNNING), rules)
    planned = plan(step.watch, noon, intervals, chance=0)
    assert (planned.watch.due_at, planned.watch.gap_at) == (_moment("12:00:10"), _moment("12:00:40"))
    *failed_polls, last = table(PAGE, "How a gap comes about")
    for time, status, next_time in failed_polls:
        at = _moment(time)
        assert planned.next_poll_at == at
        step = fail(planned.watch, Failure(at, at, Cause.SERVER_ERROR, int(status), "busy"), rules)
        planned = plan(step.watch, at, intervals, chance=0)
        assert planned.next_poll_at == _moment(next_time)
    at = _moment(last[0])
    assert planned.next_poll_at == at
    _check_gap(observe(planned.watch, Observation(at, at, RUNNING), rules), noon, at, len(failed_polls))


def _check_gap(step: Transition, since: datetime, until: datetime, attempts: int) -> None:
    gap, _ = (entry.content for entry in step.entries)
    assert isinstance(gap, Gap)
    assert (gap.from_, gap.to, gap.cause) == (since, until, Cause.SERVER_ERROR)
    assert (gap.attempts, gap.unpolled_seconds) == (attempts, 0)
    assert f"cause `{gap.cause}`, {attempts} attempts" in page(PAGE)
