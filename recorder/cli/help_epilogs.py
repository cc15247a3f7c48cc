"""The end of each command's help: an example or two, and the settings that the command reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import click

ID = "tgrp_0123456789abcdef0123456789abcdef"
"""The group of the examples."""

_DATABASE = ("RECORDER_DATABASE_URL", "RECORDER_DATABASE_POOLER")
_READING = ("RECORDER_READ_DATABASE_URL", *_DATABASE)
_ENROLLING = (*_DATABASE, "RECORDER_ACTOR")
_POLLING = (
    *("PARALLEL_API_KEY", "PARALLEL_BASE_URL", "RECORDER_UPSTREAM_PREFIX", *_DATABASE),
    *("RECORDER_POLL_INTERVAL", "RECORDER_RATE", "RECORDER_CONCURRENCY", "RECORDER_LOG_FORMAT"),
)
_SERVING = (*_READING, "RECORDER_API_HOST", "RECORDER_API_PORT", "RECORDER_API_TOKENS")
_NOTIFYING = ("RECORDER_NOTIFY_FILE",)
_MORE = "and others; docs/reference/settings.md has all"


@dataclass(frozen=True, slots=True)
class Epilog:
    """`examples` are command lines without the leading `recorder`; `more` follows the settings."""

    examples: tuple[str, ...]
    settings: tuple[str, ...] = ()
    more: str = ""

    def text(self) -> str:
        """Return the text that follows the options in a command's help."""
        heading = "Example" if len(self.examples) == 1 else "Examples"
        lines = [f"\b\n{heading}:", *(f"  {example}" for example in self.examples)]
        if self.settings:
            lines += ["", f"Settings: {_listed(self.settings)}{f', {self.more}' if self.more else ''}."]
        return "\n".join(lines)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


EPILOGS = {
    "archive": Epilog(
        (
            "recorder archive --older-than 90d --out march.ndjson.zst --dry-run",
            "recorder archive --older-than 90d --out march.ndjson.zst",
        ),
        _DATABASE,
    ),
    "backfill": Epilog((f"recorder backfill {ID}",), (*_POLLING[:3], *_ENROLLING)),
    "checkpoint": Epilog(("recorder checkpoint --out heads.ndjson",), _READING),
    "completion": Epilog(
        (
            f"recorder completion {ID}",
            "recorder completion --group-by metadata.processor --from 2026-11-01T00:00:00Z",
        ),
        (*_READING, "RECORDER_COHORT_KEY"),
    ),
    "db upgrade": Epilog(("recorder db upgrade",), _DATABASE),
    "db downgrade": Epilog(("recorder db downgrade 0008",), _DATABASE),
    "db current": Epilog(("recorder db current",), _DATABASE),
    "db check": Epilog(("recorder db check",), _DATABASE),
    "db rebuild": Epilog(("recorder db rebuild",), _DATABASE),
    "db repair": Epilog(("recorder db repair",), _DATABASE),
    "db grants": Epilog(("recorder db grants --apply",), _DATABASE),
    "demo": Epilog(("recorder demo", "recorder demo --for 30")),
    "doctor": Epilog(("recorder doctor",), _POLLING[:5], _MORE),
    "events": Epilog(("recorder events --follow", "recorder events --type group.settled"), _READING),
    "expect": Epilog((f"recorder expect {ID} --runs 500 --by 6h",), _ENROLLING),
    "export": Epilog(("recorder export --out ledger.ndjson",), _READING),
    "gaps": Epilog((f"recorder gaps {ID}",), _READING),
    "groups": Epilog(
        (
            "recorder groups --phase active,blocked",
            "recorder groups --metadata customer=acme --columns failed,eta,metadata.customer --sort eta",
        ),
        (*_READING, "RECORDER_COHORT_KEY"),
    ),
    "history": Epilog((f"recorder history {ID} --kind status,gap --order desc",), _READING),
    "import": Epilog(("recorder import ledger.ndjson",), _DATABASE),
    "note": Epilog((f'recorder note {ID} "restarted with more memory"',), _ENROLLING),
    "notify check": Epilog(("recorder notify check",), _NOTIFYING),
    "notify test": Epilog(("recorder notify test ops",), _NOTIFYING),
    "notify list": Epilog(("recorder notify list",), _READING),
    "notify replay": Epilog(("recorder notify replay ops",), _DATABASE),
    "pause": Epilog(
        (
            f'recorder pause {ID} --note "waiting for quota"',
            "recorder groups --phase blocked --json | recorder pause -",
        ),
        _ENROLLING,
    ),
    "resume": Epilog((f"recorder resume {ID}",), _ENROLLING),
    "run": Epilog(("recorder run", "recorder run --once --every 60"), _POLLING, _MORE),
    "runs": Epilog((f"recorder runs {ID}", f"recorder runs {ID} --said"), _READING),
    "serve": Epilog(("recorder serve",), _SERVING, _MORE),
    "simulate": Epilog(("recorder simulate --port 8001 --speed 10 --outage 9-15:503",)),
    "status": Epilog((f"recorder status {ID}", f"recorder status {ID} --at 2026-11-24T12:16:00Z"), _READING),
    "token": Epilog(("recorder token ann", "recorder token pipeline --enrol")),
    "unwatch": Epilog((f"recorder unwatch {ID}",), _ENROLLING),
    "up": Epilog(("recorder up",), (*_POLLING, *_SERVING[-3:]), _MORE),
    "verify": Epilog(
        (
            "recorder verify --checkpoint heads.ndjson",
            "recorder verify --since heads.ndjson",
            "recorder verify --budget 600",
        ),
        _READING,
    ),
    "wait": Epilog((f"recorder wait {ID} --timeout 3600 && ./collect-results",), _READING),
    "watch": Epilog(
        (
            f'recorder watch {ID} --note "March batch" --expect-runs 500',
            "./submit-batch | recorder watch -",
        ),
        _ENROLLING,
    ),
}
"""By the command's name, which for a subcommand has that of its group before it."""


def add_epilog(command: click.Command, name: str) -> click.Command:
    """Give a command, and all subcommands, what is said at the end of the help."""
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            add_epilog(subcommand, f"{name} {subcommand.name}")
    elif name in EPILOGS:
        command.epilog = EPILOGS[name].text()
    return command
