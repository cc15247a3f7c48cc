"""The lines that give the same as a page does: for curl, the command line and SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote

from flask import request

from recorder.queries.paging import group_path

_VIEWS = {"status_history": "seq", "group_completion": "episode", "observation_gaps": "seq"}
_PREFIX = re.compile(r"(/[\w.~-]+)*/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines for a terminal and a SQL client."""

    shell: list[str]
    sql: list[str]


def commands_for(taskgroup_id: str) -> Commands:
    """Return the lines that tell about a group what its page shows."""
    path, argument = group_path(taskgroup_id), quote(taskgroup_id)
    argument = f"-- {argument}" if taskgroup_id.startswith("-") else argument
    literal = "'{}'".format(taskgroup_id.replace("'", "''"))
    return Commands(
        shell=[
            *(
                f"{_curl()}{quote(f'{_address()}{path}{part}')}"
                for part in ("/history", "/completion", "/gaps")
            ),
            *(f"recorder {command} {argument}" for command in ("history", "completion", "gaps")),
        ],
        sql=[_select(view, literal, column) for view, column in _VIEWS.items()],
    )


def _select(view: str, literal: str, column: str) -> str:
    return " ".join(["SELECT * FROM", view, "WHERE taskgroup_id =", literal, "ORDER BY", column])


def _curl() -> str:
    return 'curl -H "Authorization: Bearer $TOKEN" ' if "Authorization" in request.headers else "curl "


def _address() -> str:
    """Return the address of this server as its reader sees it; a proxy may have told its prefix."""
    prefix = request.headers.get("X-Forwarded-Prefix", "")
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    shown = prefix.rstrip("/") if _PREFIX.fullmatch(prefix) else ""
    return f"{scheme if scheme in {'http', 'https'} else request.scheme}://{request.host}{shown}"
