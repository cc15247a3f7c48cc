"""All commands of the program, by full name."""

from __future__ import annotations

from collections.abc import Iterator

import click

from recorder.cli.main import recorder


def commands(group: click.Group = recorder, prefix: str = "recorder") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


COMMANDS = dict(commands())
