"""The page on events matches the events."""

from __future__ import annotations

from recorder.notify.events import EventType
from tests.support.pages import first_codes, table


def test_the_table_names_every_type_in_order() -> None:
    assert first_codes(table("docs/events.md", "Events")) == list(EventType)
