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
from recorder.settings import Settings
from recorder.settings_loading import SERVING, load_settings
from recorder.store.engine import display_url
from recorder.store.schema import require_head, state_of


@click.command("serve")
@report_errors
def command() -> None:
    """Serve the API, read-only, until Ctrl-C or SIGTERM."""
    settings = load_settings(SERVING)
    warn_of_misspelt_settings(print_warning)
    require_servable(settings)
    require_file(settings.read_url)
    with opened_database(settings.read_url, read_only=True) as engine:
        wait_for_database(engine)
        require_head(state_of(engine))
    host = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
    address = f"http://{host}:{settings.api_port}"
    click.echo(
        f"API at {address}/api/v1/groups, documentation at {address}/docs, "
        f"from {display_url(settings.read_url)}"
    )
    serve(settings.api_host, settings.api_port)


def require_servable(settings: Settings) -> None:
    """Check that the API can be served.

    Raises:
        ClickException: the port is in use, or the address does not belong to this machine.
    """
    try:
        require_free(settings.api_host, settings.api_port)
    except OSError as error:
        raise click.ClickException(
            f"cannot serve on {settings.api_host} port {settings.api_port}: {error.strerror or error}; "
            "choose another with RECORDER_API_PORT"
        ) from None
