"""`recorder db`: manage the schema of the database and the derived tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Engine, func, inspect, select

from recorder.audit.repair import repair_derived
from recorder.cli.common import opened_database, report_errors, require_file, wait_for_database
from recorder.cli.output.files import phases, stoppable, told_progress
from recorder.cli.output.format import count_text
from recorder.processes import stop_requests
from recorder.settings_loading import load_settings
from recorder.store import grants as granting
from recorder.store import migrate, schema
from recorder.store.dialects.registry import dialect_of
from recorder.store.engine import display_url
from recorder.store.grants import Roles
from recorder.store.rebuilding import rebuild_all, rebuild_left
from recorder.store.repair import repair_schema
from recorder.store.schema_diff import differences
from recorder.store.tables import summaries, watches
from recorder.store.transactions import reading, writing
from recorder.store.underived import deriving, groups_left


@click.group("db")
def command() -> None:
    """Create, upgrade and check the database schema."""


@command.command("upgrade")
@report_errors
def upgrade_command() -> None:
    """Upgrade the schema to this program's revision. An empty database gets its tables.

    The schema changes in one short transaction. If the rules of completion have changed, it is then derived
    anew, group by group, while recorders and the API may run. After an interruption, the next upgrade or any
    recorder continues.
    """
    with opened_database(load_settings(needed=()).write_url) as engine:
        wait_for_database(engine)
        before = migrate.upgrade_schema(engine)
        click.echo(f"{display_url(engine.url)}: {before.current or 'empty'} -> {before.head}")
        _derive_left(engine)


def _derive_left(engine: Engine) -> None:
    """Derive anew what other rules derived, while others record and read."""
    with stop_requests() as stop_requested, told_progress("deriving completion anew, groups") as tell:
        for found in rebuild_left(engine):
            tell(found.done, found.total)
            if stop_requested() and found.done < found.total:
                raise click.ClickException(
                    f"stopped after {found}; a running recorder derives the others, and so does: "
                    "recorder db upgrade"
                )


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
        if state.at_head:
            with reading(engine) as connection:
                left = deriving(connection)
            if left is not None:
                click.echo(f"completion is being derived anew: {left} are done (see: recorder db upgrade)")


@command.command("check")
@report_errors
def check() -> None:
    """Compare the schema with this program's. The exit status is 1 if it differs.

    Groups whose derived data is missing are reported too, and on PostgreSQL privileges that were lost.
    """
    with _present_database() as engine:
        schema.require_head(schema.state_of(engine))
        found = [*differences(engine), *_lacking(engine)]
        for difference in found:
            click.echo(difference)
        if found:
            raise click.exceptions.Exit(1)
        click.echo(f"{display_url(engine.url)}: at head, as expected")


def _lacking(engine: Engine) -> Iterator[str]:
    """Yield what is missing although the schema is complete."""
    with reading(engine) as connection:
        if dialect_of(engine).has_roles and granting.grants_are_used(connection):
            yield from granting.lacking_privileges(connection, Roles())
        # A missing table is reported by itself.
        place = dialect_of(connection).current_schema(connection)
        is_there = inspect(connection).has_table(summaries.name, schema=place)
        if is_there and (left := groups_left(connection)):
            yield f"derived tables: {count_text(len(left), 'group')} missing or derived by other rules"


@command.command("repair")
@click.option("--recorder", default=Roles.recorder, show_default=True, help="The role of the recorders.")
@click.option("--api", default=Roles.api, show_default=True, help="The role of the API, which only reads.")
@click.option(
    "--reporting", default=Roles.reporting, show_default=True, help="The role that reads the views."
)
@report_errors
def repair_command(recorder: str, api: str, reporting: str) -> None:
    """Make anew what a restore can lose, and say what was done. The ledger itself is never changed.

    That is: triggers and whether they are enabled, views, indexes, the privileges of the roles if all three
    exist, and derived data. The exit status is 1 if something is wrong that this cannot mend.
    """
    with _present_database() as engine, stoppable("stopped: what was said to be done is done"):
        schema.require_head(schema.state_of(engine))
        done = 0
        for line in _repair(engine, recorder, api, reporting):
            click.echo(line)
            done += 1
        left = differences(engine)
    for difference in left:
        click.echo(f"Error: cannot be repaired: {difference}", err=True)
    if left:
        raise click.exceptions.Exit(1)
    if not done:
        click.echo(f"{display_url(engine.url)}: there was nothing to repair")


def _repair(engine: Engine, recorder: str, api: str, reporting: str) -> Iterator[str]:
    yield from repair_schema(engine)
    if dialect_of(engine).has_roles:
        yield from _repair_grants(engine, recorder, api, reporting)
    with opened_database(engine.url, read_only=True, primary=True) as reader, phases() as tell:
        rebuilt = repair_derived(engine, reader, tell)
    if rebuilt.groups:
        yield f"derived tables: {count_text(rebuilt.groups, 'group')} rebuilt from the ledger"
    if rebuilt.others:
        click.echo(
            f"Error: {count_text(rebuilt.others, 'group')} with findings that need more: recorder verify",
            err=True,
        )
        raise click.exceptions.Exit(1)


def _repair_grants(engine: Engine, recorder: str, api: str, reporting: str) -> Iterator[str]:
    try:
        roles = granting.Roles(recorder, api, reporting)
        with writing(engine) as connection:
            lacking = granting.lacking_privileges(connection, roles)
            if lacking:
                granting.apply(connection, roles, archiving=granting.may_archive(connection, roles))
    except granting.GrantsError as error:
        raise click.ClickException(str(error)) from None
    yield from (line.replace("lacks", "lacked") + ": granted" for line in lacking)


@command.command("grants")
@click.option("--recorder", default=Roles.recorder, show_default=True, help="The role of the recorders.")
@click.option("--api", default=Roles.api, show_default=True, help="The role of the API, which only reads.")
@click.option(
    "--reporting", default=Roles.reporting, show_default=True, help="The role that reads the views."
)
@click.option("--archive", is_flag=True, help="Let the role of the recorders archive groups, too.")
@click.option("--apply", is_flag=True, help="Run the statements too.")
@report_errors
def grants_command(recorder: str, api: str, reporting: str, *, archive: bool, apply: bool) -> None:
    """Print the GRANT statements for the roles on PostgreSQL. The owner of the tables must run them."""
    with _present_database() as engine:
        if not dialect_of(engine).has_roles:
            raise click.ClickException("SQLite has no roles: whoever may write the file may change all of it")
        try:
            roles = granting.Roles(recorder, api, reporting)
            with writing(engine) if apply else reading(engine) as connection:
                place = schema.schema_of(connection)
                if apply:
                    granting.apply(connection, roles, archiving=archive)
        except granting.GrantsError as error:
            raise click.ClickException(str(error)) from None
    for statement in ["BEGIN", *granting.grant_statements(roles, place, archiving=archive), "COMMIT"]:
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
