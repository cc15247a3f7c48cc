"""The command `recorder`: its subcommands, and errors in words."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import cast

import click

_COMMANDS = {
    "checkpoint": "Write the newest entry of every ledger, to be kept elsewhere.",
    "completion": "Print how long work took, and when it will be done.",
    "db": "Make, move and check the database's schema.",
    "demo": "Show everything at work: a simulated upstream, the recorder and the API.",
    "export": "Write whole ledgers as lines that anybody can verify.",
    "gaps": "Print when a group was not seen, and why.",
    "groups": "List the groups, the newest enrolment first.",
    "history": "Print the entries of a group's ledger.",
    "import": "Read an export into an empty database.",
    "pause": "Stop asking for groups until they are resumed.",
    "resume": "Watch groups again that are not being watched.",
    "run": "Record: poll every watched group on its schedule.",
    "serve": "Serve the API.",
    "simulate": "Run a simulated upstream.",
    "status": "Print the latest status of a group.",
    "token": "Make a token that lets its holder read the API.",
    "unwatch": "Stop watching groups; their history stays.",
    "up": "Upgrade the database, record, and serve the API.",
    "verify": "Prove that everything recorded still stands.",
    "watch": "Watch groups from now on.",
}
_MODULES = {"import": "import_", **dict.fromkeys(("pause", "resume", "unwatch", "watch"), "watching")}
"""Where a command's module has another name than the command."""


class _Commands(click.Group):
    """Loads a command's module when it is called: `recorder status` need not load a web server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        commands = import_module(f"recorder.cli.commands.{module}")
        return cast(click.Command, getattr(commands, cmd_name if module == "watching" else "command"))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="task-group-recorder", prog_name="recorder")
def recorder() -> None:
    """Record the status of task groups: what happened, when, and what was not seen.

    Settings come from the environment or from a file .env in the working folder.
    """


def main() -> None:
    """Run the command line; the exit status is 0, 1 (a finding or failure) or 2 (wrong usage or settings)."""
    # Python processes that a command starts must not import modules from the user's working folder.
    os.environ["PYTHONSAFEPATH"] = "1"
    # For the time in which a command is loaded, before it handles the signal itself.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    try:
        try:
            status = _run()
        finally:
            sys.stdout.flush()
        sys.exit(status)
    except KeyboardInterrupt:
        sys.exit(1)
    except OSError as error:
        # What is left of output that could not be written, to a full disk perhaps, must not be tried again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"Error: {error.filename or 'output'}: {error.strerror or error}\n")
        sys.exit(1)


def _run() -> int:
    """Run the command that is asked for; wrong usage is said in one line, as any other error is."""
    try:
        status = recorder.main(prog_name="recorder", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        command = "recorder" if error.ctx is None else error.ctx.command_path
        message = " ".join(error.format_message().split())
        click.echo(f"Error: {command}: {message.rstrip('.')} (see {command} --help)", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 1
