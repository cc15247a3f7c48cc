"""What is known of a group's status at a moment of the past, for people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from recorder.cli.output.console import answer, console, plain, print_json
from recorder.cli.output.format import cause_text, counts_text, phase_text, runs_text, show_time
from recorder.ledger.timeline import Certainty
from recorder.ledger.timestamps import format_time
from recorder.queries.as_of import BadMomentError, status_at_answer
from recorder.queries.groups import progress_body, require_watch

_WORDS = {
    Certainty.OBSERVED: "observed: it was said then",
    Certainty.BETWEEN: "between two answers: it was this one or the next",
    Certainty.GAP: "in a gap: it should have been seen and was not",
    Certainty.OPEN: "after the last answer, and the next one was not late: it may have changed",
    Certainty.BEFORE: "before the first answer: nothing had been said yet",
    Certainty.NOT_WATCHED: "not watched: nobody was meant to look",
}


def print_status_at(taskgroup_id: str, moment: datetime, *, as_json: bool) -> None:
    """Print what is known of a group's status at a moment."""
    try:
        body = answer(
            lambda connection, now: status_at_answer(
                connection, require_watch(connection, taskgroup_id).watch, moment, now
            )
        )
    except BadMomentError as error:
        raise click.UsageError(f"--{error.location} {error}") from None
    if as_json:
        print_json(body)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, words in _lines(body, moment).items():
        table.add_row(label, words)
    console().print(table)


def _lines(body: dict[str, Any], moment: datetime) -> dict[str, str | Text]:
    lines: dict[str, str | Text] = {
        "group": plain(body["taskgroup_id"]),
        "at": show_time(format_time(moment)),
        "certainty": _WORDS[Certainty(body["certainty"])],
    }
    if body["status"] is not None:
        lines |= {
            "phase": phase_text(body["phase"]),
            "runs": f"{runs_text(progress_body(body['status']))} finished",
            "counts": plain(counts_text(body["status"])),
            "said from": f"{show_time(body['observed_at'])} (entry {body['seq']})",
            "said until": f"{show_time(body['last_seen_at'])} (polls: {body['polls']})",
        }
    if body["next_status"] is not None:
        lines["next"] = plain(counts_text(body["next_status"]))
    if body["gap"] is not None:
        until = "still open" if body["gap"]["to"] is None else show_time(body["gap"]["to"])
        lines["gap"] = Text(f"{show_time(body['gap']['from'])} to {until}: ").append_text(
            cause_text(body["gap"])
        )
    return lines
