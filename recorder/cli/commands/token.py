"""`recorder token`: create a token for the API."""

from __future__ import annotations

import click

from recorder.tokens import new_token


@click.command("token")
@click.argument("name")
def command(name: str) -> None:
    """Create a token for reading the API and print it. The token itself is not stored anywhere.

    The first line of standard output is the token, the second is what to add to RECORDER_API_TOKENS.
    """
    try:
        secret, token = new_token(name)
    except ValueError as error:
        raise click.UsageError(f"NAME: {name[:80]!a} is not allowed; {error}") from None
    click.echo(secret)
    click.echo(token)
    click.echo("the first line is the token, which is shown only once;", err=True)
    click.echo("add the second to RECORDER_API_TOKENS (separate several with commas)", err=True)
