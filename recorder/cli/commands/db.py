"""`recorder db`: manage the schema of the database and the derived tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Engine, func, select

from recorder.cli.common import opened_database, report_errors, require_file, wait_for_database
from recorder.processes import stop_requests
from recorder.settings_loading import load_settings
from recorder.store import grants as granting
from recorder.store import migrate, schema
from recorder.store.derived import rebuild_all
from recorder.store.dialects.registry import dialect_of
from recorder.store.engine import display_url
from recorder.store.grants import Roles
from recorder.store.schema_diff import differences
from recorder.store.tables import watches
from recorder.store.transactions import reading, writing


@click.group("db")
def command() -> None:
    """Create, upgrade and check the database schema."""


@command.command("upgrade")
@report_errors
def upgrade_command() -> None:
    """Upgrade the schema to this program's revision. An empty database gets its tables."""
    with opened_database(load_settings(needed=()).write_url) as engine:
        wait_for_database(engine)
        before = migrate.upgrade(engine)
        click.echo(f"{display_url(engine.url)}: {before.current or 'empty'} -> {before.head}")


@command.command("downgrade")
@click.argument("revision")
@click.option("--discard-ledger", is_flag=True, help="Drop the ledger even if it has entries.")
@report_errors
def downgrade_command(revision: str, discard_ledger: bool) -> None:
    """Downgrade the schema to REVISION. `base` drops all tables, including the ledger."""
    with _present_database() as engine:
        before = migrate.downgrade(engine, revision, discard_ledger=discard_ledger)
        click.echo(f"{display_url(engine.url)}: {before.current} -> {revision}")


@command.command("current")
@report_errors
def current() -> None:
    """Print the schema's revision and the one this program needs."""
    with _present_database() as engine:
        state = schema.state_of(engine)
        click.echo(f"{state.current or 'none'} (this program needs {state.head})")


@command.command("check")
@report_errors
def check() -> None:
    """Compare the schema with this program's. The exit status is 1 if it differs."""
    with _present_database() as engine:
        schema.require_head(schema.state_of(engine))
        found = differences(engine)
        for difference in found:
            click.echo(difference)
        if found:
            raise click.exceptions.Exit(1)
        click.echo(f"{display_url(engine.url)}: at head, as expected")


@command.command("grants")
@click.option("--recorder", default=Roles.recorder, show_default=True, help="The role of the recorders.")
@click.option("--api", default=Roles.api, show_default=True, help="The role of the API, which only reads.")
@click.option(
    "--reporting", default=Roles.reporting, show_default=True, help="The role that reads the views."
)
@click.option("--apply", is_flag=True, help="Run the statements too.")
@report_errors
def grants_command(recorder: str, api: str, reporting: str, apply: bool) -> None:
    """Print the GRANT statements for the roles on PostgreSQL. The owner of the tables must run them."""
    with _present_database() as engine:
        if not dialect_of(engine).has_roles:
            raise click.ClickException("SQLite has no roles: whoever may write the file may change all of it")
        try:
            roles = granting.Roles(recorder, api, reporting)
            with writing(engine) if apply else reading(engine) as connection:
                place = schema.schema_of(connection)
                if apply:
                    granting.apply(connection, roles)
        except granting.GrantsError as error:
            raise click.ClickException(str(error)) from None
    for statement in ["BEGIN", *granting.grant_statements(roles, place), "COMMIT"]:
        click.echo(f"{statement};")


@command.command("rebuild")
@report_errors
def rebuild_command() -> None:
    """Rebuild the derived tables from the ledger, group by group. They include the episodes."""
    with _present_database() as engine, stop_requests() as stop_requested:
        schema.require_head(schema.state_of(engine))
        done, total = 0, _count_groups(engine)
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("rebuilding groups", total=total)
            for done in rebuild_all(engine):
                bar.update(task, completed=done)
                if stop_requested():
                    break
        groups = f"{done:,} group{'' if done == 1 else 's'}"
        if done < total and stop_requested():
            raise click.ClickException(f"stopped after {groups} of {total:,}; the others are unchanged")
        click.echo(f"rebuilt {groups} from the ledger")


def _count_groups(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(watches)) or 0


@contextmanager
def _present_database() -> Iterator[Engine]:
    url = load_settings(needed=()).write_url
    require_file(url)
    with opened_database(url) as engine:
        yield engine
