"""`recorder completion`: how long the work of one or many groups took, and when it will be done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
from sqlalchemy import Connection

from recorder.cli.common import report_errors
from recorder.cli.output.cohort_table import Cohorts, find_cohorts, print_cohorts
from recorder.cli.output.comparison_table import print_comparison
from recorder.cli.output.console import answer, console, json_option, metadata_options, print_json, query_of
from recorder.cli.output.episode_table import print_completion
from recorder.cli.output.unknown_keys import meant_text, unknown_key_notes
from recorder.queries.comparison import StatisticsQuery, statistics_or_comparison
from recorder.queries.completion import completion_answer
from recorder.queries.eta import eta_of
from recorder.queries.groups import group_body, require_group
from recorder.settings_loading import load_settings
from recorder.store.durations import MOST_COHORTS, TooManyCohortsError
from recorder.store.totals import has_label


@click.command("completion")
@click.argument("taskgroup_id", metavar="[ID]", required=False)
@click.option("--group-by", metavar="metadata.KEY", help="Show one line per value of KEY in the metadata.")
@click.option("--since", help="created: measure from the creation of the groups; first episodes only.")
@click.option("--enrolled", help="prospective: only episodes whose start was observed.")
@click.option("--from", "from_", metavar="TIME", help="Only episodes that started at or after this time.")
@click.option("--to", metavar="TIME", help="Only episodes that started before this time.")
@click.option(
    "--metadata",
    "labels",
    metavar="KEY=VALUE",
    multiple=True,
    help="Only groups with this value in their metadata; may be repeated.",
)
@click.option(
    "--compare",
    metavar="WHAT",
    help="time: compare --from/--to with --than-from/--than-to; metadata.KEY: --value with --than-value.",
)
@click.option("--than-from", metavar="TIME", help="Compare with episodes that started at or after this time.")
@click.option("--than-to", metavar="TIME", help="Compare with episodes that started before this time.")
@click.option("--value", help="The first value of KEY to compare.")
@click.option("--than-value", help="The value of KEY to compare with.")
@json_option
@report_errors
def command(
    taskgroup_id: str | None, as_json: bool, from_: str | None, labels: tuple[str, ...], **options: str | None
) -> None:
    """Show how long the work of a group took, and when it will be done.

    Without ID, show statistics over all groups. The options select among these and cannot be used with ID.
    """
    given = {name: text for name, text in {**options, "from": from_}.items() if text is not None}
    if taskgroup_id is None:
        _print_many(_query(given, labels), as_json=as_json)
        return
    refused = [*given, *(["metadata"] if labels else [])]
    if refused:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in refused)
        raise click.UsageError(f"{names} selects among all groups and cannot be used with ID")
    _print_one(taskgroup_id, as_json=as_json)


def _print_one(taskgroup_id: str, *, as_json: bool) -> None:
    cohort_key = load_settings(needed=()).cohort_key

    def question(connection: Connection, now: datetime) -> dict[str, Any]:
        group = require_group(connection, taskgroup_id)
        eta = eta_of(connection, group, cohort_key)
        completion = completion_answer(connection, group, eta)
        return completion if as_json else {"group": group_body(group, eta, now), "completion": completion}

    found = answer(question)
    if as_json:
        print_json(found)
    else:
        print_completion(console(), found["group"], found["completion"])


def _print_many(query: StatisticsQuery, *, as_json: bool) -> None:
    found: list[Cohorts] = []
    remarks: list[str] = []

    def question(connection: Connection, _: datetime) -> dict[str, Any]:
        if not as_json:
            remarks[:] = unknown_key_notes(connection, _keys(query))
            grouped = query.group_by
            if grouped is not None and not has_label(connection, grouped):
                remarks.extend(filter(None, [meant_text(connection, grouped)]))
        if as_json or query.compare is not None:
            return statistics_or_comparison(connection, query)
        found.append(find_cohorts(connection, query))
        return {}

    try:
        body = answer(question)
    except TooManyCohortsError:
        raise click.UsageError(
            f"--group-by has more than {MOST_COHORTS:,} values; "
            "group by another key, or select groups with --metadata KEY=VALUE"
        ) from None
    if as_json:
        print_json(body)
    elif query.compare is not None:
        print_comparison(console(), query, body)
    for cohorts in found:
        print_cohorts(console(), cohorts)
    for remark in remarks:
        click.echo(remark, err=True)


def _keys(query: StatisticsQuery) -> Iterator[str]:
    """Yield the metadata keys that select groups; the table itself tells of one that it is grouped by."""
    yield from query.metadata
    if query.compared_key is not None:
        yield query.compared_key


def _query(given: dict[str, str], labels: tuple[str, ...]) -> StatisticsQuery:
    selected = metadata_options(labels)
    parameters: dict[str, Any] = {**given, "metadata": selected} if selected else {**given}
    return query_of(StatisticsQuery, parameters)
