"""`recorder unwatch`: stop watching groups."""

from __future__ import annotations

from recorder.cli.ceasing import ceasing_command
from recorder.ledger.entries import Action

command = ceasing_command("unwatch", Action.STOPPED, "Stop watching groups. Their history stays.")
