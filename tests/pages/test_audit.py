"""The page about proving the ledgers: heads, checkpoints that are kept, and anomalies."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine

from api.app import create_app
from api.context import context
from recorder.audit.kept_checkpoints import keep_checkpoint
from recorder.queries import ledger_heads
from recorder.queries.ledger_heads import CheckpointFolder
from recorder.store.events import publish_events
from recorder.store.transactions import writing
from tests.support.api_client import Clock
from tests.support.browsing import Browser
from tests.support.databases import ON_SQLITE
from tests.support.html import Element
from tests.support.recording import Recording, active, after

HOUR = timedelta(hours=1)


@pytest.fixture
def groups(recording: Recording) -> None:
    for number in range(6):
        recording.watch(f"tgrp_{number}", number)
        recording.see(f"tgrp_{number}", 20 + number, active(running=3))
    recording.watch("odd", 90)
    recording.see("odd", 91, {**active(running=3), "num_task_runs": 5})


@pytest.fixture
def keeping(app: Flask, clock: Clock, tmp_path: Path) -> Browser:
    with app.app_context():
        engine = context().engine
    return Browser(create_app(engine, now=clock, checkpoints=CheckpointFolder(tmp_path, HOUR)))


def test_the_heads_are_those_of_the_api(browser: Browser, engine: Engine, groups: None) -> None:
    with writing(engine) as connection:
        publish_events(connection)
    checkpoint: Any = browser.json("/api/v1/audit/checkpoint")
    page = browser.get("/audit?limit=4")
    codes = [code.text for code in page.of_class("long")]
    assert codes == [checkpoint["digest"], *(head["digest"] for head in checkpoint["items"][:4])]
    following = page.one("a", lambda link: link.attributes.get("rel") == "next").attributes["href"]
    rest = [code.text for code in browser.get(f"/audit{following}").of_class("long")[1:]]
    assert rest == [head["digest"] for head in checkpoint["items"][4:]]
    assert facts_of(page)["entries"] == str(checkpoint["entries"])
    assert "count mismatch" in page.text
    assert browser.respond("/audit?after=%00").status_code == 422


def facts_of(page: Element) -> dict[str, str]:
    return {
        div.one("dt").text: div.one("dd").text for facts in page.of_class("facts") for div in facts.all("div")
    }


@pytest.mark.parametrize("column", ["head_seq = head_seq - 1", "head_seq = 9"])
def test_a_broken_head_is_refused_as_by_the_api(
    browser: Browser, engine: Engine, groups: None, column: str
) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE watches SET {column} WHERE taskgroup_id = 'tgrp_5'")
    page = browser.respond("/audit?limit=1")
    assert page.status_code == browser.respond("/api/v1/audit/checkpoint").status_code != 200


@ON_SQLITE
def test_the_digest_of_many_groups_is_held_for_a_moment(
    browser: Browser, recording: Recording, groups: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest() -> str:
        return browser.get("/audit").of_class("long")[0].text

    def checkpoint() -> Any:
        return browser.json("/api/v1/audit/checkpoint")

    monkeypatch.setattr(ledger_heads, "MANY_LEDGERS", 7)
    first = checkpoint()["digest"]
    assert digest() == first
    recording.see("odd", 95, active(running=4))
    page = browser.get("/audit")
    assert facts_of(page)["digest of a checkpoint made at 2026-11-24 12:01:40"] == first
    # The heads themselves are those of now.
    assert [code.text for code in page.of_class("long")[1:]] == [
        head["digest"] for head in checkpoint()["items"]
    ]
    monkeypatch.setattr(ledger_heads, "HOLD_SECONDS", 0)
    assert digest() == checkpoint()["digest"] != first
    # What was computed for the data as they are needs no hold.
    monkeypatch.setattr(ledger_heads, "HOLD_SECONDS", 1000)
    assert "digest of a checkpoint made now" in facts_of(browser.get("/audit"))


def test_how_to_keep_checkpoints(browser: Browser, keeping: Browser) -> None:
    assert "Set RECORDER_CHECKPOINT_DIR" in browser.get("/audit").text
    assert "every 1 h" in keeping.get("/audit").of_class("empty")[0].text


def test_the_newest_kept_checkpoint(
    keeping: Browser, engine: Engine, groups: None, clock: Clock, tmp_path: Path
) -> None:
    path = keep_checkpoint(engine, tmp_path, after(95))
    assert path is not None
    page = keeping.get("/audit")
    facts = facts_of(page)
    assert (facts["newest"], facts["file"]) == ("2026-11-24 12:01:35", path.name)
    assert str(tmp_path) not in page.text
    tag = keeping.respond("/audit").headers["ETag"]
    clock.seconds = 95 + 7200
    assert keeping.respond("/audit", If_None_Match=tag).status_code == 304
    clock.seconds += 1
    assert keeping.respond("/audit", If_None_Match=tag).status_code == 200
    assert "late: one is due every 1 h" in keeping.get("/audit").text
    path.write_text("{}\n")
    notice = keeping.get("/audit").of_class("notice")[0].text
    assert f"{path.name}: the checkpoint file was changed" in notice and str(tmp_path) not in notice
