"""The database of commands that may be a user's first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy import Engine

from recorder.cli.common import note_elsewhere, opened_database
from recorder.settings import Settings
from recorder.store.engine import display_url
from recorder.store.migrate import upgrade
from recorder.store.schema import require_head, require_own, state_of
from recorder.store.transactions import reading


@contextmanager
def created_database(settings: Settings) -> Iterator[Engine]:
    """Open the recorder's database for writing, as `writable_database` does; create it if it is empty."""
    with opened_database(settings.write_url) as engine:
        state = state_of(engine)
        if state.blank:
            upgrade(engine)
            click.echo(f"created the tables in {display_url(settings.write_url)}", err=True)
            note_elsewhere()
        else:
            require_head(state)
            with reading(engine) as connection:
                require_own(connection)
        yield engine
