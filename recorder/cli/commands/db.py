"""`recorder db`: the schema of the database, and what is derived in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Engine, func, select

from recorder.cli.common import display_url, opened_database, report_errors, require_file
from recorder.processes import stop_requests
from recorder.settings import load_settings
from recorder.store import grants as granting
from recorder.store import schema
from recorder.store.derived import rebuild_all
from recorder.store.dialects.registry import dialect_of
from recorder.store.grants import Roles
from recorder.store.schema_diff import differences
from recorder.store.tables import watches
from recorder.store.transactions import reading, writing


@click.group("db")
def command() -> None:
    """Make, move and check the database's schema."""


@command.command("upgrade")
@report_errors
def upgrade_command() -> None:
    """Bring the schema to this program's revision; makes the tables in an empty database."""
    with opened_database(load_settings().write_url) as engine:
        before = schema.upgrade(engine)
        click.echo(f"{display_url(engine.url)}: {before.current or 'empty'} -> {before.head}")


@command.command("downgrade")
@click.argument("revision")
@click.option("--discard-ledger", is_flag=True, help="Drop the ledger although it has entries.")
@report_errors
def downgrade_command(revision: str, discard_ledger: bool) -> None:
    """Take the schema back to REVISION; `base` drops all tables, the ledger with them."""
    with _present_database() as engine:
        try:
            before = schema.downgrade(engine, revision, discard_ledger=discard_ledger)
        except schema.LedgerNotEmptyError as error:
            raise click.ClickException(f"{error}; to drop them all the same, say --discard-ledger") from None
        click.echo(f"{display_url(engine.url)}: {before.current} -> {revision}")


@command.command("current")
@report_errors
def current() -> None:
    """Print the schema's revision, and the one that this program needs."""
    with _present_database() as engine:
        state = schema.state_of(engine)
        click.echo(f"{state.current or 'none'} (this program needs {state.head})")


@command.command("check")
@report_errors
def check() -> None:
    """Check that the schema is this program's, table by table; exit status 1 if it is not."""
    with _present_database() as engine:
        schema.require_head(schema.state_of(engine))
        found = differences(engine)
        for difference in found:
            click.echo(difference)
        if found:
            raise click.exceptions.Exit(1)
        click.echo(f"{display_url(engine.url)}: at head, as it should be")


@command.command("grants")
@click.option("--recorder", default=Roles.recorder, show_default=True, help="The role of recorders.")
@click.option("--api", default=Roles.api, show_default=True, help="The role of the API, which only reads.")
@click.option(
    "--reporting", default=Roles.reporting, show_default=True, help="The role of who reads the views."
)
@click.option("--apply", is_flag=True, help="Carry the statements out too.")
@report_errors
def grants_command(recorder: str, api: str, reporting: str, apply: bool) -> None:
    """Print the GRANTs for PostgreSQL's roles, to be carried out by the owner of the tables."""
    with _present_database() as engine:
        if not dialect_of(engine).has_roles:
            raise click.ClickException("SQLite has no roles; who may write its file may change all of it")
        try:
            roles = granting.Roles(recorder, api, reporting)
            if apply:
                with writing(engine) as connection:
                    granting.apply(connection, roles)
        except granting.GrantsError as error:
            raise click.ClickException(str(error)) from None
    for statement in ["BEGIN", *granting.grant_statements(roles), "COMMIT"]:
        click.echo(f"{statement};")


@command.command("rebuild")
@report_errors
def rebuild_command() -> None:
    """Derive episodes and all else that is derived anew from the ledger, group by group."""
    with _present_database() as engine, stop_requests() as asked:
        schema.require_head(schema.state_of(engine))
        piped = not sys.stderr.isatty()
        done, total = 0, _count_groups(engine)
        with Progress(console=Console(stderr=True), disable=piped) as bar:
            task = bar.add_task("deriving groups anew", total=total)
            for done in rebuild_all(engine):
                bar.update(task, completed=done)
                if asked():
                    break
        groups = f"{done:,} group{'' if done == 1 else 's'}"
        if done < total and asked():
            raise click.ClickException(f"stopped after {groups} of {total:,}; the others are as they were")
        click.echo(f"{groups} derived anew from the ledger")


def _count_groups(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(watches)) or 0


@contextmanager
def _present_database() -> Iterator[Engine]:
    url = load_settings().write_url
    require_file(url)
    with opened_database(url) as engine:
        yield engine
