"""`recorder pause`: stop asking for groups until they are resumed."""

from __future__ import annotations

from recorder.cli.ceasing import ceasing_command
from recorder.ledger.entries import Action

command = ceasing_command(
    "pause",
    Action.PAUSED,
    "Stop asking for groups until `recorder resume`; what happens meanwhile is no gap.",
)
