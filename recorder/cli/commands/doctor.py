"""`recorder doctor`: check everything that recording needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import click

from recorder.cli.common import report_errors
from recorder.cli.doctor.check import Check
from recorder.cli.doctor.database import check_database
from recorder.cli.doctor.sinks import check_sinks
from recorder.cli.doctor.upstream import ask, check_address
from recorder.cli.output.console import plain
from recorder.setting_names import misspelt_settings
from recorder.settings import SettingsError
from recorder.settings_loading import load_settings


@click.command("doctor")
@report_errors
def command() -> None:
    """Check settings, database, recorders and the provider; say what to do about each problem.

    It asks the provider for one group that is watched, or for one that does not exist.
    """
    problems = 0
    for check in _checks():
        problems += not check.fine
        click.echo(f"{'ok' if check.fine else 'problem':8} {check.subject:10} {plain(check.text).plain}")
    if problems:
        raise click.exceptions.Exit(1)


def _checks() -> Iterator[Check]:
    lines = misspelt_settings()
    yield from (Check("settings", False, line) for line in lines)
    try:
        settings = load_settings()
    except SettingsError as error:
        yield from (Check("settings", False, line) for line in str(error).splitlines())
        return
    if not lines:
        yield Check("settings", True, "all values are allowed, and no name looks misspelt")
    database = check_database(settings)
    yield from database.checks
    yield from check_sinks(settings)
    address = check_address(settings.base_url, settings.upstream_prefix)
    yield address
    if settings.api_key is None:
        yield Check("key", False, "PARALLEL_API_KEY is not set; set it to your key for the provider's API")
    elif address.fine:
        yield from asyncio.run(ask(settings, settings.api_key.get_secret_value(), database.asked))
