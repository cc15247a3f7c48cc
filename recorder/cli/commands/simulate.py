"""`recorder simulate`: a simulated provider for trying things out."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from recorder.simulator import (
    SCENE_KINDS,
    Fault,
    Outage,
    ScenarioError,
    Scene,
    SimulatorSettings,
    parse_outage,
    parse_scenario,
    serve_simulator,
)


class _OutageType(click.ParamType[Outage]):
    name = "START-END:FAULT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Outage:
        try:
            return parse_outage(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _ScenarioType(click.ParamType[tuple[Scene, ...]]):
    name = "FILE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Scene, ...]:
        try:
            return parse_scenario(Path(str(value)).read_bytes())
        except ScenarioError as error:
            self.fail(f"{value}: {error}", param, ctx)
        except OSError as error:
            self.fail(f"{value}: {error.strerror or error}", param, ctx)


def _list_scenes(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        width = max(map(len, SCENE_KINDS))
        for name, kind in SCENE_KINDS.items():
            given = "".join(f" [{parameter}]" for parameter in kind.parameters)
            click.echo(f"{name:{width}}  {kind.does}{given}")
        context.exit()


@click.command("simulate")
@click.option("--port", default=8010, show_default=True, help="The port on 127.0.0.1; 0 picks a free one.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the runs the same lives.")
@click.option(
    "--speed", default=1.0, show_default=True, help="Simulated seconds per real second in runs' lives."
)
@click.option(
    "--outage",
    "outages",
    type=_OutageType(),
    multiple=True,
    metavar="START-END:FAULT",
    help=f"An outage, in seconds since the start, such as 20-26:503; the fault is one of {', '.join(Fault)}, "
    "or the status of one; may be repeated.",
)
@click.option("--scenario", type=_ScenarioType(), help="Play the scenes of this TOML file.")
@click.option(
    "--list-scenes",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_scenes,
    help="Print what a scene can do, with its parameters, and exit.",
)
@click.option(
    "--log", "log_path", type=click.Path(path_type=Path, dir_okay=False), help="Log requests as NDJSON."
)
def command(
    *,
    port: int,
    seed: int,
    speed: float,
    outages: tuple[Outage, ...],
    scenario: tuple[Scene, ...] | None,
    log_path: Path | None,
) -> None:
    """Run a simulated provider until Ctrl-C; it accepts any API key that is not empty.

    It has no groups at first. Create them as you would at the provider, with its SDK or with curl.
    """
    try:
        settings = SimulatorSettings(
            port=port, seed=seed, speed=speed, outages=outages, scenario=scenario or (), log_path=log_path
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        asyncio.run(serve_simulator(settings, _announce))
    except OSError as error:
        what = error.filename or f"port {port}"
        raise click.ClickException(f"cannot simulate with {what}: {error.strerror or error}") from None


def _announce(url: str) -> None:
    click.echo(f"simulated upstream at {url}")
    if not sys.stdout.isatty():
        return
    groups = f"{url}/v1beta/tasks/groups"
    click.echo(f"  curl -H 'x-api-key: any' -H 'content-type: application/json' -d '{{}}' {groups}")
    click.echo(f"  PARALLEL_API_KEY=any PARALLEL_BASE_URL={url} recorder up")
