"""`recorder serve`: the API."""

from __future__ import annotations

import click

from api.server import require_free, serve
from recorder.cli.common import (
    opened_database,
    print_warning,
    report_errors,
    require_file,
    wait_for_database,
    warn_of_misspelt_settings,
)
from recorder.cli.elsewhere import neighbour_text
from recorder.settings import Settings
from recorder.settings_loading import SERVING, load_settings
from recorder.store.engine import display_url
from recorder.store.schema import require_head, state_of


@click.command("serve")
@report_errors
def command() -> None:
    """Serve the API until Ctrl-C or SIGTERM; read-only, but for enrolment if a token is for it."""
    settings = load_settings(SERVING)
    warn_of_misspelt_settings(print_warning)
    require_servable(settings)
    require_file(settings.read_url)
    with opened_database(settings.read_url, read_only=True) as engine:
        wait_for_database(engine)
        require_head(state_of(engine))
    if settings.may_enrol:
        require_file(settings.write_url)
    address = address_of(settings)
    click.echo(
        f"dashboard at {address}/, API at {address}/api/v1/groups, documentation at {address}/docs, "
        f"from {display_url(settings.read_url)}"
    )
    serve(settings.api_host, settings.api_port)


def address_of(settings: Settings) -> str:
    """Return the address at which the API is served, without a slash at its end."""
    host = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
    return f"http://{host}:{settings.api_port}"


def require_servable(settings: Settings) -> None:
    """Check that the API can be served.

    Raises:
        ClickException: the port is in use, or the address does not belong to this machine.
    """
    try:
        require_free(settings.api_host, settings.api_port)
    except OSError as error:
        neighbour = neighbour_text()
        raise click.ClickException(
            f"cannot serve on {settings.api_host} port {settings.api_port}: {error.strerror or error}; "
            "choose another with RECORDER_API_PORT" + (f" ({neighbour})" if neighbour else "")
        ) from None
