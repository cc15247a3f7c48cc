"""Checks of the sinks of events: the file, and what could not be delivered."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from recorder.cli.common import opened_database, require_file
from recorder.cli.doctor.check import Check
from recorder.cli.output.format import count_text
from recorder.cli.sink_loading import load_sinks
from recorder.queries.sinks import sink_problem
from recorder.settings import Settings, SettingsError
from recorder.store.deliveries import SinkState, sink_states
from recorder.store.schema import SchemaError, require_head, state_of
from recorder.store.transactions import DatabaseUnavailableError, reading


def check_sinks(settings: Settings) -> Iterator[Check]:
    """Check the sinks, if there are any. What is wrong with the database, its own checks say."""
    if settings.notify_file is None:
        return
    try:
        sinks = load_sinks(settings)
    except SettingsError as error:
        yield from (Check("sinks", False, line) for line in str(error).splitlines())
        return
    try:
        require_file(settings.write_url)
        with opened_database(settings.write_url, read_only=True, primary=True) as engine:
            require_head(state_of(engine))
            with reading(engine) as connection:
                states = sink_states(connection)
    except (SchemaError, DatabaseUnavailableError):
        return
    yield from check_deliveries(states, {sink.name for sink in sinks})


def check_deliveries(states: Iterable[SinkState], names: set[str]) -> Iterator[Check]:
    """Check what is known about the sinks of these names."""
    problems = {
        state.name: sink_problem(state) or _failing_now(state) for state in states if state.name in names
    }
    for name, problem in problems.items():
        if problem is not None:
            yield Check("sinks", False, f"{name}: {problem}")
    if not any(problems.values()):
        yield Check("sinks", True, f"{count_text(len(names), 'sink')}, and nothing failed")


def _failing_now(state: SinkState) -> str | None:
    """Return what is wrong with a sink that failed last and will be tried again; None if nothing is."""
    failed_at, worked_at = state.last_error_at, state.last_success_at
    if not state.pending or failed_at is None or (worked_at is not None and worked_at >= failed_at):
        return None
    events = count_text(state.pending, "event waits", "events wait")
    return (
        f"it does not take events now (last: {state.last_error}); {events} and will be tried again, see: "
        f"recorder notify test {shlex.quote(state.name)}"
    )
