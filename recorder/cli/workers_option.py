"""The option of the commands that record in several processes."""

from __future__ import annotations

import click

from recorder.cli.number_options import CountType

workers_option = click.option(
    "--workers",
    type=CountType(1, 64),
    default=1,
    show_default=True,
    help="How many processes record; they share the groups and the rate. More than 1 needs PostgreSQL.",
)
