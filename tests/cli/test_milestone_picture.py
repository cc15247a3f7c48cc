"""The picture of an episode's milestones at any width."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from recorder.cli.output.milestone_picture import last_runs_text, milestone_picture
from recorder.queries.completion import episode_members
from tests.support.ledgers import Ledger, body


def _episode() -> dict[str, Any]:
    """100 runs: 50 finish in the first 10 s, 98 in 20 s, and the last after 100 s."""
    ledger = Ledger().see(1, body()).see(11, body(running=100)).see(21, body(running=50, completed=50))
    ledger.see(31, body(running=2, completed=98)).see(41, body(running=1, completed=99))
    return episode_members(ledger.see(111, body(completed=100, modified=105.5)).only())


def _lines(episode: dict[str, Any], width: int, *, colour: bool = False) -> list[str]:
    colours: Any = "standard" if colour else None
    out = Console(file=StringIO(), width=width, force_terminal=colour, color_system=colours)
    picture = milestone_picture(episode, width)
    assert picture is not None
    out.print(picture)
    written = out.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in written.splitlines()]


def test_a_line_for_each_milestone_with_a_bar_along_the_duration() -> None:
    assert _lines(_episode(), 100) == [
        "finished at (UTC) within                 after",
        "    50 % 12:00:15 12:00:10–12:00:21     10.0 s ████",
        "    90 % 12:00:25 12:00:20–12:00:31     20.0 s ████████",
        "    95 % 12:00:25 12:00:20–12:00:31     20.0 s ████████",
        "    99 % 12:00:35 12:00:30–12:00:41     30.0 s ████████████",
        "   100 % 12:01:45 12:00:40–12:01:51 1 min 40 s ████████████████████████████████████████",
    ]


@pytest.mark.parametrize("width", [30, 40, 50, 60, 80, 120, 200])
def test_it_is_never_wider_than_the_terminal(width: int) -> None:
    lines = _lines(_episode(), width)
    assert len(lines) == 6
    assert max(map(cell_len, lines)) <= width
    assert ("within" in lines[0]) is (width >= 80)


def test_it_is_coloured_on_a_terminal_only() -> None:
    assert "\x1b[" in "".join(_lines(_episode(), 80, colour=True))
    assert "\x1b[" not in "".join(_lines(_episode(), 80))


def test_milestones_ahead() -> None:
    episode = episode_members(Ledger().see(1, body()).see(11, body(running=3, completed=5)).only())
    assert [line.split("  ")[-1].strip() for line in _lines(episode, 40)[2:]] == [
        f"{share} % not yet: 8 runs" for share in (90, 95, 99, 100)
    ]
    assert last_runs_text(episode) is None


def test_how_long_the_last_runs_took() -> None:
    assert last_runs_text(_episode()) == "the last 1 % took 1 min 10 s, the first 90 % 20.0 s"


def test_runs_that_finished_in_one_window_cannot_be_told_apart() -> None:
    ledger = Ledger().see(1, body()).see(11, body(running=100)).see(21, body(completed=100))
    assert last_runs_text(episode_members(ledger.only())) is None


def test_without_a_number_of_runs_there_is_no_picture() -> None:
    unknown = episode_members(Ledger().see(1, body(total="many", running=1)).only())
    older = {**_episode(), "milestones": None}
    assert milestone_picture(unknown, 80) is milestone_picture(older, 80) is None
    assert last_runs_text(older) is None
