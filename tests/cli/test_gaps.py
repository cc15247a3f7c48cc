"""`recorder gaps`: the API's responses as JSON, a readable table, and the coverage."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy import Engine

from api.app import create_app
from recorder.cli.commands.gaps import coverage_text
from recorder.ledger.poll_outcome import Cause, Failure
from recorder.ledger.transitions import fail
from recorder.store.engine import check_url, open_engine
from tests.support.databases import ON_SQLITE
from tests.support.program import Program
from tests.support.recording import RULES, Recording, active, after
from tests.support.terminal import unwrapped


def _record(engine: Engine) -> None:
    """A group with a gap of each kind, the second ended by a pause, and a group with an open gap."""
    recording = Recording(engine)
    recording.watch("one")
    recording.see("one", 10, active(running=1))
    for seconds in (20.25, 30.25, 40.25, 50.25):
        recording.fail("one", seconds)
    recording.see("one", 60, active(running=1))
    recording.see("one", 70, active(running=1))
    recording.pause("one", 150)
    recording.watch("two", 85)
    recording.see("two", 90, active(running=1))
    recording.see("two", 100, active(running=1))
    recording.fail("two", 110)


@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--order", "desc", "--limit", "1"],
        ["--limit", "1"],
        ["--from", "2026-11-24T13:01:10+01:00"],
        ["--to", "2026-11-24T12:00:20Z", "--order", "desc"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("group", ["one", "two"])
def test_json_equals_the_api_response(
    program: Program, database_url: str, group: str, options: list[str]
) -> None:
    names = [name.removeprefix("--") for name in options[::2]]
    query = dict(zip(names, options[1::2], strict=True))
    engine = open_engine(check_url(database_url), read_only=True)
    client = create_app(engine).test_client()
    with client.get(f"/api/v1/groups/{group}/gaps", query_string=query) as answer:
        assert program.ok("gaps", group, *options, "--json") == answer.get_data(as_text=True) + "\n"
    engine.dispose()


def _rows(out: str) -> list[list[str]]:
    """The rows of a table, without its header."""
    return [re.split(" {2,}", line.strip()) for line in out.splitlines() if re.match(r" *\d* +\d{4}-", line)]


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_closed_gaps(program: Program) -> None:
    out = program.ok("gaps", "one")
    assert _rows(out) == [
        ["3", "2026-11-24 12:00:10", "12:01:00", "server_error (503)", "50.0 s", "4", "0.0 s", "busy"],
        ["5", "2026-11-24 12:01:10", "12:02:30", "not_polled", "1 min 20 s", "0", "1 min 10 s"],
    ]
    assert out.splitlines()[-1] == "seen for 20.0 s of 2 min 30 s watched (13.3 %); 2 gaps"


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_on_a_narrow_terminal_each_gap_is_a_list(program: Program) -> None:
    terminal = program.using(FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color", COLUMNS="80")
    shown = unwrapped(re.sub(r"\x1b\[[\d;]*m", "", terminal.ok("gaps", "one")))
    assert (
        "cause server_error (503) lasted 50.0 s failed polls 4 not polled for 0.0 s last failure busy"
        in shown
    )


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_an_open_gap_is_marked(program: Program) -> None:
    out = program.ok("gaps", "two")
    ((since, mark, cause, lasted, *_),) = _rows(out)
    assert (since, mark, cause) == ("2026-11-24 12:01:40", "open", "server_error (503)")
    assert lasted.endswith("so far")
    words = "seen for 15.0 s of 15.0 s watched (100 %); no gaps, and one still open, which is not counted yet"
    assert out.splitlines()[-1] == words


@ON_SQLITE
def test_no_gaps(program: Program, engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("three")
    recording.see("three", 1, active(running=1))
    recording.see("three", 11, active(running=1))
    recording.pause("three", 11)
    assert program.ok("gaps", "three") == "seen for 11.0 s of 11.0 s watched (100 %); no gaps\n"


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_no_gaps_in_a_period(program: Program) -> None:
    first, second = program.ok("gaps", "one", "--to", "2026-11-24T12:00:00Z").splitlines()
    assert first == "no gaps in this period"
    assert second.endswith("; 2 gaps")


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_a_page_shows_how_to_continue_and_counts_all_gaps(program: Program) -> None:
    out = program.ok("gaps", "one", "--limit", "1")
    words, following = out.splitlines()[-2:]
    assert words.endswith("; 2 gaps")
    (row,) = _rows(program.ok("gaps", "one", "--limit", "1", *following.split()[-2:]))
    assert row[0] == "5"


class Failing(Recording):
    """Can also fail a poll with a given detail."""

    def fail_with(self, taskgroup_id: str, at: float, detail: str) -> None:
        failure = Failure(after(at - 0.25), after(at), Cause.SERVER_ERROR, 500, detail)
        self._poll(taskgroup_id, at, lambda claim: fail(claim.watch, failure, RULES), due=False)


@ON_SQLITE
def test_upstream_text_is_shown_literally(program: Program, engine: Engine) -> None:
    failing = Failing(engine)
    failing.watch("one")
    failing.fail_with("one", 0.25, "[/foo] [bold red] \\[x]")
    assert "[/foo] [bold red] \\[x]" in program.ok("gaps", "one")
    assert "[/foo] [bold red] \\[x]" in program.ok("status", "one")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["one", "--limit", "0"], "--limit"),
        (["one", "--order", "up"], "--order"),
        (["one", "--from", "noon"], "--from"),
        (["one", "--cursor", "x"], "--cursor"),
        (["one", "--kind", "gap"], "--kind"),
        ([], "ID"),
    ],
)
def test_wrong_usage(bare: Program, arguments: list[str], word: str) -> None:
    assert word in bare.run("gaps", *arguments).wrong_usage()


@ON_SQLITE
def test_an_unknown_group_is_reported_in_one_line(program: Program) -> None:
    for options in ([], ["--json"]):
        assert "nobody" in program.run("gaps", "nobody", *options).complaint()


def _coverage(watched: float, gaps: float) -> dict[str, Any]:
    seen = watched - gaps
    fraction = seen / watched if watched else None
    return {
        "watched_seconds": watched,
        "gap_seconds": gaps,
        "observed_seconds": seen,
        "fraction": fraction,
    }


@pytest.mark.parametrize(
    ("watched", "missed", "closed", "gap_open", "words"),
    [
        (3732, 240, 3, False, "seen for 58 min 12 s of 1 h 2 min watched (93.5 %); 3 gaps"),
        (100, 0, 0, False, "seen for 1 min 40 s of 1 min 40 s watched (100 %); no gaps"),
        (100000, 1, 1, False, "seen for 1 d 3 h of 1 d 3 h watched (99.9 %); 1 gap"),
        (100000, 99999, 2, False, "seen for 1.0 s of 1 d 3 h watched (less than 0.1 %); 2 gaps"),
        (60, 60, 1, False, "seen for 0.0 s of 1 min 0 s watched (0 %); 1 gap"),
        (0, 0, 0, False, "no time watched yet; no gaps"),
        (0, 0, 0, True, "no time watched yet; no gaps, and one still open, which is not counted yet"),
        (
            10,
            1,
            2,
            True,
            "seen for 9.0 s of 10.0 s watched (90 %); 2 gaps, and one still open, which is not ",
        ),
    ],
)
def test_coverage_text(watched: float, missed: float, closed: int, gap_open: bool, words: str) -> None:
    text = coverage_text(_coverage(watched, missed), closed, lasting=gap_open)
    assert text.startswith(words)
    assert json.dumps(text).count("not counted yet") == gap_open
