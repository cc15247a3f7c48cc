"""The page of all groups: its figures are those of the API, and its filters, orders and pages hold."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.transactions import writing
from tests.support.api_client import Clock
from tests.support.browsing import Browser
from tests.support.html import Element
from tests.support.recording import Recording, active, after, settled


@pytest.fixture
def several(recording: Recording) -> None:
    for number in range(7):
        name = f"tgrp_{number}"
        recording.watch(name, number)
        label = {"customer": "Acme" if number % 2 else "globex", "number": number}
        recording.see(name, 20 + number, active(running=number, completed=3, failed=1), metadata=label)
    recording.see("tgrp_2", 40, settled(completed=6))
    blocked = {**active(action_required=2), "is_active": False}
    recording.see("tgrp_3", 41, blocked, metadata={"customer": "Acme", "number": 3})
    recording.watch("tgrp_never", 50)
    recording.expect("tgrp_0", 52, runs=500, by=after(60))
    recording.pause("tgrp_1", 55)


def ids_of(page: Element) -> list[str]:
    return [
        row.one("th").one("a").text
        for table in page.of_class("groups")
        for row in table.one("tbody").all("tr")
    ]


def totals_of(page: Element) -> dict[str, str]:
    (listed,) = page.of_class("totals")
    return {div.one("dt").text: div.one("dd").text for div in listed.all("div")}


def test_totals(browser: Browser, several: None, clock: Clock) -> None:
    clock.seconds = 70
    totals = totals_of(browser.get("/"))
    shown = {name: totals[name] for name in ("groups", "active", "blocked", "overdue", "settled today")}
    assert shown == {
        "groups": "8",
        "active": "5",
        "blocked": "1",
        "overdue": "1",
        "settled today": "1",
    }
    assert totals["not seen now"] == str(len(ids_of(browser.get("/?late=true"))))
    assert (totals["recorders"], totals["polls per second"]) == ("none running", "–")


def test_recorders_and_their_polls(browser: Browser, engine: Engine) -> None:
    heartbeat = Heartbeat("r1", "host", 1, after(0), after(100), {"polls": 250}, {})
    with writing(engine) as connection:
        beat(connection, heartbeat)
    totals = totals_of(browser.get("/"))
    assert (totals["recorders"], totals["polls per second"]) == ("1 recording", "2.5")
    tag = browser.respond("/").headers["ETag"]
    with writing(engine) as connection:
        beat(connection, Heartbeat("r1", "host", 1, after(0), after(100), {"polls": 251}, {}))
    # A heartbeat alone changes nothing that the page shows.
    assert browser.respond("/", If_None_Match=tag).status_code == 304


def test_rows_equal_the_api(browser: Browser, several: None) -> None:
    page = browser.get("/")
    listing: Any = browser.json("/api/v1/groups")
    assert ids_of(page) == [group["taskgroup_id"] for group in listing["items"]]
    for row, group in zip(page.of_class("groups")[0].one("tbody").all("tr"), listing["items"], strict=True):
        cells = {cell.attributes.get("data-label", ""): cell for cell in row.all("td")}
        assert cells["phase"].text.split()[0] == (group["phase"] or "not")
        if group["status"]:
            finished, total = group["progress"]["finished"], group["progress"]["total"]
            assert cells["progress"].of_class("figures")[0].text == f"{finished} of {total}"
            assert cells["last seen"].one("time").attributes["datetime"] == group["last_seen_at"]
            counts = group["status"]["task_run_status_counts"]
            assert cells["failed"].text == str(counts.get("failed", 0))
            bar = cells["progress"].of_class("progress")[0]
            named = set(bar.attributes["aria-label"].removesuffix(f" of {total}").split(", "))
            assert named == {f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count}
            widths = [float(rect.attributes["width"][:-1]) for rect in bar.all("rect")[1:]]
            assert sum(widths) == pytest.approx(100, abs=0.01)
        else:
            assert cells["failed"].text == "–"
    assert "500 expected" in page.text and "runs missing" in page.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("phase=settled", ["tgrp_2"]),
        ("phase=blocked,settled", ["tgrp_3", "tgrp_2"]),
        ("state=paused", ["tgrp_1"]),
        ("metadata.customer=Acme", ["tgrp_5", "tgrp_3", "tgrp_1"]),
        ("key=customer&value=Acme&phase=", ["tgrp_5", "tgrp_3", "tgrp_1"]),
        ("metadata.customer=Acme&metadata.number=3", ["tgrp_3"]),
        ("text=aCmE", ["tgrp_5", "tgrp_3", "tgrp_1"]),
        ("text=NEVER", ["tgrp_never"]),
        ("text=%25", []),
        ("sort=oldest&phase=active", ["tgrp_0", "tgrp_1", "tgrp_4", "tgrp_5", "tgrp_6"]),
        ("sort=id&phase=settled,blocked", ["tgrp_2", "tgrp_3"]),
        ("sort=changed&limit=3", ["tgrp_1", "tgrp_0", "tgrp_never"]),
    ],
)
def test_filters_and_orders(browser: Browser, several: None, query: str, expected: list[str]) -> None:
    assert ids_of(browser.get(f"/?{query}")) == expected


@pytest.mark.parametrize("sort", ["newest", "oldest", "id", "changed", "unseen"])
def test_pages_show_every_group_once(browser: Browser, several: None, sort: str) -> None:
    whole = ids_of(browser.get(f"/?sort={sort}"))
    found: list[str] = []
    address: str | None = f"?sort={sort}&limit=3"
    while address is not None:
        page = browser.get(f"/{address}")
        found += ids_of(page)
        following = page.all("a", lambda link: link.attributes.get("rel") == "next")
        address = following[0].attributes["href"] if following else None
    assert found == whole and len(set(found)) == 8


def test_a_filter_can_be_removed(browser: Browser, several: None) -> None:
    page = browser.get("/?metadata.customer=Acme&metadata.number=3&sort=id")
    (first, _) = page.of_class("active-filters")[0].all("a")
    assert ids_of(browser.get(f"/{first.attributes['href']}")) == ["tgrp_3"]
    hidden = {
        field.attributes["name"] for field in page.all("input") if field.attributes.get("type") == "hidden"
    }
    assert hidden == {"metadata.customer", "metadata.number"}
