"""Warnings about the recorders: none running, writes or polls failing, or a request rate that is too low."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from recorder.cli.output.console import plain
from recorder.cli.output.format import ago_text, show_time
from recorder.cli.output.recorder_table import failing_line
from recorder.queries.recorders import SHORT_OF
from recorder.store.heartbeats import Heartbeat

_TROUBLES = {
    "key_rejected": "the API key is rejected, polls pause except for one at a time",
    "not_found": "groups that were seen before are not found, which is its doing: none becomes gone",
}


def warnings(recorders: Sequence[Heartbeat], now: datetime) -> list[Text]:
    """Return a line for each problem, none if all is well."""
    alive = [beat for beat in recorders if beat.is_alive(now)]
    if not alive:
        return [Text("no recorder is running; start one with: recorder up, or: recorder run", style="yellow")]
    lines = [line for beat in recorders if (line := failing_line(beat, now)) is not None]
    lines += [line for beat in alive for line in _lines(beat, now)]
    # Recorders that share a problem report the same line.
    return list({line.plain: line for line in lines}.values())


def _lines(beat: Heartbeat, now: datetime) -> Iterator[Text]:
    upstream, rate = beat.report.get("upstream"), beat.report.get("rate")
    if upstream is not None and upstream["trouble"] is not None:
        yield _upstream_line(upstream, now)
    if upstream is not None and upstream.get("prefix") is not None:
        yield Text(
            f"upstream: groups are found under {upstream['prefix']} alone, which polls take: "
            f"set RECORDER_UPSTREAM_PREFIX to it",
            style="yellow",
        )
    if rate is not None and rate["stretch"] > 1:
        yield Text(_stretch_text(rate), style="yellow")


def _stretch_text(rate: dict[str, Any]) -> str:
    limit = rate.get("limited_by") or "rate"
    allowed = f"RECORDER_RATE allows {rate['requests_per_second']:g}"
    if limit != "rate":
        allowed = f"{rate['capacity_per_second']:g} are possible, since {SHORT_OF[limit]}"
    return (
        f"{limit}: the groups need {rate['needed_per_second']:g} requests per second, but {allowed}: "
        f"all intervals are {rate['stretch']:.1f} times as long"
    )


def _upstream_line(upstream: dict[str, Any], now: datetime) -> Text:
    trouble = upstream["trouble"]
    last = trouble["last_failure"]
    failures = ", ".join(f"{count} {cause}" for cause, count in trouble["failures"].items())
    rejected = upstream["state"] == "key_rejected"
    what = _TROUBLES.get(upstream["state"], "polls are failing")
    since = f"since {show_time(trouble['since'])} ({ago_text(trouble['since'], now)})"
    line = Text(f"upstream: {what}, {since}: {failures}; {trouble['answers']} answered meanwhile; last: ")
    line.append_text(plain(last["detail"]))
    line.stylize("bold red" if rejected else "red")
    return line
