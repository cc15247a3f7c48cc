"""Sinks: where events are delivered, and which of them each one wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from recorder.notify.events import EventType


class SinkKind(StrEnum):
    """How a sink is told: by a signed HTTP request, or in words by one of the services that Apprise knows."""

    WEBHOOK = "webhook"
    NOTIFY = "notify"


@dataclass(frozen=True, slots=True)
class Sink:
    """A sink as its file describes it.

    `address` is a URL that may contain secrets. `key` signs the requests to a webhook; it is None for others.
    `where` has the marks of the values that a group's metadata must have, by the marks of their keys.
    """

    name: str
    kind: SinkKind
    address: str = field(repr=False)
    key: bytes | None = field(repr=False)
    events: frozenset[EventType]
    where: Mapping[str, frozenset[str]]

    @property
    def place(self) -> str:
        """Where it is, without anything that can be secret."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}" if self.kind is SinkKind.WEBHOOK else "Apprise"

    def wants(self, kind: EventType, labels: Mapping[str, str] | None) -> bool:
        """Whether the sink wants an event about a group with these labels, by marks.

        `labels` is None for an event about the provider, which concerns every group.
        """
        if kind not in self.events:
            return False
        return labels is None or all(labels.get(key) in values for key, values in self.where.items())
