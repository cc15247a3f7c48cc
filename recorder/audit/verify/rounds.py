"""Verify in rounds: a run verifies as many groups as it has time for, and the next one continues after them.

A small file remembers between the runs which group was last.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine

from recorder.audit.verify.runner import Checked, verify_task
from recorder.audit.verify.state_folder import state_folder
from recorder.audit.verify.tasks import Heads, spans_after

_GROUPS_AT_ONCE = 10
"""Few, since a run never stops between them."""


@dataclass(frozen=True, slots=True)
class Round:
    """How far a round has come: `after` is the last group that was verified, None at the start.

    `began_at` is Unix time in seconds. The numbers are those of all runs of the round.
    """

    began_at: float
    after: str | None = None
    entries: int = 0
    groups: int = 0
    findings: int = 0


def round_file(url: URL, since: str) -> Path:
    """Return the file for rounds through a database; `since` names what they are limited to, or is empty."""
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(Path(url.database).resolve()))
    named = url.set(password=None).render_as_string()
    return state_folder(f"verify {named} {since}") / "round.json"


def read_round(path: Path, now: float) -> Round:
    """Return the round that goes on, or one that begins `now` if there is none that can be read.

    Raises:
        OSError: the file is there, but cannot be opened.
    """
    try:
        return _round_of(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return Round(now)


def keep_round(path: Path, kept: Round | None) -> None:
    """Replace the file by that of another round; with None, remove it.

    Raises:
        OSError: the file cannot be written.
    """
    if kept is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        beside.write_text(json.dumps(asdict(kept)))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def verify_for(
    engine: Engine,
    begun: Round,
    heads: Heads,
    seconds: float,
    *,
    changed_only: bool,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Checked, Round | None]]:
    """Continue a round until it is complete or `seconds` have passed. At least one task is completed.

    Yields the result of each task with the round as it then stands: None after the last one.

    Raises:
        DatabaseUnavailableError: the database became unavailable.
    """
    until = now() + seconds
    tasks = spans_after(engine, begun.after, heads, changed_only=changed_only, groups_at_once=_GROUPS_AT_ONCE)
    for task in tasks:
        checked = verify_task(engine, task)
        # An id that is no text comes after all that are, and only somebody else could have written it.
        last = task.span.last if isinstance(task.span.last, str) else begun.after
        begun = replace(
            begun,
            after=last,
            entries=begun.entries + checked.entries,
            groups=begun.groups + checked.groups,
            findings=begun.findings + len(checked.findings),
        )
        yield checked, begun
        if now() >= until:
            return
    yield Checked(), None


def _round_of(members: Any) -> Round:
    found = Round(**members)
    numbers = (found.entries, found.groups, found.findings)
    if not isinstance(found.after, str | None) or not all(type(one) is int for one in numbers):
        raise TypeError("not a round")
    float(found.began_at)
    return found
