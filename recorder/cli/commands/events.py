"""`recorder events`: what happened to the groups and to the provider."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.text import Text

from recorder.cli.common import opened_database, report_errors
from recorder.cli.output.console import (
    answer,
    console,
    page_options,
    plain,
    print_json,
    print_more,
    query_of,
)
from recorder.cli.output.format import count_text, duration_text, show_time
from recorder.notify.events import EventType
from recorder.processes import stop_requests
from recorder.queries.events import EventsQuery, event_body, events_page
from recorder.queries.json_output import ndjson_line
from recorder.settings_loading import load_settings
from recorder.store.transactions import reading

_CHECK_SECONDS = 0.5
_STYLES = {
    EventType.SETTLED: "green",
    EventType.BLOCKED: "yellow",
    EventType.STALLED: "yellow",
    EventType.SHORT: "yellow",
    EventType.OVERDUE: "yellow",
    EventType.ANOMALY: "magenta",
    EventType.GONE: "red",
    EventType.UPSTREAM_DOWN: "red",
    EventType.KEY_REJECTED: "red",
}


@click.command("events")
@click.option("--follow", is_flag=True, help="Then print each new event, until Ctrl-C.")
@click.option("--after", metavar="N", help="Only events after the one with this id.")
@click.option(
    "--type",
    "type_",
    metavar="TYPES",
    help=f"Only events of these types, separated by commas: {', '.join(EventType)}.",
)
@click.option("--taskgroup-id", metavar="ID", help="Only events of this group.")
@page_options
@report_errors
def command(follow: bool, as_json: bool, type_: str | None, **options: str | None) -> None:
    """Show what happened to the groups and to the provider, oldest first."""
    query = query_of(EventsQuery, {"type": type_, **options})
    if follow:
        _follow(query, as_json=as_json)
        return
    page = answer(lambda connection, _: events_page(connection, query))
    if as_json:
        print_json(page.body(event_body))
        return
    for item in page.items:
        _print_line(event_body(item))
    print_more(page.cursor)


def _follow(query: EventsQuery, *, as_json: bool) -> None:
    """Print each event on a line until Ctrl-C or SIGTERM; as JSON, a line is one item of the API."""
    answer(lambda connection, _: events_page(connection, query))
    with (
        stop_requests() as asked,
        opened_database(load_settings(needed=()).read_url, read_only=True) as engine,
    ):
        while not asked():
            with reading(engine) as connection:
                items = events_page(connection, query).items
            for item in items:
                body = event_body(item)
                if as_json:
                    sys.stdout.buffer.write(ndjson_line(body))
                    sys.stdout.buffer.flush()
                else:
                    _print_line(body)
            if items:
                query = query.model_copy(update={"after": items[-1].id, "cursor": None})
            else:
                time.sleep(_CHECK_SECONDS)


def _print_line(body: dict[str, Any]) -> None:
    console().print(Text("  ").join(_texts(body)), soft_wrap=True)


def _texts(body: dict[str, Any]) -> Iterator[Text]:
    kind, data = EventType(body["type"]), body["data"]
    yield Text(str(body["id"]), style="dim")
    yield Text(show_time(body["at"]))
    yield Text(kind.value, style=_STYLES.get(kind, ""))
    if body["taskgroup_id"] is not None:
        yield plain(body["taskgroup_id"])
    details = _details(kind, data)
    if details:
        yield plain(details)


def _details(kind: EventType, data: dict[str, Any]) -> str:
    """Describe an event in a few words, empty if its type says it all."""
    words = _WORDS.get(kind)
    return "" if words is None else words(data)


_WORDS: dict[EventType, Callable[[dict[str, Any]], str]] = {
    EventType.SETTLED: lambda data: (
        f"{data['outcome']} after {duration_text(data['duration_seconds'])}, "
        f"{count_text(data['runs']['total'], 'run')}"
    ),
    EventType.STALLED: lambda data: f"no count changed for {duration_text(data['unchanged_seconds'])}",
    EventType.SHORT: lambda data: f"{data['runs']} of {data['expected']['runs']} expected runs",
    EventType.OVERDUE: lambda data: f"expected by {show_time(data['expected']['by'])}",
    EventType.ANOMALY: lambda data: str(data["anomaly"]),
    EventType.UPSTREAM_DOWN: lambda data: f"since {show_time(data['down_since'])}: {data['detail']}",
}
