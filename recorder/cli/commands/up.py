"""`recorder up`: upgrade, record and serve in one command."""

from __future__ import annotations

import click

from recorder.cli.commands.serve import address_of, require_servable
from recorder.cli.common import (
    note_elsewhere,
    opened_database,
    print_warning,
    refuse_demo_database,
    report_errors,
    settings_with_key,
    wait_for_database,
    warn_of_misspelt_settings,
)
from recorder.cli.sink_loading import load_sinks
from recorder.cli.workers import require_workers
from recorder.cli.workers_option import workers_option
from recorder.processes import Children, stop_requests, wait_while
from recorder.settings_loading import ALL_SETTINGS
from recorder.store.engine import display_url
from recorder.store.migrate import upgrade_schema


@click.command("up")
@workers_option
@report_errors
def command(workers: int) -> None:
    """Upgrade the database, record, and serve the API, until Ctrl-C or SIGTERM."""
    settings, _ = settings_with_key(ALL_SETTINGS)
    warn_of_misspelt_settings(print_warning)
    load_sinks(settings)
    require_servable(settings)
    require_workers(settings, workers)
    with opened_database(settings.write_url) as engine:
        wait_for_database(engine)
        # Recorders derive anew what is left to derive.
        before = upgrade_schema(engine)
        if before.blank:
            note_elsewhere()
        refuse_demo_database(settings, engine)
    moved = "" if before.at_head else f" ({before.current or 'new'} -> {before.head})"
    click.echo(f"dashboard {address_of(settings)}/")
    click.echo(f"database  {display_url(settings.write_url)}{moved}")
    click.echo(f"upstream  {settings.base_url}{settings.upstream_prefix}")
    children = Children()
    with stop_requests() as asked:
        try:
            children.start("the recorder (recorder run)", "run", f"--workers={workers}")
            children.start("the API (recorder serve)", "serve")
            ended = wait_while(children, lambda: not asked())
        finally:
            children.stop()
    if ended is not None:
        raise click.ClickException(
            f"{ended.name} ended unexpectedly, with exit status {ended.process.returncode}"
        )
