"""`recorder up`: upgrade, record and serve in one command."""

from __future__ import annotations

import click

from recorder.cli.commands.serve import require_servable
from recorder.cli.common import opened_database, report_errors, settings_with_key, wait_for_database
from recorder.processes import Children, stop_requests, wait_while
from recorder.settings_loading import ALL_SETTINGS
from recorder.store.engine import display_url
from recorder.store.migrate import upgrade


@click.command("up")
@report_errors
def command() -> None:
    """Upgrade the database, record, and serve the API, until Ctrl-C or SIGTERM."""
    settings, _ = settings_with_key(ALL_SETTINGS)
    require_servable(settings)
    with opened_database(settings.write_url) as engine:
        wait_for_database(engine)
        before = upgrade(engine)
    moved = "" if before.at_head else f" ({before.current or 'new'} -> {before.head})"
    click.echo(f"database  {display_url(settings.write_url)}{moved}")
    click.echo(f"upstream  {settings.base_url}{settings.upstream_prefix}")
    children = Children()
    with stop_requests() as asked:
        try:
            children.start("the recorder (recorder run)", "run")
            children.start("the API (recorder serve)", "serve")
            ended = wait_while(children, lambda: not asked())
        finally:
            children.stop()
    if ended is not None:
        raise click.ClickException(
            f"{ended.name} ended unexpectedly, with exit status {ended.process.returncode}"
        )
