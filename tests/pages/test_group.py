"""The page of a group: its figures are those of the API, and its chart shows the ledger."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tests.support.api_client import Clock
from tests.support.browsing import Browser
from tests.support.html import Element
from tests.support.recording import Recording, active, after, settled

CREATED = "2026-11-24T12:00:01Z"
PAGE, API = "/groups/tgrp_1", "/api/v1/groups/tgrp_1"


@pytest.fixture
def worked(recording: Recording, clock: Clock) -> None:
    """One episode with a gap in it, a pause, and an open gap at the end."""
    recording.watch("tgrp_1")
    created = {"created_at": CREATED}
    recording.see("tgrp_1", 10, active(queued=8, running=2), **created)
    recording.see("tgrp_1", 20, active(running=7, completed=3), **created)
    recording.see("tgrp_1", 30, active(running=7, completed=3), **created)
    recording.fail("tgrp_1", 42)
    recording.fail("tgrp_1", 60)
    recording.see("tgrp_1", 120, active(running=3, completed=6, failed=1), **created)
    for seconds in (130, 140):
        recording.see("tgrp_1", seconds, settled(completed=8, failed=1, cancelled=1), **created)
    clock.seconds = 200


def chart_of(page: Element) -> Element:
    return page.with_id("runs-plot")


def millis(time: str | datetime) -> float:
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    return moment.timestamp() * 1000


def nearly(expected: list[tuple[float, float]]) -> Any:
    """Stretches that are equal to two milliseconds."""
    return [pytest.approx(stretch, abs=2) for stretch in expected]


def stretches(chart: Element, name: str) -> list[tuple[float, float]]:
    """Return where the shapes of a class lie, in Unix milliseconds."""
    lo, hi = float(chart.attributes["data-lo"]), float(chart.attributes["data-hi"])
    found = []
    for shape in chart.of_class(name):
        x, width = (float(shape.attributes[side].rstrip("%")) / 100 for side in ("x", "width"))
        found.append((lo + x * (hi - lo), lo + (x + width) * (hi - lo)))
    return sorted(found)


def test_gaps_are_drawn_where_the_api_says(browser: Browser, worked: None) -> None:
    chart = chart_of(browser.get(PAGE))
    gaps: Any = browser.json(f"{API}/gaps")
    closed, still_open = gaps["items"]
    assert still_open["to"] is None
    expected = [
        (millis(closed["from"]), millis(closed["to"])),
        (millis(still_open["from"]), millis(after(200))),
    ]
    assert stretches(chart, "gap") == nearly(expected)
    assert (float(chart.attributes["data-lo"]), float(chart.attributes["data-hi"])) == (
        millis(after(0)),
        millis(after(200)),
    )


def test_the_drawn_steps_are_those_of_the_ledger(browser: Browser, worked: None) -> None:
    figure = browser.get(PAGE).one("figure")
    data = json.loads(figure.attributes["data-chart"])
    drawn = {
        at: {track["name"]: track["values"][place] for track in data["tracks"]}
        for place, at in enumerate(data["at"])
    }
    history: Any = browser.json(f"{API}/history?kind=status")
    for entry in history["items"]:
        counts = entry["status"]["task_run_status_counts"]
        values = drawn[millis(entry["observed_at"])]
        assert {name: count for name, count in values.items() if count} == counts
    for nothing_seen in (millis(after(30)), millis(after(140))):
        assert set(drawn[nothing_seen].values()) == {None}


def test_windows_of_uncertainty(browser: Browser, worked: None, recording: Recording, clock: Clock) -> None:
    for seconds in range(150, 200, 10):
        recording.see("tgrp_1", seconds, settled(completed=8, failed=1, cancelled=1), created_at=CREATED)
    clock.seconds = 195
    # Each change that follows a status lies between the poll before it and its own response.
    bands = stretches(chart_of(browser.get(PAGE)), "uncertain")
    expected = [(millis(after(9.75)), millis(after(20))), (millis(after(119.75)), millis(after(130)))]
    assert bands == nearly(expected)
    close = browser.get(f"{PAGE}?from={after(10):%Y-%m-%dT%H:%M:%S}&to={after(21):%Y-%m-%dT%H:%M:%S}")
    assert not chart_of(close).of_class("uncertain")
    assert "would cover much" in close.text


def test_a_zoomed_chart_shows_its_stretch(browser: Browser, worked: None) -> None:
    page = browser.get(f"{PAGE}?from=2026-11-24T12:00:25Z&to=2026-11-24T12:01:00Z")
    chart = chart_of(page)
    assert float(chart.attributes["data-lo"]) == millis(after(25))
    assert stretches(chart, "gap") == nearly([(millis(after(30)), millis(after(60)))])
    data = json.loads(page.one("figure").attributes["data-chart"])
    completed = next(track for track in data["tracks"] if track["name"] == "completed")
    # What is in force at its beginning was seen before.
    assert completed["values"][0] == 3
    links = {
        link.text: link.attributes["href"] for link in page.all("a") if link.attributes["href"][0] == "?"
    }
    assert {"zoom in", "zoom out", "earlier", "later", "everything"} <= links.keys()
    for address in links.values():
        assert chart_of(browser.get(f"{PAGE}{address}"))


def test_a_pause_is_neither_a_gap_nor_seen(browser: Browser, recording: Recording) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 10, active(running=2))
    recording.pause("tgrp_1", 20)
    recording.watch("tgrp_1", 60)
    recording.see("tgrp_1", 61, active(running=2))
    page = browser.get(PAGE)
    chart = chart_of(page)
    assert not chart.of_class("gap")
    assert stretches(chart, "unwatched") == nearly([(millis(after(20)), millis(after(60)))])
    assert "lunch" in page.of_class("logbook")[0].text


@pytest.mark.parametrize("seconds", [5, 15, 25, 60, 125, 131, 190])
def test_as_of_is_that_of_the_api(browser: Browser, worked: None, seconds: int) -> None:
    moment = f"{after(seconds):%Y-%m-%dT%H:%M:%S}"
    page = browser.get(f"{PAGE}?at={moment}")
    answer: Any = browser.json(f"{API}/status?at={moment}Z")
    shown = page.with_id("as-of")
    assert shown.of_class("chip")[0].text == answer["certainty"].replace("_", " ")
    for status in (answer["status"], answer["next_status"]):
        for name, count in (status or {}).get("task_run_status_counts", {}).items():
            assert f"{count} {name}" in shown.text


def test_a_moment_in_the_future(browser: Browser, worked: None) -> None:
    assert "future" in browser.get(f"{PAGE}?at=2099-01-01T00:00", 422).text


def test_the_logbook_equals_the_history(browser: Browser, worked: None) -> None:
    history: Any = browser.json(f"{API}/history?order=desc")
    shown: list[Element] = []
    address: str | None = "?limit=4"
    while address is not None:
        page = browser.get(f"{PAGE}{address}")
        shown += page.of_class("logbook")[0].one("tbody").all("tr")
        following = page.all("a", lambda link: link.attributes.get("rel") == "next")
        address = following[0].attributes["href"] if following else None
    assert len(shown) == len(history["items"])
    for row, entry in zip(shown, history["items"], strict=True):
        assert row.one("th").text == str(entry["seq"] or "open")
        assert [code.attributes["title"] for code in row.all("code")] == [entry["digest"]] * (
            entry["seq"] is not None
        )
    assert "+3 completed" in " ".join(row.text for row in shown)


def test_completion_equals_the_api(browser: Browser, worked: None) -> None:
    completion: Any = browser.json(f"{API}/completion")
    (episode,) = completion["episodes"]
    page = browser.get(PAGE)
    cells = page.text
    for moment in (episode["started"], episode["completed"]):
        assert page.all("time", lambda time, at=moment["at"]: time.attributes["datetime"] == at)
    assert f"{episode['duration_seconds'] // 60:.0f} min" in cells and episode["outcome"] in cells
    assert "8 completed, 1 failed, 1 cancelled of 10" in cells
    assert len(chart_of(page).of_class("episode")) == 2
    assert len(chart_of(page).of_class("milestone")) == 4


def test_what_can_be_taken_along(browser: Browser, worked: None) -> None:
    page = browser.get(PAGE)
    links = [link.attributes["href"] for link in page.of_class("button") if link.tag == "a"]
    assert len(links) == 7
    for link in links:
        assert browser.respond(link.replace("..", "")).status_code == 200
    lines = page.with_id("commands").text
    assert "recorder history tgrp_1" in lines
    assert "SELECT * FROM status_history WHERE taskgroup_id = 'tgrp_1' ORDER BY seq;" in lines
    assert "curl http://localhost/api/v1/groups/tgrp_1/history" in lines
    below = browser.get(PAGE, X_Forwarded_Prefix="/tasks").with_id("commands").text
    assert "curl http://localhost/tasks/api/v1/groups/tgrp_1/history" in below
    harmful = browser.get(PAGE, X_Forwarded_Prefix="/$(reboot)").with_id("commands").text
    assert "reboot" not in harmful


def test_commands_of_an_odd_id(browser: Browser, recording: Recording) -> None:
    recording.watch("-it's; rm $X")
    lines = browser.get("/groups/-it's%3B%20rm%20$X").with_id("commands").text
    assert """recorder history -- '-it'"'"'s; rm $X'""" in lines
    assert "taskgroup_id = '-it''s; rm $X'" in lines


def test_a_group_that_was_never_seen(browser: Browser, recording: Recording, clock: Clock) -> None:
    recording.watch("tgrp_1")
    clock.seconds = 20
    assert "not seen yet" in browser.get(PAGE).of_class("empty")[0].text
    clock.seconds = 100
    chart = chart_of(browser.get(PAGE))
    assert stretches(chart, "gap") == nearly([(millis(after(0)), millis(after(100)))])


def test_an_open_gap_grows(browser: Browser, worked: None, clock: Clock) -> None:
    tag = browser.respond(PAGE).headers["ETag"]
    clock.seconds = 230
    grown = browser.respond(PAGE, If_None_Match=tag)
    assert grown.status_code == 200
    assert stretches(chart_of(browser.get(PAGE)), "gap")[-1][1] == pytest.approx(millis(after(230)), abs=2)
