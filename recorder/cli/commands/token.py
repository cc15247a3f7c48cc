"""`recorder token`: create a token for the API."""

from __future__ import annotations

import click

from recorder.tokens import Scope, new_token


@click.command("token")
@click.argument("name")
@click.option("--enrol", "scope", flag_value=Scope.ENROL, help="For enrolling groups as well as reading.")
@click.option("--probe", "scope", flag_value=Scope.PROBE, help="For /readyz and /metrics alone.")
def command(name: str, scope: Scope | None) -> None:
    """Create a token for the API and print it. The token itself is not stored anywhere.

    Without an option it is for reading.

    The first line of standard output is the token, the second is what to add to RECORDER_API_TOKENS.
    """
    try:
        secret, token = new_token(name, scope or Scope.READ)
    except ValueError as error:
        raise click.UsageError(f"NAME: {name[:80]!a} is not allowed; {error}") from None
    click.echo(secret)
    click.echo(token)
    click.echo("the first line is the token, which is shown only once;", err=True)
    click.echo("add the second to RECORDER_API_TOKENS (separate several with commas)", err=True)
