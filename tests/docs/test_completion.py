"""The page on completion: its stories, its example and its figures."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest

from benchmarks import duration_error
from recorder.completion.episode_json import episode_members
from recorder.completion.episodes import Episode
from recorder.completion.time_bounds import Basis, Moment
from recorder.ledger.anomalies import Anomaly
from recorder.ledger.entries import Action, StatusContent
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.watch import WatchState
from tests.support.ledgers import T0, Ledger, body, seconds
from tests.support.pages import blocks, first_codes, headings, page, rows, table

PAGE = "docs/completion.md"
HEADER = ["Episode", "Started", "Completed", "Outcome", "Seconds", "In gaps", "Polls", "Marks"]

_LINE = re.compile(r"(\S+) (?:(started|resumed|paused|stopped|no response|404)|response: (.*))")
_WATCH_ENDS = {"paused": Action.PAUSED, "stopped": Action.STOPPED}
_FAILURES = {"no response": Cause.TIMEOUT, "404": Cause.NOT_FOUND}
PARTS = {part.partition("\n")[0]: part for part in re.split(r"\n#{2,3} ", page(PAGE))[1:]}
"""The text under each heading, code included."""

STORIES = [
    heading for heading, part in PARTS.items() if any(block.language == "story" for block in blocks(part))
]


def _at(clock: str) -> float:
    return seconds(datetime.fromisoformat(f"{T0.date()}T{clock}+00:00"))


def _body(response: str) -> ResponseBody:
    """Parse a response: `3 running, 1 failed; created_at 12:00:00; modified_at 12:00:10`."""
    counts, *times = response.split("; ")
    status = [] if counts == "empty" else [each.split() for each in counts.split(", ")]
    reported = {name.removesuffix("_at"): _at(clock) for name, clock in (each.split() for each in times)}
    return body(**reported, **{name: int(count) for count, name in status})


def _story_ledger(heading: str) -> Ledger:
    """Build the ledger of the story under a heading; lines that begin with # are comments."""
    (story,) = (block.code for block in blocks(PARTS[heading]) if block.language == "story")
    ledger: Ledger | None = None
    for line in story.splitlines():
        if line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        assert match is not None, line
        at, event, response = _at(match[1]), match[2], match[3]
        if ledger is None:
            assert event == "started"
            ledger = Ledger(at)
        elif event in _WATCH_ENDS:
            ledger.cease(at, _WATCH_ENDS[event])
        elif event in _FAILURES:
            ledger.fail(at, _FAILURES[event])
        elif event == "resumed":
            ledger.resume(at)
        else:
            ledger.see(at, _body(response))
    assert ledger is not None
    return ledger


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:g}"


def _clock(moment: datetime | None) -> str:
    if moment is None:
        return "null"
    return f"{moment:%H:%M:%S}" + f".{moment.microsecond:06}".rstrip("0").rstrip(".")


def _moment(moment: Moment | None) -> str:
    if moment is None:
        return "null"
    return f"{_clock(moment.at)} ({_clock(moment.earliest)} to {_clock(moment.latest)}), `{moment.basis}`"


def _row(episode: Episode) -> list[str]:
    """Return an episode as a row of the page's tables."""
    shortest, longest = episode.duration_earliest_seconds, episode.duration_latest_seconds
    marks = {"`censored`": episode.censored, "`first_sight`": episode.first_sight}
    return [
        str(episode.number),
        _moment(episode.started),
        _moment(episode.completed),
        "null" if episode.outcome is None else f"`{episode.outcome}`",
        f"{_number(episode.duration_seconds)} ({_number(shortest)} to {_number(longest)})",
        _number(episode.gap_seconds),
        str(episode.polls),
        ", ".join(mark for mark, applies in marks.items() if applies),
    ]


def _header(part: str) -> list[str]:
    line = next(line for line in part.splitlines() if line.startswith("|"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("heading", STORIES)
def test_stories(heading: str) -> None:
    part = PARTS[heading]
    assert rows(part) == [_row(episode) for episode in _story_ledger(heading).episodes()]
    assert not rows(part) or _header(part) == HEADER


def test_the_example_in_json() -> None:
    (example,) = (block.code for block in blocks(page(PAGE)) if block.language == "json")
    assert json.loads(example) == episode_members(_story_ledger("Watched from the start").only())


def test_hard_cases_match_the_stories() -> None:
    """The table of hard cases links to the stories in order."""
    names = [re.fullmatch(r"\[(.*)\]\(#.*\)", row[0]) for row in table(PAGE, "Hard cases")]
    assert [match and match[1] for match in names] == [
        name for name in STORIES if name != "Watched from the start"
    ]


def test_the_stories_of_a_gone_group_and_a_clock_set_back() -> None:
    assert _story_ledger("Gone").watch.state is WatchState.GONE
    last = _story_ledger("Clock stepped back").entries[-1].content
    assert isinstance(last, StatusContent)
    assert last.anomalies == (Anomaly.CLOCK_REGRESSED,)


def test_bases() -> None:
    assert first_codes(table(PAGE, "Moments")) == list(Basis)


@pytest.mark.slow
def test_the_table_of_errors_is_reproducible() -> None:
    header, *lines = ([*cells] for cells in duration_error.rows())
    part = PARTS["How far off is a duration?"]
    assert _header(part) == header
    assert rows(part) == lines
    measured = [(setting, duration_error.measure(setting)) for setting in duration_error.SETTINGS]
    for setting, errors in measured:
        if not setting.modified_at:
            assert abs(errors.mean) < 2 * errors.standard_error, setting
        assert errors.outside == 0
    assert measured[0][1].unseen == 0


def test_estimates_have_a_heading() -> None:
    assert "When will it be done?" in headings(page(PAGE))
