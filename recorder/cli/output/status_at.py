"""Show what is known about the status of a group at a moment in the past."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
from rich.text import Text

from recorder.cli.output.console import answer, console, field_table, plain, print_json
from recorder.cli.output.format import cause_text, counts_text, phase_text, runs_text, show_time
from recorder.ledger.timeline import Certainty
from recorder.ledger.timestamps import format_time
from recorder.queries.as_of import BadMomentError, status_at_answer
from recorder.queries.groups import progress_body, require_watch

_CERTAINTIES = {
    Certainty.OBSERVED: "observed: the provider reported this status at that time",
    Certainty.BETWEEN: "between two responses: it was this status or the next one",
    Certainty.GAP: "in a gap: a response was due, but there was none",
    Certainty.OPEN: "after the last response, with the next one not yet overdue: it may have changed",
    Certainty.BEFORE: "before the first response: nothing was known yet",
    Certainty.NOT_WATCHED: "not watched: no response was due",
}


def print_status_at(taskgroup_id: str, moment: datetime, *, as_json: bool) -> None:
    """Print what is known about the status of a group at `moment`."""
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
    console().print(field_table(_fields(body, moment)))


def _fields(body: dict[str, Any], moment: datetime) -> dict[str, str | Text]:
    fields: dict[str, str | Text] = {
        "group": plain(body["taskgroup_id"]),
        "at": show_time(format_time(moment)),
        "certainty": _CERTAINTIES[Certainty(body["certainty"])],
    }
    if body["status"] is not None:
        fields |= {
            "phase": phase_text(body["phase"]),
            "runs": f"{runs_text(progress_body(body['status']))} finished",
            "counts": plain(counts_text(body["status"])),
            "reported from": f"{show_time(body['observed_at'])} (entry {body['seq']})",
            "reported until": f"{show_time(body['last_seen_at'])} (polls: {body['polls']})",
        }
    if body["next_status"] is not None:
        fields["next"] = plain(counts_text(body["next_status"]))
    if body["gap"] is not None:
        until = "still open" if body["gap"]["to"] is None else show_time(body["gap"]["to"])
        fields["gap"] = Text(f"{show_time(body['gap']['from'])} to {until}: ").append_text(
            cause_text(body["gap"])
        )
    return fields
