"""`recorder token`: make a token for the API."""

from __future__ import annotations

import click

from recorder.tokens import new_token


@click.command("token")
@click.argument("name")
def command(name: str) -> None:
    """Make a token that lets its holder read the API, and print it; it is kept nowhere.

    The token goes to standard output's first line, what to add to RECORDER_API_TOKENS to its second.
    """
    try:
        secret, token = new_token(name)
    except ValueError as error:
        raise click.UsageError(f"NAME: {name[:80]!a} is not allowed; {error}") from None
    click.echo(secret)
    click.echo(token)
    click.echo("the first line is the token, which is shown this once;", err=True)
    click.echo("the second goes into RECORDER_API_TOKENS (separate several by commas)", err=True)
