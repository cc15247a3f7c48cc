"""The pages in a real browser: what is drawn, told, asked and reached, with and without scripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.request import urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine

from api.app import create_app
from api.pages import page as pages
from recorder.ledger.timestamps import parse_time
from recorder.store.engine import check_url, open_engine
from recorder.store.events import publish_events
from recorder.store.transactions import writing
from recorder.tokens import Token
from tests.support.api_client import Clock
from tests.support.chromium import Visit, chromium, served
from tests.support.recording import Recording, active, after, settled

WORKED = "groups/tgrp_worked"
PATHS = (
    *(
        "?limit=6",
        WORKED,
        f"{WORKED}?at=2026-11-24T12:01:00",
        "completion?group_by=customer",
        "gaps",
        "events?limit=8",
    ),
    *("audit?limit=5", "groups/nobody"),
)
TOKEN = Token("a", "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b")
SERIOUS = {"serious", "critical"}
WIDE = 1100
FORMS: tuple[tuple[Literal["light", "dark"], int], ...] = (
    ("light", WIDE),
    ("dark", WIDE),
    ("light", 390),
    ("dark", 390),
)
CHECKS: dict[str, dict[str, Any] | None] = {"light": None, "dark": {"runOnly": ["color-contrast"]}}
"""What axe looks at: of the other theme only the colours differ."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def _label(number: int) -> dict[str, Any]:
    return {"customer": "acme <b>" if number % 2 else "globex", "batch": number}


class Site:
    """A database with a variety of groups, and the app over it."""

    def __init__(self, url: str) -> None:
        self.writer: Engine = open_engine(check_url(url))
        self.reader: Engine = open_engine(check_url(url), read_only=True)
        self.recording = Recording(self.writer)
        self.clock = Clock()
        self._record()
        self.app = create_app(self.reader, now=self.clock)

    def _record(self) -> None:
        see = self.recording.see
        for number in range(60):
            self.recording.watch(f"tgrp_{number:02}", number / 100)
        for number in range(60):
            see(
                f"tgrp_{number:02}",
                2 + number / 100,
                active(queued=1, running=2, completed=number),
                metadata=_label(number),
            )
        self.recording.watch("tgrp_worked", 5)
        for seconds in range(10, 60, 10):
            done = seconds // 10
            see("tgrp_worked", seconds, active(queued=4, running=12 - done, completed=done, failed=1))
        self.recording.fail("tgrp_worked", 62)
        see("tgrp_worked", 120, active(running=4, completed=10, failed=1, action_required=2))
        see("tgrp_worked", 130, settled(completed=15, failed=1, cancelled=1))
        see("tgrp_worked", 140, settled(completed=15, failed=1, cancelled=1))
        for number in range(20):
            see(f"tgrp_{number:02}", 150 + number, settled(completed=number + 3), metadata=_label(number))
        with writing(self.writer) as connection:
            publish_events(connection)
        self.clock.seconds = 175

    def close(self) -> None:
        self.writer.dispose()
        self.reader.dispose()


@pytest.fixture(scope="module")
def site(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path = tmp_path_factory.mktemp("pages") / "recorder.db"
    shutil.copyfile(sqlite_template, path)
    site = Site(f"sqlite:///{path}")
    yield site
    site.close()


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    with served(site.app) as address:
        yield address


@contextmanager
def visiting(browser: Browser, address: str, **options: Any) -> Iterator[Visit]:
    visit = Visit(browser, address, **options)
    yield visit
    visit.close()


def api(address: str, path: str) -> Any:
    with urlopen(f"{address}api/v1/{path}", timeout=10) as response:
        return json.load(response)


def violations(page: Page, options: dict[str, Any] | None = None) -> list[str]:
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{page.url}: {one['id']} {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"][:3]
    ]


def test_every_page_in_every_form(browser: Browser, address: str, tmp_path: Path) -> None:
    with visiting(browser, address) as visit:
        for number, path in enumerate(PATHS):
            page = visit.open(path)
            for scheme, width in FORMS:
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
                if width == WIDE:
                    assert violations(page, CHECKS[scheme]) == []
                page.screenshot(path=tmp_path / f"{number}-{scheme}-{width}.png", full_page=True)
        # The browser itself says so of the page about an unknown group.
        visit.complaints = [one for one in visit.complaints if "404" not in one]


def test_a_phone_shows_whole_rows(browser: Browser, address: str) -> None:
    with visiting(browser, address, viewport={"width": 390, "height": 800}) as visit:
        for path in ("?limit=6", "gaps", "events?limit=8", "audit?limit=5"):
            regions = visit.open(path).locator(".wide")
            widths = regions.evaluate_all("all => all.map(one => [one.scrollWidth, one.clientWidth])")
            assert widths, path
            assert all(needed <= given for needed, given in widths), path
        row = visit.open("?limit=6").get_by_role("row").filter(has_text="tgrp_worked")
        expect(row.locator(".failed")).to_be_visible()
        expect(row.locator(".spark")).to_be_visible()
        spoken = row.aria_snapshot()
        for said in (
            'img "15 completed, 1 failed, 1 cancelled of 17"',
            'img "2 to 17 of 17 runs finished from 2026-11-24 12:00:10 to 2026-11-24 12:02:20, not seen all',
        ):
            assert said in spoken, spoken
        for caption in visit.open("completion?group_by=customer").locator("caption").all():
            box = caption.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= 390


def test_the_documentation_works_under_the_same_policy(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.open("docs")
        expect(page.locator(".opblock").first).to_be_visible()
        expect(page.get_by_text("/api/v1/groups", exact=False).first).to_be_visible()


def test_the_gap_is_drawn_where_it_was(browser: Browser, address: str) -> None:
    gap = api(address, "groups/tgrp_worked/gaps")["items"][0]
    with visiting(browser, address, viewport={"width": 390, "height": 800}) as visit:
        visit.open(WORKED)
        for width in (390, 1100):
            visit.page.set_viewport_size({"width": width, "height": 800})
            left, right, low, high, start, end = visit.page.evaluate(
                """() => {
                    const plot = document.querySelector("#runs-plot"), box = plot.getBoundingClientRect();
                    const gap = plot.querySelector("rect.gap").getBoundingClientRect();
                    return [box.left, box.right, +plot.dataset.lo, +plot.dataset.hi, gap.left, gap.right];
                }"""
            )
            for pixel, time in ((start, gap["from"]), (end, gap["to"])):
                share = (_millis(time) - low) / (high - low)
                assert pixel == pytest.approx(left + share * (right - left), abs=1.5)


def _millis(time: str) -> float:
    return parse_time(time).timestamp() * 1000


def test_exact_values_by_pointer_keys_and_touch(browser: Browser, address: str) -> None:
    with visiting(browser, address, has_touch=True) as visit:
        page = visit.open(WORKED)
        box = page.locator("#runs-plot").bounding_box()
        assert box is not None
        low, high = (
            float(page.locator("#runs-plot").get_attribute(name) or 0) for name in ("data-lo", "data-hi")
        )

        def place(seconds: float) -> tuple[float, float]:
            share = (after(seconds).timestamp() * 1000 - low) / (high - low)
            return box["x"] + share * box["width"], box["y"] + 100

        readout = page.locator("figure output")
        page.mouse.move(*place(25))
        expect(readout).to_contain_text("2026-11-24 12:00:2")
        expect(readout).to_contain_text("completed 2, failed 1, ")
        expect(readout).to_contain_text("running 10, queued 4")
        page.mouse.move(*place(90))
        expect(readout).to_contain_text("not seen (")
        page.touchscreen.tap(*place(45))
        expect(readout).to_contain_text("completed 4")
        page.reload()
        page.locator("#runs-plot").focus()
        page.keyboard.press("End")
        page.keyboard.press("Home")
        expect(readout).to_contain_text("12:00:05")
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        expect(readout).to_contain_text("12:00:20 UTC: completed 2")
        page.keyboard.press("ArrowLeft")
        expect(readout).to_contain_text("12:00:10 UTC: completed 1")
        visit.open("completion").mouse.move(
            box["x"] + 5, page.locator("#survival-plot").bounding_box()["y"] + 50
        )
        expect(readout).to_contain_text("all episodes 100%")


def test_a_drag_zooms_and_back_returns(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.open(WORKED)
        box = page.locator("#runs-plot").bounding_box()
        assert box is not None
        y = box["y"] + 100
        page.mouse.move(box["x"] + 0.25 * box["width"], y)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=4)
        with page.expect_navigation():
            page.mouse.up()
        assert "from=2026-11-24T12" in page.url
        low, high = (
            float(page.locator("#runs-plot").get_attribute(name) or 0) for name in ("data-lo", "data-hi")
        )
        assert high - low == pytest.approx(135_000 * 0.25, rel=0.02)
        page.go_back()
        assert "from=" not in page.url
        page.get_by_role("link", name="zoom in").click()
        expect(page.locator("#runs-plot")).to_have_attribute(
            "data-lo", str(int(_millis("2026-11-24T12:00:38.750Z")))
        )


def test_an_open_page_follows_and_an_idle_one_costs_nothing(
    browser: Browser, address: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "REFRESH_SECONDS", 0.2)
    with visiting(browser, address) as visit:
        page = visit.open("groups/tgrp_50")
        page.locator("#runs-table summary").click()
        with page.expect_response(lambda response: response.status == 304):
            pass
        seen = len(visit.statuses)
        with page.expect_response(lambda response: response.status == 304):
            pass
        assert set(visit.statuses[seen:]) == {304}
        site.recording.see("tgrp_50", 171, active(running=1, completed=977))
        expect(page.locator(".logbook")).to_contain_text("+927 completed")
        # What the reader had opened stays open.
        expect(page.locator("#runs-table table").first).to_be_visible()
        page.locator("select[name=kind]").focus()
        site.recording.see("tgrp_50", 172, active(running=1, completed=990))
        with page.expect_response(lambda response: response.status == 200):
            pass
        assert "990" not in page.locator(".facts").inner_text()
        page.locator("#main").focus()
        expect(page.locator(".facts")).to_contain_text("990")


def test_the_server_goes_away_and_comes_back(
    browser: Browser, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "REFRESH_SECONDS", 0.2)
    with visiting(browser, address) as visit:
        page = visit.open("events")
        page.route("**/events", lambda route: route.fulfill(status=503, body="{}"))
        expect(page.locator("#live-note")).to_have_text("Not up to date: the server answered 503")
        page.unroute("**/events")
        expect(page.locator("#live-note")).to_have_text("")
        visit.complaints = [one for one in visit.complaints if "503" not in one]


def test_all_of_it_by_keyboard(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.open()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        page.locator("#filter-text").focus()
        page.keyboard.type("worked")
        page.keyboard.press("Enter")
        expect(page.locator(".count")).to_have_text("1 group matches")
        reached = []
        for _ in range(25):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.getAttribute('href') ?? ''"))
            if reached[-1].endswith(WORKED):
                break
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("tgrp_worked")


def test_without_scripts(browser: Browser, address: str) -> None:
    with visiting(browser, address, java_script_enabled=False) as visit:
        page = visit.open()
        page.get_by_role("link", name="Next page").click()
        expect(page.locator(".groups tbody tr")).to_have_count(11)
        page.locator("#filter-phase").select_option("settled")
        page.locator("#filter-key").fill("customer")
        page.locator("#filter-value").fill("globex")
        page.get_by_role("button", name="Show").click()
        expect(page.locator(".count")).to_have_text("10 groups match")
        page = visit.open(WORKED)
        expect(page.locator("rect.gap")).to_have_count(1)
        page.get_by_role("link", name="zoom in").click()
        page.locator("input[name=at]").fill("2026-11-24T12:01:30")
        page.get_by_role("button", name="Look").click()
        expect(page.locator("#as-of")).to_contain_text("the moment lies in a gap")
        assert "from=" in page.url


def test_below_a_prefix_and_with_a_token(browser: Browser, site: Site) -> None:
    app = create_app(site.reader, now=site.clock, tokens=[TOKEN])
    with served(app, "/tasks") as address:
        password = {"username": "anybody", "password": "secret"}
        with visiting(browser, address, http_credentials=password) as visit:
            page = visit.open()
            page.get_by_role("link", name="tgrp_worked").click()
            expect(page.locator("#runs-plot")).to_be_visible()
            for name in ("Completion", "Gaps", "Events", "Audit", "Groups"):
                page.get_by_role("navigation", name="Pages").get_by_role(
                    "link", name=name, exact=True
                ).click()
                expect(page.locator("h1")).to_have_text(name)
                assert page.evaluate("getComputedStyle(document.querySelector('header')).display") == "flex"
            with page.expect_download() as download:
                visit.open(WORKED).get_by_role("link", name="history as CSV").click()
            assert download.value.suggested_filename.endswith(".csv")
