"""Checks of the sinks of events: the file, and what could not be delivered."""

from __future__ import annotations

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
    problems = {state.name: sink_problem(state) for state in states if state.name in names}
    for name, problem in problems.items():
        if problem is not None:
            yield Check("sinks", False, f"{name}: {problem}")
    if not any(problems.values()):
        yield Check("sinks", True, f"{count_text(len(names), 'sink')}, and nothing failed")
