"""The events of a whole ledger, found by looking at each of its prefixes afresh."""

from __future__ import annotations

from collections.abc import Sequence

from recorder.completion.episodes import State, advance_episodes, episodes_of
from recorder.ledger.entries import Action, Entry, StatusContent, WatchChange
from recorder.ledger.status_fields import Phase

Happened = tuple[str, str, int]
"""The type of an event, its subject, and the entry that shows it."""


def expected_events(ledger: Sequence[Entry]) -> list[Happened]:
    """Return the events that entries cause, those of one entry in the order of publication."""
    found: list[Happened] = []
    anomalies: set[str] = set()
    for length, entry in enumerate(ledger, 1):
        content = entry.content
        if isinstance(content, WatchChange):
            if content.action is Action.GONE:
                found.append(("group.gone", str(entry.seq), entry.seq))
            if content.action is Action.RESUMED and content.actor == "recorder":
                found.append(("group.returned", str(entry.seq), entry.seq))
        if not isinstance(content, StatusContent):
            continue
        before, after = (episodes_of(ledger[:size], None) for size in (length - 1, length))
        found += [("group.started", str(one.number), entry.seq) for one in after[len(before) :]]
        if _phase(ledger[:length]) is Phase.BLOCKED is not _phase(ledger[: length - 1]):
            found.append(("group.blocked", str(entry.seq), entry.seq))
        new = sorted({anomaly.value for anomaly in content.anomalies} - anomalies)
        found += [("group.anomaly", name, entry.seq) for name in new]
        anomalies.update(new)
        ended = [one.number for one in after if one.completed is not None]
        had_ended = {one.number for one in before if one.completed is not None}
        found += [("group.settled", str(number), entry.seq) for number in ended if number not in had_ended]
    return found


def _phase(ledger: Sequence[Entry]) -> Phase | None:
    """The phase of the last clear observation."""
    state = State()
    for entry in ledger:
        state, _ = advance_episodes(state, entry)
    return None if state.sight is None else state.sight.phase
