"""The recorders as a table, and why polls are late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from recorder.cli.output.console import column_table, plain
from recorder.cli.output.format import ago_text, count_text
from recorder.ledger.timestamps import format_time
from recorder.queries.recorders import recorder_body
from recorder.store.heartbeats import Heartbeat

_OFFSET_WORTH_SHOWING = 1.0


def recorder_table(recorders: Sequence[Heartbeat], now: datetime) -> Table:
    """Return a table with a row for each recorder."""
    table = column_table()
    for heading in ("recorder", "state", "heartbeat", "last poll", "last write", "limited by", "clock"):
        table.add_column(heading, no_wrap=heading == "state")
    for beat in recorders:
        body = recorder_body(beat, now)
        table.add_row(
            name_text(beat),
            _state(body),
            *(ago_text(body[member], now) for member in ("heartbeat_at", "last_poll_at", "last_write_at")),
            (body["limited_by"] or "").replace("_", " "),
            _offset_text(body["clock_offset_seconds"]),
        )
    return table


def late_lines(late: dict[str, Any], recorders: Sequence[Heartbeat]) -> list[Text]:
    """Return lines about what is late and why."""
    names = {beat.recorder_id: name_text(beat).plain for beat in recorders}
    due = count_text(late["due_polls"], "poll is due", "polls are due")
    what = f"{count_text(late['open_gaps'], 'open gap')}; {due}"
    if late["due_polls"]:
        what += f", the longest for {late['late_seconds']:.1f} s"
    lines = [Text(what)]
    for reason in late["reasons"]:
        whose = names.get(reason["recorder_id"])
        text = f"{reason['reason'].replace('_', ' ')}: {reason['detail']}"
        lines.append(Text(f"{text} ({whose})" if whose else text, style="yellow"))
    return lines


def name_text(beat: Heartbeat) -> Text:
    """Return where a recorder runs."""
    return plain(f"{beat.host} pid {beat.pid}")


def failing_line(beat: Heartbeat, now: datetime) -> Text | None:
    """Return what is wrong with a recorder, None if it can record."""
    writing = beat.report.get("writing", {})
    where = f"the recorder on {name_text(beat).plain}"
    if not beat.is_alive(now):
        sent = ago_text(format_time(beat.heartbeat_at), now)
        return Text(f"{where} has stopped: its last heartbeat was {sent}", style="yellow")
    if beat.is_recording(now):
        return None
    since, error = ago_text(writing["failing_since"], now), plain(writing["error"]).plain
    return Text(
        f"{where} cannot write to the database: {writing['failures']} failed writes, the first {since}; "
        f"last: {error}",
        style="red",
    )


def _state(body: dict[str, Any]) -> Text:
    if not body["alive"]:
        return Text("stopped", style="red")
    return Text("recording", style="green") if body["recording"] else Text("cannot write", style="red")


def _offset_text(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:+.0f} s" if abs(seconds) >= _OFFSET_WORTH_SHOWING else "on time"
