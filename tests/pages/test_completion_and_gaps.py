"""The pages of completion, gaps and events equal the API."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, delete

from api.pages.charts.scale import span_words
from recorder.store.event_tables import events
from recorder.store.events import publish_events
from recorder.store.transactions import writing
from tests.support.api_client import Clock
from tests.support.browsing import Browser
from tests.support.recording import Recording, active, after, settled

EMPTY = {**settled(), "num_task_runs": 0}


@pytest.fixture
def cohorts(recording: Recording) -> None:
    for number in range(6):
        name, label = f"tgrp_{number}", {"metadata": {"customer": "acme" if number % 2 else "globex"}}
        recording.watch(name, number)
        if number > 2:
            recording.see(name, 6 + number, EMPTY, **label)
        recording.see(name, 20 + number, active(running=3), **label)
        if number < 5:
            recording.see(name, 30 + 5 * number, settled(completed=3), **label)


@pytest.mark.parametrize(
    ("page_query", "api_query"),
    [
        ("", ""),
        ("group_by=customer", "group_by=metadata.customer"),
        ("metadata.customer=acme&enrolled=prospective&since=", "metadata.customer=acme&enrolled=prospective"),
        ("from=2026-11-24T12:00:22&than_to=2026-11-24T12:00:22",
         "from=2026-11-24T12:00:22Z&than_to=2026-11-24T12:00:22Z&compare=time"),
    ],
)  # fmt: skip
def test_quantiles_equal_the_api(browser: Browser, cohorts: None, page_query: str, api_query: str) -> None:
    page = browser.get(f"/completion?{page_query}")
    answer: Any = browser.json(f"/api/v1/completion?{api_query}")
    rows = page.of_class("quantiles")[0].one("tbody").all("tr")
    assert len(rows) == len(answer["items"]) + ("comparison" in answer)
    for row, item in zip(rows, answer["items"], strict=False):
        cells = [cell.text for cell in row.all("td")]
        assert cells[:2] == [str(item["completed"]), str(item["censored"])]
        for cell, name in zip(cells[2:6], ("p50", "p90", "p95", "p99"), strict=True):
            seconds = item[name]["seconds"]
            assert cell.startswith("not reached" if seconds is None else span_words(seconds))
    drawn = [item for item in answer["items"] if item["episodes"]]
    assert len(page.with_id("survival-plot").of_class("curve")) == len(drawn)
    assert len(page.with_id("survival-plot").of_class("envelope")) == len(drawn)


def test_an_outage_of_many_groups_is_one_bar(browser: Browser, recording: Recording, clock: Clock) -> None:
    for number in range(4):
        recording.watch(f"tgrp_{number}", number)
        recording.see(f"tgrp_{number}", 10 + number, active(running=1))
    for number in range(4):
        recording.fail(f"tgrp_{number}", 25 + number)
    for number in range(4):
        recording.see(f"tgrp_{number}", 90 + number, active(running=1))
    page = browser.get("/gaps")
    (bar,) = page.with_id("outages-plot").of_class("gap")
    lo, hi = (float(page.with_id("outages-plot").attributes[name]) for name in ("data-lo", "data-hi"))
    x, width = (float(bar.attributes[name].rstrip("%")) / 100 for name in ("x", "width"))
    assert lo + x * (hi - lo) == pytest.approx(after(10).timestamp() * 1000, abs=2)
    assert lo + (x + width) * (hi - lo) == pytest.approx(after(93).timestamp() * 1000, abs=2)
    cells = [cell.text for cell in page.one("tbody").all("td")]
    assert cells[3:5] == ["4", "4"] and "tgrp_0, tgrp_1, tgrp_2, tgrp_3" in cells[5].replace(" ,", ",")
    for query in ("cause=timeout", "to=2026-11-24T12:00:05"):
        assert "No gap" in browser.get(f"/gaps?{query}").of_class("empty")[0].text
    for number in range(4):
        recording.see(f"tgrp_{number}", 96 + number, active(running=1))
    clock.seconds = 400
    assert len(browser.get("/gaps?cause=not_polled").with_id("outages-plot").of_class("gap")) == 2


def test_events(browser: Browser, engine: Engine, cohorts: None) -> None:
    with writing(engine) as connection:
        publish_events(connection)
    events: Any = browser.json("/api/v1/events")
    page = browser.get("/events?limit=7")
    shown = [row.one("th").text for row in page.one("tbody").all("tr")]
    newest = [str(item["id"]) for item in events["items"][::-1]]
    assert shown == newest[:7]
    following = page.one("a", lambda link: link.attributes.get("rel") == "next").attributes["href"]
    older = [row.one("th").text for row in browser.get(f"/events{following}").one("tbody").all("tr")]
    assert older == newest[7:14]
    only = browser.get("/events?type=group.settled&taskgroup_id=tgrp_3")
    assert len(only.one("tbody").all("tr")) == 1


def test_anomalies_of_all_ledgers(browser: Browser, engine: Engine, recording: Recording) -> None:
    """They are counted from the ledgers: events of imported and of older entries were never written."""
    nothing = browser.get("/audit")
    odd, mismatch = {**active(running=3), "num_task_runs": 5}, {"status_message": 7, "num_task_runs": 9}
    said = {"tgrp_1": [odd, {**odd, **mismatch}], "tgrp_2": [odd, settled(completed=1)], "tgrp_3": [EMPTY]}
    for name, statuses in said.items():
        recording.watch(name, 0)
        for place, status in enumerate(statuses, 1):
            recording.see(name, 10 * place, status)
    with writing(engine) as connection:
        connection.execute(delete(events))
    page = browser.get("/audit")
    assert "None was found" in nothing.text and "None was found" not in page.text
    rows = [(row.one("th").text, row.one("td").text) for row in page.all("table")[0].one("tbody").all("tr")]
    assert rows == [("bad type", "1"), ("count mismatch", "2")]


def test_milestones_count_what_is_not_reached(browser: Browser, recording: Recording) -> None:
    """Of four episodes one has half of its runs finished by 10 s, two by 20 s, and one has not."""
    for number, half_at in enumerate((10, 20, 20, None)):
        name = f"tgrp_{number}"
        recording.watch(name, 0)
        recording.see(name, 1, EMPTY, metadata={"customer": "acme"})
        recording.see(name, 1.5, active(running=4), metadata={"customer": "acme"})
        if half_at is not None:
            recording.see(name, half_at, active(completed=2, running=2), metadata={"customer": "acme"})
        else:
            recording.see(name, 30, active(completed=1, running=3), metadata={"customer": "acme"})
    for query in ("", "group_by=customer"):
        (row,) = browser.get(f"/completion?{query}").of_class("milestones")[0].one("tbody").all("tr")
        cells = [cell.text for cell in row.all("td")]
        assert cells[0].split() == [*span_words(9.5).split(), "3", "of", "4"]
        assert cells[1:] == ["not reached 0 of 4"] * 4
    assert not browser.get("/completion?since=created").of_class("milestones")
