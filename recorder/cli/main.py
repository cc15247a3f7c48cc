"""The command `recorder`: it finds its subcommands and reports errors in one line."""

from __future__ import annotations

import os
import signal
import sys
from difflib import get_close_matches
from importlib import import_module
from typing import cast

import click

from recorder.cli.help_epilogs import add_epilog
from recorder.log_stream import LogStream

_COMMANDS = {
    "archive": "Move the ledgers of old groups into a file that proves them.",
    "backfill": "Ask the provider for the past of groups' runs.",
    "checkpoint": "Write the head of every ledger, to keep in a safe place.",
    "completion": "Show how long work took, and when it will be done.",
    "db": "Create, upgrade and check the database schema.",
    "demo": "Show everything working together, with a simulated provider.",
    "doctor": "Check everything that recording needs, and say what to do.",
    "events": "Show what happened to the groups and to the provider.",
    "expect": "Say how many runs a group will have, and by when.",
    "export": "Export whole ledgers as JSON lines that anyone can verify.",
    "gaps": "Show when a group could not be observed, and why.",
    "groups": "List the groups, most recently enrolled first.",
    "history": "Show the entries of a group's ledger.",
    "import": "Import an export into an empty database.",
    "note": "Write a note into the ledger of a group.",
    "notify": "Check, try and list the sinks of events.",
    "pause": "Stop polling groups until they are resumed.",
    "resume": "Resume watching groups that are not being watched.",
    "run": "Record: poll every watched group on its schedule.",
    "runs": "Show what the provider claimed about a group's runs.",
    "serve": "Serve the API.",
    "simulate": "Run a simulated provider.",
    "status": "Show the latest status of a group.",
    "token": "Create a token for reading the API.",
    "unwatch": "Stop watching groups; their history is kept.",
    "up": "Upgrade the database, record, and serve the API.",
    "verify": "Verify that nothing recorded was changed.",
    "wait": "Wait until groups are done; the exit status tells how they ended.",
    "watch": "Start watching groups.",
}
_MODULES = {"import": "import_", **dict.fromkeys(("pause", "resume", "unwatch", "watch"), "watching")}
"""The modules of commands whose module is not named after them."""


class _Commands(click.Group):
    """Loads a command's module only when it is called, so that `recorder status` loads no web server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        commands = import_module(f"recorder.cli.commands.{module}")
        found = getattr(commands, f"{cmd_name}_command" if module == "watching" else "command")
        return add_epilog(cast(click.Command, found), cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            close = get_close_matches(args[0], _COMMANDS, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            ctx.fail(f"there is no command {args[0]!a}{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="task-group-recorder", prog_name="recorder")
def recorder() -> None:
    """Record the status of task groups: what happened, when, and when they could not be observed.

    Settings are read from the environment and from the file .env in the working folder.
    """


def main(*, within_another: bool = False) -> None:
    """Run the command line; exit with 0, 1 (a finding or failure) or 2 (wrong usage or settings).

    A command that runs `within_another` leaves it to that one to warn about settings.
    """
    # Python processes that a command starts must not import modules from the user's working folder.
    os.environ["PYTHONSAFEPATH"] = "1"
    # Loading a command takes a while; once loaded, it handles the signal itself. Whoever waits must not take
    # a signal for the end of the work.
    stopped = 1 if "wait" in sys.argv[1:2] else 0
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(stopped))
    try:
        try:
            status = _run(within_another=within_another)
        finally:
            _flush_output()
            # The command has ended: a signal can change nothing but the tidying up of Python.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
        sys.exit(status)
    except KeyboardInterrupt:
        sys.exit(1)
    except OSError as error:
        # Python would try to flush the remaining output again at exit, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"Error: {error.filename or 'output'}: {error.strerror or error}\n")
        sys.exit(1)


def _flush_output() -> None:
    if isinstance(sys.stderr, LogStream):
        sys.stderr.drain()
    sys.stdout.flush()


def _run(*, within_another: bool) -> int:
    """Run the requested command; report wrong usage in one line, as any other error."""
    try:
        status = recorder.main(prog_name="recorder", standalone_mode=False, obj=within_another)
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
