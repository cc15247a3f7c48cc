"""Checks of the database: can it be used, who records into it, and is anything late?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from recorder.cli.common import demo_text, opened_database, require_file
from recorder.cli.doctor.check import Check
from recorder.cli.doctor.upstream import MADE_UP_ID, Asked
from recorder.cli.output.format import count_text, show_time
from recorder.cli.output.recorder_table import failing_line, name_text
from recorder.cli.output.warnings import not_found_line
from recorder.ledger.missing_groups import MissingGroups
from recorder.ledger.timestamps import format_time
from recorder.ledger.watch import WatchState
from recorder.queries.recorders import EXAMPLES, LATE_SECONDS, late_reasons
from recorder.settings import Settings
from recorder.store.database_clock import clock_of
from recorder.store.engine import display_url
from recorder.store.group_counts import GroupCounts, read_group_counts
from recorder.store.groups import GroupFilter, list_groups
from recorder.store.heartbeats import Heartbeat, heartbeats
from recorder.store.missing import NotFoundGroups, read_missing, read_not_found
from recorder.store.schema import SchemaError, require_head, require_own, require_suitable, state_of
from recorder.store.transactions import DatabaseUnavailableError, reading

_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class DatabaseChecks:
    """The results, and the group to ask the provider for."""

    checks: list[Check]
    asked: Asked


def check_database(settings: Settings) -> DatabaseChecks:
    """Check the database that recorders write to."""
    place = display_url(settings.write_url)
    nobody = Asked(MADE_UP_ID, seen_before=False)
    try:
        require_file(settings.write_url)
        with opened_database(settings.write_url, read_only=True, primary=True) as engine:
            require_head(state_of(engine))
            with reading(engine) as connection:
                require_suitable(connection)
                require_own(connection)
                demo = demo_text(settings, connection)
                if demo is not None:
                    return DatabaseChecks([Check("database", False, demo)], nobody)
                now = clock_of(connection)()
                fine = Check("database", True, f"{place} can be read, and has this program's schema")
                checks = [fine, *_check_contents(connection, now)]
                return DatabaseChecks(checks, _group_to_ask_for(connection))
    except SchemaError as error:
        return DatabaseChecks([Check("database", False, str(error))], nobody)
    except DatabaseUnavailableError as error:
        text = f"{place} cannot be used: {error}; check RECORDER_DATABASE_URL and the server"
        return DatabaseChecks([Check("database", False, text)], nobody)


def _check_contents(connection: Connection, now: datetime) -> Iterator[Check]:
    recorders, missing = heartbeats(connection), read_missing(connection)
    yield from check_recording(recorders, read_group_counts(connection, now), now)
    yield from check_not_found(read_not_found(connection, EXAMPLES), together=missing.together)
    yield from check_missing(missing)


def check_recording(recorders: Sequence[Heartbeat], counts: GroupCounts, now: datetime) -> Iterator[Check]:
    """Check that somebody records and can write, and that no group is late."""
    able = sum(beat.is_recording(now) for beat in recorders)
    watched = counts.states.get(WatchState.WATCHING, 0)
    late = counts.open_gaps > 0 or counts.late_seconds >= LATE_SECONDS
    if able:
        yield Check("recorders", True, count_text(able, "recorder is recording", "recorders are recording"))
    elif watched and not late and not recorders:
        yield Check("recorders", True, "none is running now, and nothing is late, as with cron")
    else:
        yield Check("recorders", False, "none is recording; start one with: recorder up, or: recorder run")
    for beat in recorders:
        yield from _recorder_problems(beat, now)
    if not late:
        yield Check("groups", True, f"{count_text(watched, 'group')} watched, none late")
        return
    reasons = "; ".join(reason.detail for reason in late_reasons(recorders, counts, now))
    yield Check(
        "groups", False, f"{_lateness(counts)}{reasons and f': {reasons}'}; see: recorder groups --late"
    )


def _recorder_problems(beat: Heartbeat, now: datetime) -> Iterator[Check]:
    """Yield what is wrong with a recorder. One that ends in an orderly way leaves no heartbeat behind."""
    line = failing_line(beat, now)
    if line is not None:
        where = "its log" if beat.is_alive(now) else "its log, and whether it still runs"
        yield Check("recorders", False, f"{line.plain}; see {where}")
    if beat.is_alive(now) and (beat.report.get("upstream") or {}).get("state") == "key_rejected":
        text = f"the provider rejects the key of the recorder on {name_text(beat).plain}"
        yield Check("key", False, f"{text}; if another key was set since, start it anew")


def _lateness(counts: GroupCounts) -> str:
    gaps = count_text(counts.open_gaps, "group has an open gap", "groups have an open gap")
    due = count_text(counts.due, "poll is due", "polls are due")
    return ", ".join([*([gaps] if counts.open_gaps else []), *([due] if counts.due else [])])


def check_not_found(found: NotFoundGroups, *, together: bool) -> Iterator[Check]:
    """Check that the provider finds all groups, unless those that it does not are missing together."""
    if found.count and not together:
        yield Check("groups", False, not_found_line(found).plain)


def check_missing(found: MissingGroups) -> Iterator[Check]:
    """Check that groups that were seen before are not missing together."""
    if found.since is not None and found.together:
        missing = count_text(found.missing, "group", "groups")
        others = count_text(found.answered, "other is", "others are") if found.answered else "no other is"
        yield Check(
            "missing",
            False,
            f"{missing} that the provider returned before are not found since "
            f"{show_time(format_time(found.since))}, and {others}: that is the provider's "
            "doing, so none becomes gone; check PARALLEL_BASE_URL, RECORDER_UPSTREAM_PREFIX, and whose key "
            "PARALLEL_API_KEY is",
        )


def _group_to_ask_for(connection: Connection) -> Asked:
    """Return a watched group, one that was seen if there is one among the newest."""
    watching = GroupFilter(states=[WatchState.WATCHING])
    groups = list_groups(connection, watching, limit=_LOOKED_AT)
    chosen = next((group for group in groups if group.latest is not None), groups[0] if groups else None)
    if chosen is None:
        return Asked(MADE_UP_ID, seen_before=False)
    return Asked(chosen.watch.taskgroup_id, seen_before=chosen.latest is not None)
