"""What holds for every page: headers, conditional requests, errors, access, and texts that mean harm."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode

import pytest
from flask import Flask
from sqlalchemy import Engine

from api.app import create_app
from api.context import context
from recorder.tokens import Token
from tests.support.api_client import Clock, app_without_database, headers_of
from tests.support.browsing import PAGES, Browser
from tests.support.hostile_ledger import METADATA, record_hostile
from tests.support.recording import Recording, active, settled
from tests.support.told_sinks import told_sink

GROUP = "/groups/tgrp_1"
TOKEN = Token("a", "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b")
MARKUP = "\u202e<script>alert(1)</script></table></main><img src=x onerror=alert(1)>\"'&evil\u2066\x1b[31m"


@pytest.fixture
def two_groups(recording: Recording) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 10, active(running=2), metadata={"customer": "acme"})
    recording.watch("ä b", 1)
    recording.see("ä b", 12, settled(completed=2))


@pytest.mark.parametrize("path", [*PAGES, GROUP])
def test_an_unchanged_page_is_not_sent_again(
    browser: Browser, recording: Recording, two_groups: None, path: str
) -> None:
    first = browser.respond(path)
    tag = first.headers["ETag"]
    assert f'data-etag="W/&#34;{tag[3:-1]}&#34;"' in first.get_data(as_text=True)
    again = browser.respond(path, If_None_Match=tag)
    assert (again.status_code, again.get_data(), again.headers["ETag"]) == (304, b"", tag)
    recording.see("tgrp_1", 30, settled(completed=2))
    changed = browser.respond(path, If_None_Match=tag)
    # Events are numbered by a recorder's job, so no event is new yet.
    assert changed.status_code == (304 if path == "/events" else 200)


@pytest.mark.parametrize("path", [*PAGES, GROUP])
def test_headers(app: Flask, browser: Browser, two_groups: None, path: str) -> None:
    response = browser.respond(path)
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    compressed = browser.respond(path, Accept_Encoding="gzip")
    assert gzip.decompress(compressed.get_data()) == response.get_data()
    head = app.test_client().head(path, headers={"Accept": "text/html"})
    assert (head.status_code, head.get_data()) == (200, b"")
    assert headers_of(head) == headers_of(response)


def test_every_link_leads_somewhere(browser: Browser, two_groups: None) -> None:
    for path in (*PAGES, GROUP):
        folder = path.rpartition("/")[0]
        for link in browser.get(path).all("a"):
            address = link.attributes["href"]
            if address.startswith("#"):
                assert browser.get(path).with_id(address[1:])
                continue
            base = path if address.startswith("?") else f"{folder}/"
            target = f"{base}{address}"
            while "../" in target:
                before, _, after = target.partition("../")
                target = before.rstrip("/").rpartition("/")[0] + "/" + after
            target = target.replace("/./", "/")
            assert browser.respond(target).status_code == 200, (path, address)


def test_files_are_compressed_and_kept_by_their_version(browser: Browser) -> None:
    page = browser.get("/nowhere", 404)
    addresses = [page.one("link", lambda link: link.attributes["rel"] == "stylesheet").attributes["href"]]
    addresses += [script.attributes["src"] for script in page.all("script")]
    assert len(addresses) == 3
    for address in addresses:
        response = browser.respond(f"/{address[2:]}", Accept_Encoding="gzip")
        assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert response.headers["Content-Encoding"] == "gzip"
        plain = browser.respond(f"/{address[2:].partition('?')[0]}")
        assert plain.headers["Cache-Control"] == "no-cache"
    for name in ("nothing.css", "..%2Fpage.py", "%2e%2e"):
        assert browser.respond(f"/static/{name}").status_code == 404


def test_swagger_is_compressed() -> None:
    browser = Browser(app_without_database())
    browser.get("/docs/problems")
    script = browser.respond("/docs/swagger-ui-bundle.js", Accept_Encoding="gzip")
    assert len(script.get_data()) < 600_000
    again = browser.respond("/docs/swagger-ui-bundle.js", If_None_Match=script.headers["ETag"])
    assert again.status_code == 304


def test_errors_are_pages_for_browsers_and_json_for_programs(app: Flask, browser: Browser) -> None:
    program = app.test_client()
    for path, status in (
        *(("/groups/nobody", 404), ("/nowhere", 404), ("/?limit=0", 422), ("/?color=red", 422)),
        *(("/gaps?cause=boredom", 422), ("/completion?group_by=outcome", 422), ("/events?before=x", 422)),
        ("/groups/a%2Fb", 404),
    ):
        page = browser.get(path, status)
        if not path.startswith("/?"):
            response = program.get(path, headers={"Accept": "application/json"})
            assert response.mimetype == "application/problem+json"
        assert page.one("h1").text
    problem = program.get("/nowhere").get_json()
    assert browser.get("/nowhere", 404).of_class("lead")[0].text == problem["detail"]
    for path in ("/api/v1/groups/nobody", "/api/nowhere", "/v1/tasks/groups/nobody"):
        assert browser.respond(path).mimetype in {"application/problem+json", "application/json"}


def test_a_program_gets_addresses_at_the_root(app: Flask) -> None:
    client = app.test_client()
    response = client.get("/", headers={"Accept": "application/json"})
    assert response.mimetype == "application/json" and "Accept" in response.headers["Vary"]
    for address in response.get_json().values():
        assert client.get(f"/{address}").status_code == 200, address


def test_access_is_that_of_the_api(app: Flask) -> None:
    with app.app_context():
        engine = context().engine
    locked = Browser(create_app(engine, now=Clock(), tokens=[TOKEN]))
    for path in (*PAGES, "/static/pages.css"):
        refused = locked.respond(path)
        assert refused.status_code == 401
        assert any(value.startswith("Basic ") for value in refused.headers.getlist("WWW-Authenticate"))
        assert "token" in refused.get_data(as_text=True)
        basic = b64encode(b"anybody:secret").decode()
        assert locked.respond(path, Authorization=f"Basic {basic}").status_code == 200
    assert browser_forbidden(engine) == 403


def browser_forbidden(engine: Engine) -> int:
    return Browser(create_app(engine)).respond("/", Host="evil.example").status_code


def test_texts_that_mean_harm(browser: Browser, recording: Recording) -> None:
    name = "<b>&'\"é</b>".replace("/", "")
    recording.watch(name)
    status = {**active(running=1), "status_message": MARKUP, MARKUP: MARKUP}
    recording.see(name, 10, status, metadata={MARKUP: MARKUP, "nested": {MARKUP: [MARKUP]}})
    recording.see(name, 20, {**status, "task_run_status_counts": {MARKUP: 1}}, metadata=[MARKUP])
    recording.see(name, 30, status, metadata={MARKUP: MARKUP})
    for path in (*PAGES, "/?text=%3Cb%3E", f"/groups/{name.replace('/', '')}?limit=100"):
        response = browser.respond(path)
        text = response.get_data(as_text=True)
        page = browser.get(path)
        assert [script.attributes["src"].partition("?")[0][-8:] for script in page.all("script")] == [
            "/live.js",
            "harts.js",
        ]
        assert not page.all("img") and not page.all("b", lambda b: "&" in b.text and b.attributes)
        assert not any(character in text for character in "\u202e\u2066\x1b"), path
    shown = browser.get("/").text
    assert "\\u202e" in shown and "alert(1)" in shown
    asked = browser.get("/?" + "text=%E2%80%AE%3Cscript%3E")
    assert asked.with_id("filter-text").attributes["value"] == "\u202e<script>"


def test_whatever_a_provider_may_say(browser: Browser, engine: Engine, clock: Clock) -> None:
    record_hostile(engine)
    clock.seconds = 10_000
    for path in (*PAGES, "/completion?group_by=customer", "/?sort=unseen&limit=5"):
        browser.get(path)
    for name in (*METADATA, "tgrp_1", "tgrp_2", "tgrp_every", "tgrp_never", "m_huge"):
        page = browser.get(f"/groups/{name}")
        assert page.one("h1").text == name


def test_the_pages_of_an_empty_database(browser: Browser) -> None:
    for path in PAGES:
        browser.get(path)
    assert "recorder watch" in browser.get("/").of_class("empty")[0].text
    assert json.loads(browser.respond("/api/v1/groups").get_data())["items"] == []


def test_sinks_and_their_failures(browser: Browser, engine: Engine) -> None:
    before = browser.respond("/events")
    assert "no sinks are configured" in before.get_data(as_text=True)
    told_sink(engine, "<ops>")
    after_it = browser.respond("/events", If_None_Match=before.headers["ETag"])
    assert after_it.status_code == 200
    text = after_it.get_data(as_text=True)
    assert "&lt;ops&gt;" in text and "<ops>" not in text
    assert "recorder notify replay" in text
