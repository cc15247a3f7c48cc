"""The demo's live table: its pages, and what stands above and below it."""

from __future__ import annotations

import io
import os
import pty
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import Engine

from recorder.cli.demo.paging import PAGE_SECONDS, Pager, pressed_keys
from recorder.cli.demo.stage import OUTAGE_END_SECONDS, OUTAGE_START_SECONDS, Stage
from recorder.cli.demo.view import view_of
from tests.support.databases import ON_SQLITE
from tests.support.recording import Recording, active

GROUPS = [f"tgrp_{number:032x}" for number in range(20)]


def test_pages_turn_by_themselves() -> None:
    pager = Pager(100.0)
    moments = (100.0, 100.0 + PAGE_SECONDS, 100.5 + PAGE_SECONDS, 100.0 + 2 * PAGE_SECONDS)
    assert [pager.page(3, now) for now in moments] == [0, 1, 1, 2]
    assert pager.page(3, 100.0 + 3 * PAGE_SECONDS) == 0


def test_a_page_that_a_key_has_turned_to_stays() -> None:
    pager = Pager(0.0)
    for keys, page in (("n", 1), ("x", 1), (" \x1b[C", 0), ("b", 2), ("\x1b[5~\x1b[D", 0), ("\x1b[6~", 1)):
        pager.press(keys)
        assert pager.page(3, 100 * PAGE_SECONDS) == page
    assert pager.by_hand
    assert pager.page(1, 0.0) == 0


def test_keys_are_read_from_a_terminal_that_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "rb", 0) as stdin, os.fdopen(controller, "r+b", 0) as keyboard:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("recorder.cli.demo.paging.os.tcgetpgrp", lambda _descriptor: os.getpgrp())
        with pressed_keys() as keys:
            assert keys() == ""
            keyboard.write(b"n")
            deadline, found = time.monotonic() + 60, ""
            while not found and time.monotonic() < deadline:
                found = keys()
            assert found == "n"
        # Where a terminal waits for whole lines, a key alone does not arrive.
        keyboard.write(b"n")
        with pytest.raises(BlockingIOError):
            os.set_blocking(terminal, False)
            os.read(terminal, 1)


def test_without_a_terminal_there_are_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"n")
    os.close(writing)
    with os.fdopen(reading, "rb") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pressed_keys() as keys:
            assert keys() == ""


def _record(engine: Engine) -> None:
    recording = Recording(engine)
    for taskgroup_id in GROUPS:
        recording.watch(taskgroup_id)
        recording.see(taskgroup_id, 1, active(running=2, completed=1), metadata={"kind": "very slow"})


@pytest.fixture
def stage(engine: Engine, tmp_path: Path) -> Stage:
    Path(tmp_path / "recorder.db").symlink_to(str(engine.url.database))
    return Stage(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2", time.monotonic())


def _shown(stage: Stage, **options: object) -> Iterator[list[str]]:
    """Yield the lines that each refreshing draws."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, color_system=None, height=24, **options)  # type: ignore[arg-type]
    with view_of(console, stage) as refresh:
        while True:
            refresh()
            yield re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written.getvalue()).replace("\r", "").splitlines()
            written.seek(0)
            written.truncate()


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_a_screen_of_80_by_24(stage: Stage) -> None:
    shown = next(_shown(stage, width=80))
    assert len(shown) <= 24 and max(map(len, shown)) <= 80
    assert shown[0].startswith("20 groups: 20 active; 20/60 runs; 0 gaps")
    assert shown[1].startswith("Staged outage: the provider answers 503 for 6 s, in ")
    assert sum("very slow" in line for line in shown) == 15
    below = "\n".join(shown[-4:])
    for words in ("seen: how long ago", "gaps: how often", "dashboard: http://127.0.0.1:2/", "page 1 of 2"):
        assert words in below


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (OUTAGE_START_SECONDS + 1, "the provider answers 503, 5 s left"),
        (OUTAGE_END_SECONDS + 2, "over for 2 s"),
    ],
)
def test_the_staged_outage(stage: Stage, seconds: float, words: str) -> None:
    begun = Stage(stage.folder, stage.simulator_url, stage.api_url, stage.started - seconds)
    assert words in next(_shown(begun, width=120))[1]


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_a_terminal_that_cannot_draw_gets_lines(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    (line,) = next(_shown(stage, width=80, _environ={"TERM": "dumb"}))
    assert "20 active; 0 gaps" in line
