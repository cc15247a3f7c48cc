"""`recorder db`: the schema of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy import Engine

from recorder.cli.common import opened_database, require_file, shown, with_words
from recorder.settings import load_settings
from recorder.store import schema
from recorder.store.readers import count_entries
from recorder.store.transactions import reading


@click.group("db")
def command() -> None:
    """Make, move and check the database's schema."""


@command.command("upgrade")
@with_words
def upgrade() -> None:
    """Bring the schema to this program's revision; makes the tables in an empty database."""
    with opened_database(load_settings().write_url) as engine:
        before = schema.upgrade(engine)
        click.echo(f"{shown(engine.url)}: {before.current or 'empty'} -> {before.head}")


@command.command("downgrade")
@click.argument("revision")
@click.option("--discard-ledger", is_flag=True, help="Drop the ledger although it has entries.")
@with_words
def downgrade(revision: str, discard_ledger: bool) -> None:
    """Take the schema back to REVISION; `base` drops all tables, the ledger with them."""
    with _present_database() as engine:
        if revision == "base" and not discard_ledger:
            _refuse_to_discard(engine)
        before = schema.downgrade(engine, revision)
        click.echo(f"{shown(engine.url)}: {before.current} -> {revision}")


@command.command("current")
@with_words
def current() -> None:
    """Print the schema's revision, and the one that this program needs."""
    with _present_database() as engine:
        state = schema.state_of(engine)
        click.echo(f"{state.current or 'none'} (this program needs {state.head})")


@command.command("check")
@with_words
def check() -> None:
    """Check that the schema is this program's, table by table; exit status 1 if it is not."""
    with _present_database() as engine:
        schema.require_head(schema.state_of(engine))
        differences = schema.differences(engine)
        for difference in differences:
            click.echo(difference)
        if differences:
            raise click.exceptions.Exit(1)
        click.echo(f"{shown(engine.url)}: at head, as it should be")


@contextmanager
def _present_database() -> Iterator[Engine]:
    url = load_settings().write_url
    require_file(url)
    with opened_database(url) as engine:
        yield engine


def _refuse_to_discard(engine: Engine) -> None:
    if not schema.state_of(engine).at_head:
        return
    with reading(engine) as connection:
        entries = count_entries(connection)
    if entries:
        raise click.ClickException(
            f"the ledger has {entries} entries, which cannot be recorded again; "
            "to drop them all the same, say --discard-ledger"
        )
